"""TensorFlow Lite: weights memory-mapped from the file, quantized models with all their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.ir.model import Module
from mmconvert.parsers.tflite import schema

Hybrid = Literal["exact", "float"]


def sniff(path: Path, head: bytes) -> bool:
    """True when ``head``, the first bytes of a file, are the beginning of a TensorFlow Lite model."""
    return head[4:8] == schema.IDENTIFIER


def load(path: Path, *, signature: str | None = None, hybrid: Hybrid = "exact") -> Module:
    """Reads a TensorFlow Lite model: its main graph, those of other signatures, and what they refer to.

    What the model keeps from one run to the next becomes inputs and outputs (``Module.states``).

    Args:
        path: the file.
        signature: reads the graph that is called by this name, and none of the others.
        hybrid: how to read products of floats with weights of 8 bits: "exact", as runtimes compute them,
            which quantize the floats on the way; "float", as what the weights mean.

    Raises:
        UsageError: the file cannot be read, has no such signature, or there is no such reading.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.tflite.convert import convert
    from mmconvert.parsers.tflite.reader import open_model
    from mmconvert.parsers.tflite.table import RULES

    if hybrid not in get_args(Hybrid):
        raise UsageError(f"hybrid={hybrid!r}", hint=f"one of {', '.join(get_args(Hybrid))}")
    try:
        return convert(open_model(path), RULES, signature, exact=hybrid == "exact")
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound FlatBuffer may still hold numbers that no model has.
        raise InvalidModelError(f"the file is damaged: {error}", where=str(path)) from error
