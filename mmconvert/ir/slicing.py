"""``start:end:step`` of Python, NumPy, ONNX and TensorFlow, turned into a start from the front and a size."""

from __future__ import annotations

from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent

UNBOUNDED = (1 << 31) - 1
"""Exporters write this number, or one above it, where Python leaves the bound out."""


def normalize_slice(
    extent: Extent, start: Extent | None, end: Extent | None, step: int = 1
) -> tuple[Extent, Extent]:
    """The first index and the number of indices of ``range(extent)[start:end:step]``.

    Bounds below zero count from the end, bounds outside are clamped, None leaves a bound out. A symbolic
    bound is taken to lie inside the axis (``positions[:length]`` means it so), and a symbolic extent to be
    at least 1; Slice itself stops a run for which that does not hold.

    Returns:
        ``(start, size)``: ``0 <= start``; with ``size`` 0 the start means nothing.

    Raises:
        InferenceError: the step is 0.
    """
    if step == 0:
        raise InferenceError("the step of a slice is 0")
    low: int = 0 if step > 0 else -1
    high = extent if step > 0 else extent - 1
    first = (low if step > 0 else high) if start is None else _bound(start, extent, low, high)
    last = (high if step > 0 else low) if end is None else _bound(end, extent, low, high)
    span = last - first if step > 0 else first - last
    size = dims.ceildiv(span, abs(step))
    if isinstance(size, int) and size <= 0:
        return 0, 0
    return first, size


def _bound(value: Extent, extent: Extent, low: int, high: Extent) -> Extent:
    if isinstance(value, Dim):
        return value + extent if all(coefficient < 0 for _, coefficient in value.terms) else value
    if abs(value) >= UNBOUNDED:
        return high if value > 0 else low
    if value < 0:
        from_front = value + extent
        return max(from_front, low) if isinstance(from_front, int) else from_front
    if isinstance(high, int):
        return min(value, high)
    return value if value <= 1 + low else dims.minimum(value, high)
