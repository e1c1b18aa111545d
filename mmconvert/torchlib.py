"""Folders of PyTorch code that this process has written: no other code is ever run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_CODE = "model.py"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to a folder.

    Attributes:
        code: the text of the model.
        inputs, outputs: the names of what it takes and gives, in order.
    """

    code: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_written: dict[tuple[Path, str], Written] = {}


def remember(folder: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Notes that the code in ``folder`` was written just now, and what it takes and gives."""
    code = (folder / _CODE).read_bytes()
    _written[_key(folder, code)] = Written(code, inputs, outputs)


def find(folder: Path) -> Written | None:
    """What this process has written to ``folder``; None where something else is there now."""
    try:
        return _written.get(_key(folder, (folder / _CODE).read_bytes()))
    except OSError:
        return None


def _key(folder: Path, code: bytes) -> tuple[Path, str]:
    return folder.resolve(), hashlib.sha256(code).hexdigest()
