"""ONNX: every opset, weights memory-mapped from the file or from the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module
from mmconvert.parsers.onnx import sniffing


def sniff(path: Path, head: bytes) -> bool:
    """True when ``head``, the first bytes of ``path``, are the beginning of an ONNX model."""
    return sniffing.is_model(head, named=path.suffix.lower() == ".onnx")


def load(
    path: Path,
    *,
    fix: Mapping[str, Any] | None = None,
    items: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> Module:
    """Reads an ONNX model.

    Args:
        path: the file; external data is looked for in its folder, and nowhere else.
        fix: inputs that become constants, with their values: axes, sizes and flags that decide what the
            graph is (``{"axes": [1], "training": False}``).
        items: how many tensors an input of sequence or optional type stands for. They become inputs of their
            own, ``x_0``, ``x_1``, ...
        shapes: extents of inputs that the file leaves open, None where one stays open; needed where it does
            not even say how many axes there are.

    Raises:
        UsageError: the file cannot be read, or ``fix`` or ``shapes`` does not fit an input.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.onnx.alternatives import settle
    from mmconvert.parsers.onnx.convert import Converter
    from mmconvert.parsers.onnx.reader import open_model
    from mmconvert.parsers.onnx.table import RULES

    try:
        file = open_model(path)
        return settle(lambda assumed: Converter(file, RULES, fix, items, shapes, assumed))
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # Bytes that are a valid message may still hold numbers that no model has.
        raise InvalidModelError(f"the file is damaged: {error}", where=str(path)) from error
