"""NCNN: ``.param``, text or binary, with the weights of the ``.bin`` file beside it memory-mapped.

NCNN's blobs have no batch axis. The graph has one of extent 1, but for inputs and outputs of which the file
says what they are (``ncnnlib.notes``).
"""

from __future__ import annotations

from pathlib import Path

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module


def sniff(path: Path, head: bytes) -> bool:
    """True when ``head``, the first bytes of a file, are the beginning of an NCNN model."""
    from mmconvert.ncnnlib import binary, records

    first = head.split(b"\n", 1)[0].strip()
    return first == str(records.MAGIC).encode() or binary.is_binary(head)


def load(path: Path, *, weights: Path | None = None) -> Module:
    """Reads an NCNN model.

    Args:
        path: the ``.param`` file.
        weights: the ``.bin`` file, where it has another name.

    Raises:
        UsageError: a file is missing, or cannot be read.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: a file is damaged, or the model is not valid.
    """
    from mmconvert.ncnnlib import files
    from mmconvert.parsers.ncnn.convert import Converter

    try:
        return Converter(files.read(path, weights), str(path)).convert()
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound text may still hold numbers that no model has.
        raise InvalidModelError(f"the file is damaged: {error}", where=str(path)) from error
