"""Activations made of straight pieces, and those that need one division."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels import elementwise
from mmconvert.ir.kernels.special import blockwise
from mmconvert.ir.op import Elementwise, operator
from mmconvert.ir.ops.binary import Add, Div, Max, Min, Mul, Sub
from mmconvert.ir.ops.logic import Greater, Less, Where, require_same_dtype
from mmconvert.ir.ops.unary import Abs, Identity, Unary
from mmconvert.ir.types import Array, TensorType, broadcast


@operator
class Relu(Elementwise):
    """``max(x, 0)``; of integers too."""

    def infer(self, x: TensorType) -> TensorType:
        return x.require_numeric()

    def evaluate(self, x: Array) -> Array:
        return np.asarray(elementwise.relu(x))

    def evaluate_in_place(self, x: Array, *rest: Any) -> Array | None:
        return elementwise.relu(x, out=x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Max(), x, 0)


@operator
class LeakyRelu(Unary):
    """``x`` above zero, ``alpha * x`` below."""

    alpha: float

    def evaluate(self, x: Array) -> Array:
        scaled = np.asarray(np.multiply(x, x.dtype.type(self.alpha)))
        # The right piece is the larger one when alpha is at most 1, and the smaller one otherwise.
        choose = np.maximum if self.alpha <= 1 else np.minimum
        return np.asarray(choose(x, scaled, out=scaled))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Add(), b(Relu(), x), b(Mul(), b(Min(), x, 0), self.alpha))


@operator
class PRelu(Elementwise):
    """``x`` above zero, ``slope * x`` below; ``slope`` broadcasts to ``x`` by NumPy's rule."""

    def infer(self, x: TensorType, slope: TensorType) -> TensorType:
        require_same_dtype(x.require_float(), slope)
        grows = slope.rank > x.rank or any(
            e == 1 and s != 1 for e, s in zip(reversed(x.shape), reversed(slope.shape), strict=False)
        )
        slope.require(not grows, f"a slope that broadcasts to {x}")
        broadcast(x, slope)
        return x

    def evaluate(self, x: Array, slope: Array) -> Array:
        number = x.dtype.type
        y = np.asarray(np.multiply(np.minimum(x, number(0)), slope))
        y += elementwise.relu(x)
        return y

    def decompose(self, b: Builder, x: Value, slope: Value) -> Value:
        return b(Add(), b(Relu(), x), b(Mul(), b(Min(), x, 0), slope))


@operator
class ThresholdedRelu(Unary):
    """``x`` where it is above ``alpha``, 0 elsewhere."""

    alpha: float

    def evaluate(self, x: Array) -> Array:
        return np.where(x > x.dtype.type(self.alpha), x, x.dtype.type(0))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Where(), b(Greater(), x, self.alpha), x, b.constant(0, x.type.dtype))


@operator
class Clip(Elementwise):
    """``min(max(x, low), high)``; of integers too. A bound of None is absent.

    Bounds outside the range of an integer type bound nothing; the fraction of a bound is cut off.
    """

    low: float | None
    high: float | None

    def infer(self, x: TensorType) -> TensorType:
        return x.require_numeric()

    def evaluate(self, x: Array) -> Array:
        low, high = self.bounds(x.dtype)
        if low is None and high is None:
            return x
        if x.dtype.kind == "f":
            return elementwise.clip(x, *_limits(low, high))
        clipped = np.clip(x, _scalar(low, x.dtype), _scalar(high, x.dtype))
        return np.asarray(clipped, dtype=x.dtype)  # numpy computes types that are not its own in wider ones

    def evaluate_in_place(self, x: Array, *rest: Any) -> Array | None:
        low, high = self.bounds(x.dtype)
        return elementwise.clip(x, *_limits(low, high), out=x) if x.dtype.kind == "f" else None

    def decompose(self, b: Builder, x: Value) -> Value:
        low, high = self.bounds(x.type.dtype)
        if low is None and high is None:
            return b(Identity(), x)
        raised = x if low is None else b(Max(), x, low)
        return raised if high is None else b(Min(), raised, high)

    def bounds(self, dtype: DType) -> tuple[float | None, float | None]:
        """``low`` and ``high`` as they bound elements of ``dtype``: for integers whole, and in range."""
        if dtypes.is_float(dtype):
            return self.low, self.high
        name = dtypes.name(dtype)
        bits = int(name[1:])
        lowest, count = (0, 1 << bits) if name.startswith("u") else (-1 << (bits - 1), 1 << bits)
        highest = lowest + count - 1
        return _whole(self.low, lowest, highest), _whole(self.high, lowest, highest)


def _whole(bound: float | None, lowest: int, highest: int) -> int | None:
    if bound is None or math.isnan(bound):
        return None
    return int(min(max(bound, lowest), highest))


def _limits(low: float | None, high: float | None) -> tuple[float, float]:
    return -math.inf if low is None else low, math.inf if high is None else high


def _scalar(bound: float | None, dtype: DType) -> Array | None:
    return None if bound is None else np.asarray(bound, dtype=dtype)


@operator
class Shrink(Elementwise):
    """``x + bias`` below ``-threshold``, ``x - bias`` above ``threshold``, 0 between them.

    ``bias`` 0 is the hard shrinkage, ``bias`` equal to ``threshold`` the soft one.
    """

    bias: float
    threshold: float

    def infer(self, x: TensorType) -> TensorType:
        return x.require_float()

    def evaluate(self, x: Array) -> Array:
        number = x.dtype.type
        bias, threshold = number(self.bias), number(self.threshold)
        inner = np.where(x > threshold, x - bias, number(0))
        return np.asarray(np.where(x < -threshold, x + bias, inner))

    def decompose(self, b: Builder, x: Value) -> Value:
        zero = b.constant(0, x.type.dtype)
        above = b(Where(), b(Greater(), x, self.threshold), b(Sub(), x, self.bias), zero)
        return b(Where(), b(Less(), x, -self.threshold), b(Add(), x, self.bias), above)


@operator
class HardSigmoid(Unary):
    """``clip(alpha * x + beta, 0, 1)``."""

    alpha: float = 0.2
    beta: float = 0.5

    def evaluate(self, x: Array) -> Array:
        return blockwise(self._ramp, x)

    def _ramp(self, x: Array, out: Array) -> None:
        np.multiply(x, x.dtype.type(self.alpha), out=out)
        out += x.dtype.type(self.beta)
        np.clip(out, 0, 1, out=out)

    def decompose(self, b: Builder, x: Value) -> Value:
        ramp = b(Add(), b(Mul(), x, self.alpha), self.beta)
        return b(Clip(low=0.0, high=1.0), ramp)


@operator
class HardSwish(Unary):
    """``x * clip(x / 6 + 1 / 2, 0, 1)``."""

    def evaluate(self, x: Array) -> Array:
        return blockwise(_hard_swish, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), x, b(HardSigmoid(alpha=1 / 6, beta=0.5), x))


def _hard_swish(x: Array, out: Array) -> None:
    np.add(x, 3, out=out)
    np.clip(out, 0, 6, out=out)
    out *= x
    out *= 1 / 6


@operator
class Softsign(Unary):
    """``x / (1 + |x|)``."""

    def evaluate(self, x: Array) -> Array:
        return blockwise(_softsign, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Div(), x, b(Add(), b(Abs(), x), 1.0))


def _softsign(x: Array, out: Array) -> None:
    np.absolute(x, out=out)
    out += 1
    np.divide(x, out, out=out)
