"""Operators that trade spatial extent for channels or batch, block by block."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.ops.pad import Pad
from mmconvert.ir.ops.shape import Reshape, Transpose
from mmconvert.ir.types import Array, Extent, Layout, TensorType

BlockMode = Literal["DCR", "CRD"]
Extents = tuple[Extent, ...]
Steps = tuple[Extents, tuple[int, ...], Extents]
"""What a block operator is: a reshape, a transposition, and a reshape."""


@operator
class DepthToSpace(Op):
    """Channels moved into blocks of ``block`` x ``block`` pixels.

    x: any type, ``N C H W`` or ``N H W C``. ``DCR`` reads the channel axis as (block row, block column,
    channel), as TensorFlow does; ``CRD`` as (channel, block row, block column), as PyTorch does.
    """

    block: int
    mode: BlockMode
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        channels = x.require_rank(4).shape[self.layout.channel_axis(4)]
        square = self.block**2
        fits = self.block >= 1 and (not isinstance(channels, int) or channels % square == 0)
        x.require(fits, f"channels in blocks of {self.block}x{self.block}")
        return x.with_shape(self._steps(x.shape)[2])

    def evaluate(self, x: Array) -> Array:
        return _apply(x, self._steps(x.shape))

    def decompose(self, b: Builder, x: Value) -> Value:
        return _build(b, x, self._steps(x.type.shape))

    def _steps(self, shape: Extents) -> Steps:
        k = self.block
        n, h, w, c = _nhwc(shape, self.layout)
        left = dims.floordiv(c, k * k)
        depth = (k, k, left) if self.mode == "DCR" else (left, k, k)
        first = 3 if self.layout is Layout.NHWC else 1  # where the channel axis, split in three, begins
        row, column, channel = (
            (first, first + 1, first + 2) if self.mode == "DCR" else (first + 1, first + 2, first)
        )
        if self.layout is Layout.NHWC:
            return (n, h, w, *depth), (0, 1, row, 2, column, channel), (n, h * k, w * k, left)
        return (n, *depth, h, w), (0, channel, 4, row, 5, column), (n, left, h * k, w * k)


@operator
class SpaceToDepth(Op):
    """Blocks of ``block`` x ``block`` pixels moved into channels: the inverse of DepthToSpace in mode DCR.

    x: any type, ``N C H W`` or ``N H W C``. An output channel is (block row, block column, channel).
    """

    block: int
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        x.require_rank(4).require(self.block >= 1, f"a block of at least 1, not {self.block}")
        for axis in self.layout.spatial_axes(4):
            _require_multiple(x, x.shape[axis], self.block)
        return x.with_shape(self._steps(x.shape)[2])

    def evaluate(self, x: Array) -> Array:
        return _apply(x, self._steps(x.shape))

    def decompose(self, b: Builder, x: Value) -> Value:
        return _build(b, x, self._steps(x.type.shape))

    def _steps(self, shape: Extents) -> Steps:
        k = self.block
        n, h, w, c = _nhwc(shape, self.layout)
        rows, columns, deep = dims.floordiv(h, k), dims.floordiv(w, k), c * k * k
        if self.layout is Layout.NHWC:
            return (n, rows, k, columns, k, c), (0, 1, 3, 2, 4, 5), (n, rows, columns, deep)
        return (n, c, rows, k, columns, k), (0, 3, 5, 1, 2, 4), (n, deep, rows, columns)


@operator
class SpaceToBatch(Op):
    """Blocks of pixels moved into the batch, after padding with 0 (TensorFlow's SpaceToBatchND).

    x: any type, ``N spatial ...``. ``block`` and ``pads`` (before, after) speak of the axes from 1 on. An
    output image is (position in the block, batch), positions in row-major order.
    """

    block: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    def infer(self, x: TensorType) -> TensorType:
        padded = self._pad(x.rank).infer(_require_blocks(x, self.block, self.pads))
        for extent, k in zip(padded.shape[1:], self.block, strict=False):
            _require_multiple(x, extent, k)
        return x.with_shape(self._steps(padded.shape)[2])

    def evaluate(self, x: Array) -> Array:
        padded = self._pad(x.ndim).evaluate(x)
        return _apply(padded, self._steps(padded.shape))

    def decompose(self, b: Builder, x: Value) -> Value:
        padded = b(self._pad(x.type.rank), x) if any(map(any, self.pads)) else x
        return _build(b, padded, self._steps(padded.type.shape))

    def _pad(self, rank: int) -> Pad:
        return Pad(pads=((0, 0), *self.pads, *((0, 0),) * (rank - 1 - len(self.pads))))

    def _steps(self, shape: Extents) -> Steps:
        count = len(self.block)
        n, rest = shape[0], shape[count + 1 :]
        inner = [dims.floordiv(e, k) for e, k in zip(shape[1:], self.block, strict=False)]
        split = [part for pair in zip(inner, self.block, strict=True) for part in pair]
        places, cells = range(2, 2 * count + 1, 2), range(1, 2 * count + 1, 2)
        perm = (*places, 0, *cells, *range(2 * count + 1, 2 * count + 1 + len(rest)))
        return (n, *split, *rest), perm, (n * math.prod(self.block), *inner, *rest)


@operator
class BatchToSpace(Op):
    """Images of the batch put together as blocks of pixels, then cropped: the inverse of SpaceToBatch.

    x: any type, ``N spatial ...``, where N is a multiple of the block's size. ``block`` and ``crops``
    (before, after) speak of the axes from 1 on.
    """

    block: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]

    def infer(self, x: TensorType) -> TensorType:
        _require_multiple(_require_blocks(x, self.block, self.crops), x.shape[0], math.prod(self.block))
        whole = self._steps(x.shape)[2]
        return self._crop(whole).infer(x.with_shape(whole))

    def evaluate(self, x: Array) -> Array:
        whole = _apply(x, self._steps(x.shape))
        return self._crop(whole.shape).evaluate(whole)

    def decompose(self, b: Builder, x: Value) -> Value:
        whole = _build(b, x, self._steps(x.type.shape))
        return b(self._crop(whole.type.shape), whole) if any(map(any, self.crops)) else whole

    def _crop(self, shape: Extents) -> Slice:
        axes = tuple(range(1, len(self.crops) + 1))
        sizes = tuple(shape[a] - before - after for a, (before, after) in zip(axes, self.crops, strict=True))
        return Slice(
            axes=axes, starts=tuple(before for before, _ in self.crops), sizes=sizes, steps=(1,) * len(axes)
        )

    def _steps(self, shape: Extents) -> Steps:
        count = len(self.block)
        n, spatial, rest = (
            dims.floordiv(shape[0], math.prod(self.block)),
            shape[1 : count + 1],
            shape[count + 1 :],
        )
        pairs = [axis for i in range(count) for axis in (count + 1 + i, i)]
        perm = (count, *pairs, *range(2 * count + 1, 2 * count + 1 + len(rest)))
        grown = tuple(e * k for e, k in zip(spatial, self.block, strict=True))
        return (*self.block, n, *spatial, *rest), perm, (n, *grown, *rest)


def _nhwc(shape: Extents, layout: Layout) -> tuple[Extent, Extent, Extent, Extent]:
    n, *_ = shape
    h, w = (shape[a] for a in layout.spatial_axes(4))
    return n, h, w, shape[layout.channel_axis(4)]


def _apply(x: Array, steps: Steps) -> Array:
    split, perm, joined = steps
    return np.transpose(x.reshape(dims.numbers(split)), perm).reshape(dims.numbers(joined))


def _build(b: Builder, x: Value, steps: Steps) -> Value:
    split, perm, joined = steps
    return b(Reshape(shape=joined), b(Transpose(perm=perm), b(Reshape(shape=split), x)))


def _require_multiple(x: TensorType, extent: Extent, factor: int) -> None:
    x.require(not isinstance(extent, int) or extent % factor == 0, f"an extent in multiples of {factor}")


def _require_blocks(x: TensorType, block: tuple[int, ...], sides: tuple[tuple[int, int], ...]) -> TensorType:
    x.require(len(block) == len(sides) and 1 <= len(block) < x.rank, f"spatial axes for a block of {block}")
    return x.require(
        min(block) >= 1 and min(map(min, sides)) >= 0, "a positive block and nothing negative beside it"
    )
