"""Reads every bomb in a process of little memory, which a bomb that takes too long ends.

``python -m tests.parsers.pytorch.bombs FOLDER SECONDS MEMORY`` prints a JSON line before each, and one after.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
from pathlib import Path

from mmconvert.errors import MMConvertError
from mmconvert.parsers.pytorch.audit import audit, exit_code
from mmconvert.parsers.pytorch.weights import read_weights
from tests.parsers.pytorch import gadgets


def main(folder: Path, seconds: int, memory: int) -> None:
    """Reads and audits them all."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    path = folder / "bomb.pth"
    for name, make in gadgets.BOMBS.items():
        content = make()
        print(json.dumps({"started": name}), flush=True)
        path.write_bytes(content)
        faulthandler.dump_traceback_later(seconds, exit=True)
        said = ""
        try:
            read_weights(path, "pickle")
            outcome = "read"
        except MMConvertError as error:
            outcome, said = type(error).__name__, str(error)
        faulthandler.dump_traceback_later(seconds, exit=True)
        audited = exit_code(audit(path))
        faulthandler.cancel_dump_traceback_later()
        about = {"bomb": name, "outcome": outcome, "audited": audited, "letters": len(said)}
        print(json.dumps(about), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
