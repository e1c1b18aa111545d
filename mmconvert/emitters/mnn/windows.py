"""How windows over images are said to MNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, geometry
from mmconvert.ir.geometry import Explicit, Padding, Pads, Same
from mmconvert.ir.types import Extent, Shape

CAFFE, VALID, SAME = range(3)
"""Modes of padding: by numbers, none, and as much as TensorFlow adds."""


def heighten(shape: Shape) -> Shape:
    """A line as an image of one row."""
    return (*shape[:2], 1, *shape[2:])


def higher(padding: Padding) -> Padding:
    """The padding of one axis for two, of which the first has the extent 1."""
    return Explicit(((0, 0), *padding.pads)) if isinstance(padding, Explicit) else padding


def settle(
    padding: Padding,
    extents: Sequence[Extent],
    counts: Sequence[Extent],
    covered: Sequence[int],
    strides: Sequence[int],
) -> Pads | None:
    """The padding in numbers so that floor division gives ``counts`` windows; None for MNN's own SAME.

    Args:
        padding: of the spatial axes.
        extents, counts: of the input and of the output.
        covered: the extents of a window, dilation included.
        strides: the distances of windows.

    Raises:
        UnsupportedError: the numbers depend on what is known only when the model runs.
    """
    numbers = [e for e in extents if isinstance(e, int)]
    if isinstance(padding, Same):
        if len(numbers) == len(extents):
            return geometry.resolve(padding, numbers, covered, strides)
        if padding.extra_after:
            return None
        raise UnsupportedError("MNN pads more before than after only where extents are known")
    pads = []
    for (before, after), extent, count, window, stride in zip(
        padding.pads, extents, counts, covered, strides, strict=True
    ):
        if isinstance(extent, int) and isinstance(count, int):
            after = max(after, (count - 1) * stride + window - extent - before)
        elif count != dims.floordiv(extent + (before + after - window), stride) + 1:
            raise UnsupportedError("MNN rounds the number of windows up only where extents are known")
        pads.append((before, after))
    if any(p < 0 for pair in pads for p in pair):
        raise UnsupportedError(f"MNN has no negative padding, as in {tuple(pads)}")
    return tuple(pads)


def spell(pads: Pads | None) -> dict[str, Any]:
    """The slots that say padding over two axes in a convolution."""
    if pads is None:
        return {"padMode": SAME}
    (top, bottom), (left, right) = pads
    return {"padMode": CAFFE, "padX": left, "padY": top, "pads": [top, left, bottom, right]}
