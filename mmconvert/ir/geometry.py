"""Window arithmetic of convolution and pooling: the only copy in the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.dims import Extent

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Explicit:
    """Known padding, as (before, after) for each spatial axis."""

    pads: Pads

    @staticmethod
    def zero(rank: int) -> Explicit:
        """No padding over ``rank`` spatial axes."""
        return Explicit(((0, 0),) * rank)

    @property
    def is_zero(self) -> bool:
        """True when nothing is padded."""
        return not any(before or after for before, after in self.pads)


@dataclass(frozen=True, slots=True)
class Same:
    """As much padding as makes the output extent ``ceil(extent / stride)``.

    It stays symbolic because extents may be unknown. ``extra_after`` says which side gets the odd one:
    TensorFlow, Keras and ONNX's SAME_UPPER put it after, ONNX's SAME_LOWER before.
    """

    extra_after: bool = True


Padding: TypeAlias = Explicit | Same


def dilated(kernel: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """The extents covered by a dilated kernel."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))


def resolve(padding: Padding, extents: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> Pads:
    """Padding in elements, for known ``extents``; ``kernel`` is already dilated."""
    if isinstance(padding, Explicit):
        return padding.pads
    totals = [
        max((-(-extent // s) - 1) * s + k - extent, 0)
        for extent, k, s in zip(extents, kernel, strides, strict=True)
    ]
    return split(totals, extra_after=padding.extra_after)


def split(totals: Sequence[int], *, extra_after: bool) -> Pads:
    """Total padding shared out between the two sides."""
    halves = [(total // 2, total - total // 2) for total in totals]
    return tuple((small, big) if extra_after else (big, small) for small, big in halves)


def windows(
    extents: Sequence[Extent],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    *,
    ceil: bool = False,
) -> tuple[Extent, ...]:
    """The number of window positions along each axis; ``kernel`` is already dilated.

    With ``ceil`` the last window may overhang the padded input, but it must start inside the input or the
    padding before it (the rule of Caffe, PyTorch and ONNX).

    Raises:
        InferenceError: the window is larger than the padded input.
    """
    if isinstance(padding, Same):
        return tuple(dims.ceildiv(e, s) for e, s in zip(extents, strides, strict=True))
    found: list[Extent] = []
    for extent, k, s, (before, after) in zip(extents, kernel, strides, padding.pads, strict=True):
        room = extent + (before + after - k)
        if isinstance(room, int) and room < 0:
            raise InferenceError(f"a window of {k} does not fit into {extent} with padding {(before, after)}")
        count = (dims.ceildiv(room, s) if ceil else dims.floordiv(room, s)) + 1
        if ceil and s > k - after:  # only then can the last window start behind the input
            count = dims.minimum(count, dims.ceildiv(extent + before, s))
        found.append(count)
    return tuple(found)


def transposed(
    extents: Sequence[Extent],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    output_padding: Sequence[int],
) -> tuple[Extent, ...]:
    """The output extents of a transposed convolution; ``kernel`` is already dilated."""
    if isinstance(padding, Same):
        return tuple(e * s for e, s in zip(extents, strides, strict=True))
    return tuple(
        (e - 1) * s + k + extra - before - after
        for e, k, s, extra, (before, after) in zip(
            extents, kernel, strides, output_padding, padding.pads, strict=True
        )
    )


def resolve_transposed(
    padding: Padding, kernel: Sequence[int], strides: Sequence[int], output_padding: Sequence[int]
) -> Pads:
    """What a transposed convolution crops from its full output; ``kernel`` is already dilated.

    SAME crops so that the output is ``extent * stride``; a negative crop (kernel smaller than stride)
    extends the output instead.
    """
    if isinstance(padding, Explicit):
        return padding.pads
    totals = [k + extra - s for k, s, extra in zip(kernel, strides, output_padding, strict=True)]
    return tuple(
        (total // 2, total - total // 2)
        if total >= 0 and padding.extra_after
        else (total - total // 2, total // 2)
        if total >= 0
        else (0, total)
        for total in totals
    )
