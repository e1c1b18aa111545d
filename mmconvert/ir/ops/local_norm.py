"""Normalisations by the length of a vector, and by the neighbouring channels."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.reduce import reduce_axes
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add, Div, Max, Mul, Pow
from mmconvert.ir.ops.conv import Conv
from mmconvert.ir.ops.logic import Equal, Where
from mmconvert.ir.ops.reduce import ReduceL1, ReduceL2, ReduceSumSquare, widen
from mmconvert.ir.ops.unary import Sqrt
from mmconvert.ir.types import Array, Layout, TensorType


@operator
class LRN(Op):
    """``x / (bias + alpha / size * s) ** beta``, where ``s`` sums the squares of ``size`` channels.

    x: floating point, channels along ``axis``. The window of channel ``c`` runs from
    ``c - floor((size - 1) / 2)`` to ``c + ceil((size - 1) / 2)``, cut off at the ends. The
    formula is that of ONNX, after Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep
    convolutional neural networks", 2012.
    """

    size: int
    alpha: float
    beta: float
    bias: float
    axis: int

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require(self.size > 0, "a window of at least one channel").axis(self.axis)
        return x

    def evaluate(self, x: Array) -> Array:
        wide = widen(x)
        total = self._window_sums(np.square(wide))
        total *= self.alpha / self.size
        total += self.bias
        np.power(total, -self.beta, out=total)
        total *= wide
        return total.astype(x.dtype, copy=False)

    def _window_sums(self, squares: Array) -> Array:
        total = squares.copy()
        channels = squares.shape[self.axis]
        before = (slice(None),) * self.axis
        for offset in range(-((self.size - 1) // 2), self.size // 2 + 1):
            if 0 < abs(offset) < channels:
                to = slice(max(0, -offset), channels - max(0, offset))
                source = slice(max(0, offset), channels - max(0, -offset))
                total[(*before, to)] += squares[(*before, source)]
        return total

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """The window sums as a 1x1 convolution with a band of ``alpha / size`` around the diagonal."""
        rank, channels = x.type.rank, x.type.shape[self.axis]
        if rank < 3 or self.axis not in (1, rank - 1) or not isinstance(channels, int):
            return None
        layout = Layout.NCHW if self.axis == 1 else Layout.NHWC
        distance = (
            np.arange(channels) - np.arange(channels)[:, None]
        )  # of an input channel from an output one
        inside = (distance >= -((self.size - 1) // 2)) & (distance <= self.size // 2)
        ones = (1,) * (rank - 2)
        shape = (channels, channels, *ones) if layout is Layout.NCHW else (channels, *ones, channels)
        band = (inside * (self.alpha / self.size)).reshape(shape).astype(x.type.dtype)
        conv = Conv(strides=ones, dilations=ones, padding=Explicit.zero(rank - 2), layout=layout)
        total = b(Add(), b(conv, b(Mul(), x, x), band), self.bias)
        return b(Div(), x, b(Pow(), total, self.beta))


@operator
class LpNormalization(Op):
    """``x / norm`` with the L1 or L2 norm (``p`` 1 or 2) along ``axis``; a line of zeros stays as it is."""

    axis: int
    p: int

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require(self.p in (1, 2), "the norm 1 or 2").axis(self.axis)
        return x

    def evaluate(self, x: Array) -> Array:
        wide = widen(x)
        powers = np.abs(wide) if self.p == 1 else np.square(wide)
        norm = reduce_axes(np.add, powers, (self.axis,), keepdims=True)
        if self.p == 2:
            norm = np.sqrt(norm)
        y = wide / np.where(norm == 0, norm.dtype.type(1), norm)
        return y.astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value) -> Value:
        reduce = ReduceL1 if self.p == 1 else ReduceL2
        norm = b(reduce(axes=(self.axis,), keepdims=True), x)
        return b(Div(), x, b(Where(), b(Equal(), norm, 0), b.constant(1, x.type.dtype), norm))


@operator
class L2Normalization(Op):
    """``x / sqrt(max(sum(x * x), epsilon))`` with the sum over ``axes``, as Keras and TFLite have it."""

    axes: tuple[int, ...]
    epsilon: float

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().axes(self.axes)
        return x

    def evaluate(self, x: Array) -> Array:
        wide = widen(x)
        total = reduce_axes(np.add, np.square(wide), self.axes, keepdims=True)
        y = wide / np.sqrt(np.maximum(total, total.dtype.type(self.epsilon)))
        return np.asarray(y, dtype=x.dtype)

    def decompose(self, b: Builder, x: Value) -> Value:
        total = b(ReduceSumSquare(axes=self.axes, keepdims=True), x)
        return b(Div(), x, b(Sqrt(), b(Max(), total, self.epsilon)))
