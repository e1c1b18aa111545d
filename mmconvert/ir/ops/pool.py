"""Pooling: a number for each window, over any number of spatial axes, in either layout."""

from __future__ import annotations

import functools
import math
from typing import TypedDict

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, geometry
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Pads
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels import average_pool, lp_pool, max_pool, max_pool_indices
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Mul, Pow
from mmconvert.ir.ops.conv import Conv, require_windows
from mmconvert.ir.ops.indexing import Gather
from mmconvert.ir.ops.reduce import ReduceMax
from mmconvert.ir.ops.unary import Abs
from mmconvert.ir.types import Array, Layout, TensorType


@operator
class MaxPool(Op):
    """The largest element of each window; padding never wins.

    x: numeric, ``N C spatial`` or ``N spatial C``. Output extents: ``ir.geometry.windows``; with ``ceil`` the
    last window may hang over the padded input.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        return _infer(self, x.require_numeric())

    def evaluate(self, x: Array) -> Array:
        return max_pool(x, **_windows(self, x))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """The largest of what each window reads, one axis after another; for known extents only."""
        pads = _pads(self, x.type)
        if pads is None:
            return None
        axes, type = self.layout.spatial_axes(x.type.rank), x.type
        for i, (axis, (before, _)) in enumerate(zip(axes, pads, strict=True)):
            places, extent = _places(self, type, i, before)
            inside = (places >= 0) & (places < extent)
            if not inside.any(axis=1).all():
                return None  # a window of padding alone
            # Where it reads padding, it reads one of its own elements instead.
            own = np.take_along_axis(places, inside.argmax(axis=1)[:, None], axis=1)
            picked = b(Gather(axis=axis), x, np.where(inside, places, own))
            x = b(ReduceMax(axes=(axis + 1,), keepdims=False), picked)
        return x


@operator
class MaxPoolIndices(Op):
    """MaxPool, and where in ``x`` each maximum was found.

    x: numeric, ``N C spatial`` (the only layout). Returns the maxima and i64 positions in the whole of
    ``x``, counted in row-major order, or with ``storage_order`` 1 with the first spatial axis varying fastest
    (ONNX). Among equals the first position in row-major order wins.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout
    storage_order: int = 0

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        x.require_numeric().require(self.layout is Layout.NCHW, "the layout NCHW")
        values = _infer(self, x)
        return values, values.with_dtype(dtypes.I64)

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        return max_pool_indices(x, **_windows(self, x), column_major=bool(self.storage_order))


@operator
class AveragePool(Op):
    """The mean of each window.

    x: floating, ``N C spatial`` or ``N spatial C``. The divisor counts the elements inside ``x``, and with
    ``count_include_pad`` those of the padding as well; where a window hangs over the padding because of
    ``ceil``, what lies beyond is never counted (PyTorch, ONNX).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    count_include_pad: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        return _infer(self, x.require_float())

    def evaluate(self, x: Array) -> Array:
        return average_pool(x, **_windows(self, x), count_include_pad=self.count_include_pad)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """A depthwise convolution with equal weights, made up for where part of a window does not count."""
        axis = self.layout.channel_axis(x.type.rank)
        channels, whole = x.type.shape[axis], _without_ceil(self, x.type)
        if whole is None or not isinstance(channels, int):
            return None
        shape = [channels, 1, *self.kernel] if axis == 1 else [channels, *self.kernel, 1]
        weight = np.full(shape, 1 / math.prod(self.kernel), x.type.dtype)
        conv = Conv(
            strides=self.strides, dilations=self.dilations, padding=whole, groups=channels, layout=self.layout
        )
        if (isinstance(whole, Explicit) and whole.is_zero) or (self.count_include_pad and not self.ceil):
            return b(conv, x, weight)
        if (counted := self._counted(x.type)) is None:
            return None
        factor = (math.prod(self.kernel) / counted).astype(x.type.dtype)
        return b(Mul(), b(conv, x, weight), np.expand_dims(factor, (0, axis)))

    def _counted(self, x: TensorType) -> Array | None:
        """How many elements of each window count, None where extents are unknown."""
        pads = _pads(self, x)
        if pads is None:
            return None
        counts = []
        for i, (before, after) in enumerate(pads):
            places, extent = _places(self, x, i, before)
            low, high = (-before, extent + after) if self.count_include_pad else (0, extent)
            counts.append(((places >= low) & (places < high)).sum(axis=1))
        return np.asarray(functools.reduce(np.multiply.outer, counts))


@operator
class LpPool(Op):
    """The p-norm of each window: ``(sum |x|^p)^(1/p)``; padding is 0.

    x: floating, ``N C spatial`` or ``N spatial C``.
    """

    p: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require(self.p >= 1, "a norm of order 1 or more")
        return _infer(self, x)

    def evaluate(self, x: Array) -> Array:
        return lp_pool(x, p=self.p, **_windows(self, x))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """A mean of ``|x|^p``, times the window's size."""
        padding = _without_ceil(self, x.type)
        if padding is None:
            return None
        mean = AveragePool(
            kernel=self.kernel,
            strides=self.strides,
            dilations=self.dilations,
            padding=padding,
            count_include_pad=True,
            layout=self.layout,
        )
        total = b(Mul(), b(mean, b(Pow(), b(Abs(), x), float(self.p))), float(math.prod(self.kernel)))
        return b(Pow(), total, 1 / self.p)


Pool = MaxPool | MaxPoolIndices | AveragePool | LpPool


def _infer(op: Pool, x: TensorType) -> TensorType:
    x.require(x.rank >= 3, "a batch, a channel and a spatial axis")
    require_windows(x, op.strides, op.dilations, op.padding)
    x.require(
        len(op.kernel) == x.rank - 2 and min(op.kernel) >= 1,
        "one positive kernel extent for each spatial axis",
    )
    axes = op.layout.spatial_axes(x.rank)
    covered = geometry.dilated(op.kernel, op.dilations)
    found = geometry.windows([x.shape[a] for a in axes], covered, op.strides, op.padding, ceil=op.ceil)
    shape = list(x.shape)
    for axis, extent in zip(axes, found, strict=True):
        shape[axis] = extent
    return x.with_shape(tuple(shape))


def _pads(op: Pool, x: TensorType) -> Pads | None:
    """The padding in elements, None where it depends on extents that are unknown."""
    extents = [x.shape[a] for a in op.layout.spatial_axes(x.rank)]
    if not all(isinstance(e, int) for e in extents):
        return None
    covered = geometry.dilated(op.kernel, op.dilations)
    return geometry.resolve(op.padding, dims.numbers(extents), covered, op.strides)


def _without_ceil(op: Pool, x: TensorType) -> Padding | None:
    """The padding with which no window hangs over, None where it depends on extents that are unknown."""
    if not op.ceil:
        return op.padding
    pads = _pads(op, x)
    if pads is None:
        return None
    axes, covered = op.layout.spatial_axes(x.rank), geometry.dilated(op.kernel, op.dilations)
    y, whole = _infer(op, x), []
    for axis, size, stride, (before, after) in zip(axes, covered, op.strides, pads, strict=True):
        extent, count = dims.numbers((x.shape[axis], y.shape[axis]))
        whole.append((before, max(after, (count - 1) * stride + size - extent - before)))
    return Explicit(tuple(whole))


def _places(op: Pool, x: TensorType, index: int, before: int) -> tuple[Array, int]:
    """What each window reads along a spatial axis, [windows, kernel]; and the extent of that axis.

    ``before`` is the padding; positions there are negative, and at the other end not below the extent.
    """
    axis = op.layout.spatial_axes(x.rank)[index]
    extent, count = dims.numbers((x.shape[axis], _infer(op, x).shape[axis]))
    starts = np.arange(count)[:, None] * op.strides[index] - before
    return starts + np.arange(op.kernel[index]) * op.dilations[index], extent


class _Windows(TypedDict):
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads
    out: tuple[int, ...]
    channels_last: bool


def _windows(op: Pool, x: Array) -> _Windows:
    """What every pooling kernel wants to know about its windows over ``x``."""
    axes = op.layout.spatial_axes(x.ndim)
    found = _infer(op, TensorType(x.dtype, x.shape)).static_shape
    covered = geometry.dilated(op.kernel, op.dilations)
    return {
        "kernel": op.kernel,
        "strides": op.strides,
        "dilations": op.dilations,
        "pads": geometry.resolve(op.padding, [x.shape[a] for a in axes], covered, op.strides),
        "out": tuple(found[a] for a in axes),
        "channels_last": op.layout is Layout.NHWC,
    }
