"""MNN: weights memory-mapped from the file, and those stored in few bits computed when they are read."""

from __future__ import annotations

from pathlib import Path

from mmconvert import mnnlib
from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.files import map_file
from mmconvert.ir.model import Module

_MARKED = (b"TFL3", b"ORTM")


def sniff(path: Path, head: bytes) -> bool:
    """True when a file without a mark of its own is a Net with operators that MNN has."""
    if path.is_dir() or len(head) < 16 or head[4:8] in _MARKED:
        return False
    try:
        net = mnnlib.root(map_file(path))
        count = len(net.texts("tensorName"))
        operators = net.records("oplists", "Op")
        known = {code for code, _ in mnnlib.OPERATORS.values()}
        return bool(operators) and all(
            op.number("type") in known and all(0 <= i < count for i in op.integers("outputIndexes"))
            for op in operators[:8]
        )
    except (InvalidModelError, UsageError):
        return False


def load(path: Path) -> Module:
    """Reads an MNN model.

    Raises:
        UsageError: the file cannot be read.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.mnn.convert import Converter

    try:
        return Converter(path, mnnlib.root(map_file(path))).convert()
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound FlatBuffer may still hold numbers that no model has.
        raise InvalidModelError(f"the file is damaged: {error}", where=str(path)) from error
