"""Sampling at computed positions: GridSample, DeformConv; and Col2Im."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, geometry
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Pads
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.activation import Clip
from mmconvert.ir.ops.binary import Add, Mod, Mul, Sub
from mmconvert.ir.ops.conv import ConvTranspose
from mmconvert.ir.ops.indexing import GatherND, Slice
from mmconvert.ir.ops.logic import And, Greater, GreaterEqual, Less, Where, require_same_dtype
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.ops.shape import Reshape, Transpose
from mmconvert.ir.ops.unary import Cast, Floor, Round
from mmconvert.ir.types import Array, Extent, Layout, TensorType

_CUBIC = -0.75
"""The coefficient of the cubic kernel, that of PyTorch."""

Taps = list[tuple[Array, Array]]
"""The neighbours of each position along one axis, and their weights."""


@operator
class GridSample(Op):
    """``x`` at the positions of a grid.

    x: floating point, [N, C, spatial]. grid: floating point, [N, output spatial, axes], the last axis naming
    the position along the *last* spatial axis first, from -1 to 1: the centres of the outermost elements
    when ``align_corners``, their outer borders otherwise. Returns [N, C, output spatial]. What lies outside
    is 0, the border, or the reflection. Jaderberg et al., "Spatial transformer networks", 2015.
    """

    mode: Literal["nearest", "linear", "cubic"] = "linear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    def infer(self, x: TensorType, grid: TensorType) -> TensorType:
        x.require_float().require(x.rank >= 3, "a batch axis, a channel axis and spatial axes")
        axes = x.rank - 2
        grid.require_float().require(
            grid.rank == x.rank and grid.shape[-1] == axes, f"{axes} coordinates each"
        )
        same = grid.shape[0] - x.shape[0]
        grid.require(not isinstance(same, int) or same == 0, f"the batch of {x}")
        return x.with_shape((*x.shape[:2], *grid.shape[1:-1]))

    def evaluate(self, x: Array, grid: Array) -> Array:
        wide = widen(x)
        places = grid.astype(wide.dtype, copy=False)
        taps = [self._taps(places[..., -1 - axis], extent) for axis, extent in enumerate(x.shape[2:])]
        y = gathered(wide, taps)
        return y.astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value, grid: Value) -> Value | None:
        """A weighted sum of Gathers, one for each neighbour; for known spatial extents only."""
        extents, shape, out = x.type.shape[2:], x.type.shape, grid.type.shape[1:-1]
        if not all(isinstance(e, int) for e in extents):
            return None
        dtype = x.type.dtype
        wide = dtypes.F32 if dtype.itemsize < 4 else dtype
        x, grid = (v if v.type.dtype == wide else b(Cast(to=wide), v) for v in (x, grid))
        count = dims.product(out)
        places = b(Reshape(shape=(shape[0], count, len(extents))), grid)
        rows = b(Transpose(perm=(0, 2, 1)), b(Reshape(shape=(*shape[:2], dims.product(extents))), x))
        total: Value | None = None
        for chosen in itertools.product(*self._built_taps(b, places, dims.numbers(extents))):
            (flat, weight), *others = chosen
            for extent, (index, share) in zip(dims.numbers(extents)[1:], others, strict=True):
                flat, weight = b(Add(), b(Mul(), flat, extent), index), b(Mul(), weight, share)
            part = b(Mul(), b(GatherND(batch_dims=1), rows, flat), weight)
            total = part if total is None else b(Add(), total, part)
        assert total is not None
        y = b(Reshape(shape=(*shape[:2], *out)), b(Transpose(perm=(0, 2, 1)), total))
        return y if dtype == wide else b(Cast(to=dtype), y)

    def _built_taps(
        self, b: Builder, places: Value, extents: tuple[int, ...]
    ) -> list[list[tuple[Value, Value]]]:
        """``_taps`` of every axis as nodes; ``places`` is [N, positions, axes]."""
        found = []
        for axis, extent in enumerate(extents):
            low, high = (0.0, extent - 1.0) if self.align_corners else (-0.5, extent - 0.5)
            last = len(extents) - 1 - axis
            place = b(Slice(axes=(2,), starts=(last,), sizes=(1,), steps=(1,)), places)
            place = b(Add(), b(Mul(), b(Add(), place, 1.0), (high - low) / 2), low)
            taps = []
            for index, weight in _built_neighbours(b, place, self.mode):
                if self.padding == "zeros":
                    inside = b(And(), b(GreaterEqual(), index, 0.0), b(Less(), index, float(extent)))
                    weight = b(Mul(), weight, b(Cast(to=weight.type.dtype), inside))
                elif self.padding == "reflection":
                    index = _built_reflection(b, index, int(2 * low), int(2 * high))
                inner = b(Clip(low=0.0, high=extent - 1.0), index)
                taps.append((b(Cast(to=dtypes.I64), inner), weight))
            found.append(taps)
        return found

    def _taps(self, place: Array, extent: int) -> Taps:
        """The neighbours along an axis, what lies outside with weight 0 or led back inside."""
        low, high = (0.0, extent - 1.0) if self.align_corners else (-0.5, extent - 0.5)
        place = (place + 1) / 2 * (high - low) + low
        found = []
        for index, weight in _neighbours(place, self.mode):
            if self.padding == "zeros":
                inside = (index >= 0) & (index < extent)
                weight = np.where(inside, weight, weight.dtype.type(0))
            elif self.padding == "reflection":
                index = _reflected(index, int(2 * low), int(2 * high))
            found.append((np.clip(index, 0, extent - 1), weight))
        return found


def _neighbours(place: Array, mode: str) -> Taps:
    """Positions and weights of the elements that a position is made of."""
    kind = place.dtype.type
    place = np.clip(np.nan_to_num(place, nan=-1e9), -1e9, 1e9)
    if mode == "nearest":
        return [(np.rint(place).astype(np.int64), np.ones_like(place))]
    floor = np.floor(place)
    first, t = floor.astype(np.int64), place - floor
    if mode == "linear":
        return [(first, 1 - t), (first + 1, t)]
    return [(first + k, _cubic(np.abs(t - kind(k)))) for k in (-1, 0, 1, 2)]


def _cubic(distance: Array) -> Array:
    """Keys' kernel, "Cubic convolution interpolation", 1981."""
    a, d = distance.dtype.type(_CUBIC), distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.asarray(np.where(d <= 1, near, np.where(d < 2, far, d.dtype.type(0))))


def _reflected(index: Array, low: int, high: int) -> Array:
    """Whole positions mirrored at ``low / 2`` and ``high / 2``."""
    span = high - low
    if span == 0:
        return np.zeros_like(index)
    offset = np.mod(2 * index - low, 2 * span)
    return np.asarray((np.where(offset > span, 2 * span - offset, offset) + low) // 2)


def _built_neighbours(b: Builder, place: Value, mode: str) -> list[tuple[Value, Value]]:
    """``_neighbours`` as nodes; the positions are whole numbers of the type of ``place``."""
    one = b.constant(1.0, place.type.dtype)
    if mode == "nearest":
        return [(b(Round(), place), one)]
    first = b(Floor(), place)
    t = b(Sub(), place, first)
    rest = b(Sub(), one, t)
    if mode == "linear":
        return [(first, rest), (b(Add(), first, one), t)]
    near, far = (_CUBIC + 2, -_CUBIC - 3, 0.0, 1.0), (_CUBIC, -5 * _CUBIC, 8 * _CUBIC, -4 * _CUBIC)
    weights = [
        _polynomial(b, b(Add(), t, one), far),
        _polynomial(b, t, near),
        _polynomial(b, rest, near),
        _polynomial(b, b(Add(), rest, one), far),
    ]
    return [(b(Add(), first, float(k)), weight) for k, weight in zip((-1, 0, 1, 2), weights, strict=True)]


def _polynomial(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    """The highest power comes first."""
    leading, *rest = coefficients
    total = b(Mul(), x, leading)
    for coefficient in rest[:-1]:
        total = b(Mul(), b(Add(), total, coefficient), x)
    return b(Add(), total, rest[-1])


def _built_reflection(b: Builder, index: Value, low: int, high: int) -> Value:
    """``_reflected`` as nodes."""
    span = float(high - low)
    if span == 0:
        return b(Mul(), index, 0.0)
    offset = b(Mod(), b(Sub(), b(Mul(), index, 2.0), float(low)), 2 * span)
    mirrored = b(Sub(), b.constant(2 * span, index.type.dtype), offset)
    turned = b(Where(), b(Greater(), offset, span), mirrored, offset)
    return b(Floor(), b(Mul(), b(Add(), turned, float(low)), 0.5))


def gathered(x: Array, taps: list[Taps]) -> Array:
    """The weighted sum of the neighbours: x [N, C, spatial], taps [N, out] -> [N, C, out]."""
    batch, channels, *extents = x.shape
    out = taps[0][0][0].shape[1:]
    rows = x.reshape(batch, channels, -1)
    total = np.zeros((batch, channels, math.prod(out)), x.dtype)
    for chosen in itertools.product(*taps):
        index, weight = np.zeros((batch, *out), np.int64), np.ones((batch, *out), x.dtype)
        for extent, (position, share) in zip(extents, chosen, strict=True):
            index, weight = index * extent + position, weight * share
        flat, scale = index.reshape(batch, 1, -1), weight.reshape(batch, 1, -1)
        total += np.take_along_axis(rows, flat, axis=2) * scale
    return total.reshape(batch, channels, *out)


@operator
class DeformConv(Op):
    """A convolution over pictures whose taps are moved by ``offset``, between elements too.

    x: floating point, [N, C, H, W]. weight: [O, C/groups, KH, KW]. offset: [N, offset_groups * KH * KW * 2,
    OH, OW], the move along H before that along W. bias: [O]. mask: [N, offset_groups * KH * KW, OH, OW], a
    factor of each tap. Outside of the picture is 0. Dai et al., "Deformable convolutional networks", 2017;
    Zhu et al., "Deformable ConvNets v2", 2019.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads
    groups: int = 1
    offset_groups: int = 1

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        offset: TensorType,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> TensorType:
        x.require_float().require_rank(4)
        for other in (weight, offset, bias, mask):
            if other is not None:
                require_same_dtype(x, other)
        weight.require_rank(4)
        kernel = weight.with_shape(weight.shape[2:]).static_shape
        channels = weight.shape[1] * self.groups - x.shape[1]
        x.require(not isinstance(channels, int) or channels == 0, f"{weight.shape[1] * self.groups} channels")
        covered = geometry.dilated(kernel, self.dilations)
        out = geometry.windows(x.shape[2:], covered, self.strides, Explicit(self.pads))
        count = self.offset_groups * math.prod(kernel)
        for tensor, factor in ((offset, 2), (mask, 1)):
            if tensor is not None:
                tensor.require(
                    tensor.rank == 4 and tensor.shape[1] == factor * count, f"{factor * count} moves"
                )
        return x.with_shape((x.shape[0], weight.shape[0], *out))

    def evaluate(
        self, x: Array, weight: Array, offset: Array, bias: Array | None = None, mask: Array | None = None
    ) -> Array:
        wide, kernel = widen(x), weight.shape[2:]
        columns = self._columns(wide, kernel, widen(offset), None if mask is None else widen(mask))
        batch, out = x.shape[0], offset.shape[2:]
        filters = widen(weight).reshape(self.groups, weight.shape[0] // self.groups, -1)
        grouped = columns.reshape(batch, self.groups, -1, math.prod(out))
        y = (filters @ grouped).reshape(batch, weight.shape[0], *out)
        if bias is not None:
            y = y + widen(bias)[:, None, None]
        return y.astype(x.dtype, copy=False)

    def _columns(self, x: Array, kernel: tuple[int, ...], offset: Array, mask: Array | None) -> Array:
        """What each tap sees: [N, C, KH * KW, OH, OW]."""
        batch, channels = x.shape[:2]
        out, groups, taps = offset.shape[2:], self.offset_groups, math.prod(kernel)
        moves = offset.reshape(batch, groups, taps, 2, *out)
        parts = x.reshape(batch * groups, channels // groups, *x.shape[2:])
        found = np.empty((batch * groups, channels // groups, taps, *out), x.dtype)
        for tap, position in enumerate(itertools.product(*(range(k) for k in kernel))):
            neighbours = []
            for axis in range(2):
                base = np.arange(out[axis]) * self.strides[axis] - self.pads[axis][0]
                base = (base + position[axis] * self.dilations[axis]).astype(x.dtype)
                place = moves[:, :, tap, axis] + base.reshape((-1, 1) if axis == 0 else (1, -1))
                neighbours.append(_inside(place.reshape(batch * groups, *out), x.shape[2 + axis]))
            found[:, :, tap] = gathered(parts, neighbours)
        if mask is not None:
            found *= mask.reshape(batch * groups, 1, taps, *out)
        return found.reshape(batch, channels, taps, *out)


def _inside(place: Array, extent: int) -> Taps:
    """The two neighbours along an axis, outside with weight 0."""
    found = []
    for index, weight in _neighbours(place, "linear"):
        inside = (index >= 0) & (index < extent)
        found.append((np.clip(index, 0, extent - 1), np.where(inside, weight, weight.dtype.type(0))))
    return found


@operator
class Col2Im(Op):
    """Blocks added up where a window took them from: the reverse of unrolling windows.

    x: floating point, [N, C * block, windows]. Returns [N, C, image]. There are as many windows along each
    axis as fit the padded image.
    """

    image: tuple[Extent, ...]
    block: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require_rank(3)
        lengths = {len(f) for f in (self.image, self.block, self.strides, self.dilations, self.pads)}
        x.require(len(lengths) == 1, "one image extent, block, stride, dilation and padding for each axis")
        size = math.prod(self.block)
        whole = x.shape[1]
        x.require(not isinstance(whole, int) or whole % size == 0, f"a multiple of {size} rows")
        missing = x.shape[2] - dims.product(self._windows())
        x.require(not isinstance(missing, int) or missing == 0, f"{dims.product(self._windows())} windows")
        return x.with_shape((x.shape[0], dims.floordiv(whole, size), *self.image))

    def evaluate(self, x: Array) -> Array:
        image, windows = dims.numbers(self.image), dims.numbers(self._windows())
        batch, channels = x.shape[0], x.shape[1] // math.prod(self.block)
        room = tuple(e + before + after for e, (before, after) in zip(image, self.pads, strict=True))
        full = np.zeros((batch, channels, *room), widen(x).dtype)
        parts = widen(x).reshape(batch, channels, math.prod(self.block), *windows)
        for tap, position in enumerate(itertools.product(*(range(k) for k in self.block))):
            where = tuple(
                slice(p * d, p * d + (count - 1) * s + 1, s)
                for p, d, s, count in zip(position, self.dilations, self.strides, windows, strict=True)
            )
            full[(slice(None), slice(None), *where)] += parts[:, :, tap]
        kept = tuple(slice(before, before + e) for e, (before, _) in zip(image, self.pads, strict=True))
        return full[(slice(None), slice(None), *kept)].astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """A transposed convolution whose kernel has one 1 for each element of the block."""
        channels = x.type.shape[1]
        if not isinstance(channels, int) or not all(isinstance(e, int) for e in self.image):
            return None
        size, groups = math.prod(self.block), channels // math.prod(self.block)
        eye = np.tile(np.eye(size, dtype=x.type.dtype), (groups, 1)).reshape(channels, 1, *self.block)
        covered = geometry.dilated(self.block, self.dilations)
        plain = geometry.transposed(
            self._windows(), covered, self.strides, Explicit(self.pads), (0,) * len(covered)
        )
        extra = dims.numbers(tuple(want - have for want, have in zip(self.image, plain, strict=True)))
        op = ConvTranspose(
            strides=self.strides,
            dilations=self.dilations,
            padding=Explicit(self.pads),
            output_padding=extra,
            groups=groups,
            layout=Layout.NCHW,
        )
        folded = b(Reshape(shape=(x.type.shape[0], channels, *self._windows())), x)
        return b(op, folded, eye)

    def _windows(self) -> tuple[Extent, ...]:
        covered = geometry.dilated(self.block, self.dilations)
        return geometry.windows(self.image, covered, self.strides, Explicit(self.pads))
