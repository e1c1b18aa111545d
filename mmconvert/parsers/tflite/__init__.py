"""TensorFlow Lite: weights memory-mapped from the file, quantized models with all their parameters."""

from __future__ import annotations

from pathlib import Path

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module
from mmconvert.parsers.tflite import schema


def sniff(path: Path, head: bytes) -> bool:
    """True when ``head``, the first bytes of a file, are the beginning of a TensorFlow Lite model."""
    return head[4:8] == schema.IDENTIFIER


def load(path: Path) -> Module:
    """Reads a TensorFlow Lite model: its main graph, and what that refers to.

    What the model keeps from one run to the next becomes inputs and outputs (``Module.states``).

    Raises:
        UsageError: the file cannot be read.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.tflite.convert import Converter
    from mmconvert.parsers.tflite.reader import open_model
    from mmconvert.parsers.tflite.table import RULES

    try:
        return Converter(open_model(path), RULES).convert()
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound FlatBuffer may still hold numbers that no model has.
        raise InvalidModelError(f"the file is damaged: {error}", where=str(path)) from error
