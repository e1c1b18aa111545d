"""How a window's padding is said to TFLite: SAME, VALID, or a PAD before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.geometry import Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Extent, Shape


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over the spatial axes of a channels-last tensor.

    Attributes:
        extents: of the input's spatial axes.
        counts: the number of windows along each, which is the output's extent.
        kernel: the extents that a window covers, dilation included.
    """

    extents: Shape
    counts: Shape
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    @classmethod
    def over(
        cls, x: Value, y: Value, kernel: tuple[int, ...], strides: tuple[int, ...], padding: Padding
    ) -> Windows:
        """The windows that lead from ``x`` to ``y``, both channels-last."""
        return cls(x.type.shape[1:-1], y.type.shape[1:-1], kernel, strides, padding)

    @property
    def pads(self) -> tuple[tuple[Extent, Extent], ...]:
        """Padding before and after each axis; it may depend on unknown extents."""
        if not isinstance(self.padding, Same):
            return self.padding.pads
        pairs = []
        for axis in range(len(self.kernel)):
            total = self._same_total(axis)
            small = dims.floordiv(total, 2)
            pairs.append((small, total - small) if self.padding.extra_after else (total - small, small))
        return tuple(pairs)

    def _same_total(self, axis: int) -> Extent:
        extent, stride = self.extents[axis], self.strides[axis]
        return dims.maximum((dims.ceildiv(extent, stride) - 1) * stride + self.kernel[axis] - extent, 0)

    @property
    def spelling(self) -> tfl.Padding | None:
        """SAME or VALID where one of them gives exactly these windows, else None."""
        if isinstance(self.padding, Same) and self.padding.extra_after:
            return tfl.Padding.SAME
        axes = range(len(self.kernel))
        if all(self._is_valid(a) for a in axes):
            return tfl.Padding.VALID
        return tfl.Padding.SAME if all(self._is_same(a) for a in axes) else None

    def _is_valid(self, axis: int) -> bool:
        room = self.extents[axis] - self.kernel[axis]
        fits = not isinstance(room, int) or room >= 0
        return (
            self.pads[axis][0] == 0
            and fits
            and self.counts[axis] == dims.floordiv(room, self.strides[axis]) + 1
        )

    def _is_same(self, axis: int) -> bool:
        # Where the windows begin and how many there are says it all: padding that no window reaches is none.
        begins_so = self.pads[axis][0] == dims.floordiv(self._same_total(axis), 2)
        return begins_so and self.counts[axis] == dims.ceildiv(self.extents[axis], self.strides[axis])

    def _is_floored(self, axis: int) -> bool:
        """True when the last window lies inside the padding, as it does unless the count was rounded up."""
        room = self.extents[axis] + sum(self.pads[axis], start=0) - self.kernel[axis]
        return self.counts[axis] == dims.floordiv(room, self.strides[axis]) + 1

    @property
    def needed(self) -> tuple[tuple[Extent, Extent], ...]:
        """The padding that VALID windows need in front of them: none after the last window."""
        pairs = []
        for axis, (before, after) in enumerate(self.pads):
            reach = (self.counts[axis] - 1) * self.strides[axis] + self.kernel[axis]
            spare = reach - self.extents[axis] - before
            if isinstance(spare, int) or not self._is_floored(axis):
                after = dims.maximum(spare, 0)
            pairs.append((before, after))
        return tuple(pairs)


def settle(out: Writer, x: Value, windows: Windows, fill: float = 0.0) -> tuple[Value, tfl.Padding]:
    """The input and the padding to hand to TFLite, after a PAD where neither SAME nor VALID will do."""
    spelling = windows.spelling
    if spelling is not None:
        return x, spelling
    return pad(out, x, windows.needed, fill), tfl.Padding.VALID


def pad(out: Writer, x: Value, pads: Sequence[tuple[Extent, Extent]], fill: float = 0.0) -> Value:
    """``x`` with its spatial axes padded by ``fill``.

    Raises:
        UnsupportedError: a pad is negative.
    """
    return pad_axes(out, x, ((0, 0), *pads, (0, 0)), fill)


def pad_axes(out: Writer, x: Value, pads: Sequence[tuple[Extent, Extent]], fill: float = 0.0) -> Value:
    """``x`` with every axis padded by ``fill``.

    Raises:
        UnsupportedError: a pad is negative.
    """
    if all(before == 0 and after == 0 for before, after in pads):
        return x
    if any(isinstance(p, int) and p < 0 for pair in pads for p in pair):
        raise UnsupportedError(f"the padding {pads} takes elements away")
    shape = tuple(e + before + after for e, (before, after) in zip(x.type.shape, pads, strict=True))
    table = pad_table(out, pads)
    if fill == 0:
        return out.make(tfl.PAD, (x, table), x.type.with_shape(shape))
    operands = (x, table, out.constant(np.asarray(fill, x.type.dtype)))
    return out.make(tfl.PADV2, operands, x.type.with_shape(shape))


def lowest(dtype: DType) -> float:
    """What never is the largest."""
    return -math.inf if dtypes.is_float(dtype) else int(np.iinfo(dtype).min)


def take(
    out: Writer,
    x: Value,
    axes: Sequence[int],
    starts: Sequence[int],
    counts: Sequence[Extent],
    strides: Sequence[int],
) -> Value:
    """``counts`` elements of ``x`` along some axes, from ``starts`` on, ``strides`` apart."""
    shape: list[Extent] = list(x.type.shape)
    begin, step = [0] * len(shape), [1] * len(shape)
    ends: list[Extent] = [0] * len(shape)
    whole = (1 << len(shape)) - 1
    for axis, start, count, stride in zip(axes, starts, counts, strides, strict=True):
        shape[axis], begin[axis], step[axis] = count, start, stride
        ends[axis] = start + (count - 1) * stride + 1
        whole &= ~(1 << axis)
    operands = (x, out.integers(begin), out.extents.vector(ends), out.integers(step))
    return out.make(tfl.STRIDED_SLICE, operands, x.type.with_shape(tuple(shape)), end_mask=whole)


def pad_table(out: Writer, pads: Sequence[tuple[Extent, Extent]]) -> Value:
    """Pads as the i32 matrix that TFLite wants."""
    flat = out.extents.vector([p for pair in pads for p in pair])
    return out.reshape(flat, (len(pads), 2))
