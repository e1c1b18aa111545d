"""Reads damaged copies of files of weights, in a process of its own; see ``tests.damage``.

``python -m tests.parsers.pytorch.damaged SAMPLE FOLDER KIND COUNT`` prints what became of them.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.parsers.pytorch.audit import audit
from mmconvert.parsers.pytorch.build import state_dicts
from mmconvert.parsers.pytorch.storage import Stored
from mmconvert.parsers.pytorch.weights import kind_of, read_weights
from tests.damage import KINDS, MEMORY, SECONDS


def attempt(path: Path, sample: Path) -> str:
    """What becomes of a file: the name of the error, ``read``, or ``not recognised``."""
    kind = kind_of(path, path.read_bytes()[:4096])
    try:
        if sample.suffix != ".safetensors":
            audit(path)
        if kind not in ("pickle", "safetensors"):
            return "not recognised"
        for table in state_dicts(read_weights(path, kind)).values():
            for value in table.values():
                _look(value)
    except (InvalidModelError, UnsupportedError) as error:
        return type(error).__name__
    return "read"


def _look(value: Any) -> None:
    if isinstance(value, Stored):
        value.tensor().numpy().sum()


def main(sample: Path, folder: Path, kind: str, count: int) -> None:
    """Reads all copies."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    path, found = folder / f"damaged{sample.suffix}", Counter[str]()
    for data in KINDS[kind](sample.read_bytes(), count):
        path.write_bytes(data or b"\0")
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        found[attempt(path, sample)] += 1
        faulthandler.cancel_dump_traceback_later()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
