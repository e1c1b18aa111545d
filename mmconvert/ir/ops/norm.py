"""Normalisations by the statistics of the tensor itself, and BatchNorm by given ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels import elementwise
from mmconvert.ir.kernels.reduce import reduce_axes
from mmconvert.ir.kernels.special import rowwise
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add, Div, Mul, Sub
from mmconvert.ir.ops.logic import require_same_dtype
from mmconvert.ir.ops.reduce import ReduceMean, widen
from mmconvert.ir.ops.shape import Reshape
from mmconvert.ir.ops.unary import Sqrt
from mmconvert.ir.types import Array, Extent, Layout, Shape, TensorType


@operator
class BatchNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` with given statistics per channel.

    x: floating point, channels along ``axis``. The others: one number per channel, of the same type.
    Ioffe and Szegedy, "Batch normalization", 2015, at inference.
    """

    epsilon: float
    axis: int

    def infer(
        self, x: TensorType, scale: TensorType, bias: TensorType, mean: TensorType, variance: TensorType
    ) -> TensorType:
        channels = x.require_float().shape[x.axis(self.axis)]
        for vector in (scale, bias, mean, variance):
            require_channels(x, vector, channels)
        return x

    def evaluate(self, x: Array, scale: Array, bias: Array, mean: Array, variance: Array) -> Array:
        factor, shift = self._folded(scale, bias, mean, variance)
        return elementwise.affine(widen(x), factor, shift, self.axis).astype(x.dtype, copy=False)

    def evaluate_in_place(self, x: Array, *rest: Any) -> Array | None:
        factor, shift = self._folded(*rest)
        fits = np.result_type(x, factor, shift) == x.dtype
        return elementwise.affine(x, factor, shift, self.axis, out=x) if fits else None

    def _folded(self, scale: Array, bias: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
        scale, bias, mean, variance = (widen(v) for v in (scale, bias, mean, variance))
        factor = scale / np.sqrt(variance + self.epsilon)
        return factor, bias - mean * factor

    def decompose(
        self, b: Builder, x: Value, scale: Value, bias: Value, mean: Value, variance: Value
    ) -> Value:
        factor = b(Div(), scale, b(Sqrt(), b(Add(), variance, self.epsilon)))
        shift = b(Sub(), bias, b(Mul(), mean, factor))
        return scale_and_shift(b, x, factor, shift, (self.axis,))


@operator
class LayerNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` with the statistics over ``axes``.

    x: floating point. scale, bias: absent, or with the extents of ``axes``, which are in ascending order.
    The variance is the biased one. Ba, Kiros and Hinton, "Layer normalization", 2016.
    """

    axes: tuple[int, ...]
    epsilon: float

    def infer(
        self, x: TensorType, scale: TensorType | None = None, bias: TensorType | None = None
    ) -> TensorType:
        require_affine(x.require_float(), self.axes, scale, bias)
        return x

    def evaluate(self, x: Array, scale: Array | None = None, bias: Array | None = None) -> Array:
        wide, count = widen(x), math.prod(x.shape[a] for a in self.axes)
        factor, shift = (None if p is None else widen(p) for p in (scale, bias))
        if x.flags.c_contiguous and self.axes == tuple(range(x.ndim - len(self.axes), x.ndim)):

            def fill(rows: Array, out: Array) -> None:
                self._normalize(rows, (1,), factor, shift, out)

            y = rowwise(fill, wide, count)
        else:
            y = np.empty_like(wide)
            self._normalize(wide, self.axes, factor, shift, y)
        return y.astype(x.dtype, copy=False)

    def _normalize(
        self, x: Array, axes: tuple[int, ...], scale: Array | None, bias: Array | None, out: Array
    ) -> None:
        shape = along(axes, x.shape)
        standardize(x, axes, self.epsilon, out)
        if scale is not None:
            out *= scale.reshape(shape)
        if bias is not None:
            out += bias.reshape(shape)

    def decompose(self, b: Builder, x: Value, scale: Value | None = None, bias: Value | None = None) -> Value:
        mean = ReduceMean(axes=self.axes, keepdims=True)
        centred = b(Sub(), x, b(mean, x))
        variance = b(mean, b(Mul(), centred, centred))
        y = b(Div(), centred, b(Sqrt(), b(Add(), variance, self.epsilon)))
        return scale_and_shift(b, y, scale, bias, self.axes)


@operator
class RMSNorm(Op):
    """``x / sqrt(mean(x * x) + epsilon) * scale`` with the mean over ``axes``.

    x: floating point. scale: absent, or with the extents of ``axes``, which are in ascending order.
    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """

    axes: tuple[int, ...]
    epsilon: float

    def infer(self, x: TensorType, scale: TensorType | None = None) -> TensorType:
        require_affine(x.require_float(), self.axes, scale)
        return x

    def evaluate(self, x: Array, scale: Array | None = None) -> Array:
        wide = widen(x)
        y = wide * inverse_root(mean_square(wide, self.axes), self.epsilon)
        if scale is not None:
            y *= widen(scale).reshape(along(self.axes, x.shape))
        return y.astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value, scale: Value | None = None) -> Value:
        power = b(ReduceMean(axes=self.axes, keepdims=True), b(Mul(), x, x))
        y = b(Div(), x, b(Sqrt(), b(Add(), power, self.epsilon)))
        return scale_and_shift(b, y, scale, None, self.axes)


@operator
class InstanceNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` with the statistics of each channel's picture.

    x: floating point, batch and channels and at least one spatial axis, in ``layout``. scale, bias: one
    number per channel. The variance is the biased one. Ulyanov, Vedaldi and Lempitsky, "Instance
    normalization", 2016.
    """

    epsilon: float
    layout: Layout

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        channels = picture_channels(x, self.layout)
        require_channels(x, scale, channels)
        require_channels(x, bias, channels)
        return x

    def evaluate(self, x: Array, scale: Array, bias: Array) -> Array:
        y = standardize(widen(x), tuple(self.layout.spatial_axes(x.ndim)), self.epsilon)
        return affine_to(y, scale, bias, self.layout.channel_axis(x.ndim)).astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value, scale: Value, bias: Value) -> Value:
        axes = tuple(self.layout.spatial_axes(x.type.rank))
        y = b(LayerNorm(axes=axes, epsilon=self.epsilon), x)
        return scale_and_shift(b, y, scale, bias, (self.layout.channel_axis(x.type.rank),))


@operator
class GroupNorm(Op):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` with the statistics of each group of channels.

    x: floating point, batch and channels and any number of spatial axes, in ``layout``; the channels form
    ``groups`` groups of neighbours. scale, bias: one number per channel. The variance is the biased one.
    Wu and He, "Group normalization", 2018.
    """

    groups: int
    epsilon: float
    layout: Layout

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        x.require_float().require(x.rank >= 2, "a batch axis and a channel axis")
        channels = x.shape[self.layout.channel_axis(x.rank)]
        whole = not isinstance(channels, int) or (self.groups > 0 and channels % self.groups == 0)
        x.require(whole, f"a multiple of {self.groups} channels")
        require_channels(x, scale, channels)
        require_channels(x, bias, channels)
        return x

    def evaluate(self, x: Array, scale: Array, bias: Array) -> Array:
        split, axes = self._split(x.shape)
        y = standardize(widen(x).reshape(dims.numbers(split)), axes, self.epsilon).reshape(x.shape)
        return affine_to(y, scale, bias, self.layout.channel_axis(x.ndim)).astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value, scale: Value, bias: Value) -> Value:
        split, axes = self._split(x.type.shape)
        y = b(LayerNorm(axes=axes, epsilon=self.epsilon), b(Reshape(shape=split), x))
        whole = b(Reshape(shape=x.type.shape), y)
        return scale_and_shift(b, whole, scale, bias, (self.layout.channel_axis(x.type.rank),))

    def _split(self, shape: Shape) -> tuple[Shape, tuple[int, ...]]:
        """The shape with the channel axis cut in groups, and the axes that the statistics are over."""
        channel = self.layout.channel_axis(len(shape))
        groups = (self.groups, dims.floordiv(shape[channel], self.groups))
        spatial = self.layout.spatial_axes(len(shape))
        axes = (
            (channel + 1, *(a + 1 for a in spatial))
            if self.layout is Layout.NCHW
            else (*spatial, channel + 1)
        )
        return (*shape[:channel], *groups, *shape[channel + 1 :]), axes


def require_channels(x: TensorType, vector: TensorType, channels: Extent) -> None:
    """Checks that ``vector`` has one element of the type of ``x`` for each of its ``channels``."""
    require_same_dtype(x, vector.require_rank(1))
    difference = vector.shape[0] - channels
    vector.require(not isinstance(difference, int) or difference == 0, f"one number per channel of {x}")


def require_affine(x: TensorType, axes: tuple[int, ...], *parameters: TensorType | None) -> None:
    """Checks ``axes``, and that each parameter has the type of ``x`` and the extents of ``axes``."""
    x.require(bool(axes) and list(x.axes(axes)) == sorted(axes), "axes in ascending order")
    for parameter in parameters:
        if parameter is not None:
            require_same_dtype(x, parameter.require_rank(len(axes)))
            for axis, extent in zip(axes, parameter.shape, strict=True):
                difference = extent - x.shape[axis]
                fits = not isinstance(difference, int) or difference == 0
                parameter.require(fits, f"the extents of {x} along {axes}")


def picture_channels(x: TensorType, layout: Layout) -> Extent:
    """The number of channels of ``x``, which has spatial axes."""
    x.require_float().require(x.rank >= 3, "a batch axis, a channel axis and spatial axes")
    return x.shape[layout.channel_axis(x.rank)]


def along(axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` with 1 everywhere but at ``axes``."""
    return tuple(e if a in axes else 1 for a, e in enumerate(shape))


def standardize(x: Array, axes: tuple[int, ...], epsilon: float, out: Array | None = None) -> Array:
    """``(x - mean) / sqrt(variance + epsilon)`` over ``axes``, in ``out`` or a new array."""
    count = math.prod(x.shape[a] for a in axes)
    mean = reduce_axes(np.add, x, axes, keepdims=True) / x.dtype.type(count)
    y: Array = np.subtract(x, mean, out=out)
    y *= inverse_root(mean_square(y, axes), epsilon)
    return y


def mean_square(x: Array, axes: tuple[int, ...]) -> Array:
    """The mean of squares over ``axes``, which stay with extent 1."""
    count = math.prod(x.shape[a] for a in axes)
    if axes == tuple(range(x.ndim - len(axes), x.ndim)) and x.flags.c_contiguous:
        rows = x.reshape(*x.shape[: -len(axes)], count)
        total = np.vecdot(rows, rows).reshape(*rows.shape[:-1], *(1,) * len(axes))
    else:
        total = reduce_axes(np.add, np.square(x), axes, keepdims=True)
    return np.asarray(total / x.dtype.type(count))


def inverse_root(x: Array, epsilon: float) -> Array:
    """``1 / sqrt(x + epsilon)``."""
    return np.asarray(1 / np.sqrt(x + x.dtype.type(epsilon)))


def affine_to(y: Array, scale: Array, bias: Array, axis: int) -> Array:
    """``y * scale + bias`` along ``axis``, in place."""
    return elementwise.affine(y, widen(scale), widen(bias), axis, out=y)


def scale_and_shift(
    b: Builder, x: Value, scale: Value | None, shift: Value | None, axes: tuple[int, ...]
) -> Value:
    """``x * scale + shift`` as nodes; ``scale`` and ``shift``, where present, run along ``axes``."""
    rank = x.type.rank
    for op, operand in ((Mul(), scale), (Add(), shift)):
        if operand is None:
            continue
        if axes != tuple(range(rank - len(axes), rank)):
            spread = iter(operand.type.shape)
            shape = tuple(next(spread) if a in axes else 1 for a in range(rank))
            operand = b(Reshape(shape=shape), operand)
        x = b(op, x, operand)
    return x
