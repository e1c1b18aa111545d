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
    """Reads and audits them all, bare and in archives."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    path = folder / "bomb.pth"
    for name, make in gadgets.BOMBS.items():
        content = make()
        print(json.dumps({"started": name}), flush=True)
        longest = 0
        for data in (content,):
            path.write_bytes(data)
            faulthandler.dump_traceback_later(seconds, exit=True)
            try:
                read_weights(path, "pickle")
                outcome = "read"
            except MMConvertError as error:
                outcome = type(error).__name__
                longest = max(longest, len(str(error)))
            faulthandler.dump_traceback_later(seconds, exit=True)
            audited = exit_code(audit(path))
            faulthandler.cancel_dump_traceback_later()
        print(
            json.dumps({"bomb": name, "outcome": outcome, "audited": audited, "letters": longest}), flush=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
