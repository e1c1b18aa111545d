"""Activations made of exponentials. All are computed so that nothing overflows."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.special import blockwise, erf_to
from mmconvert.ir.op import operator
from mmconvert.ir.ops.activation import Relu
from mmconvert.ir.ops.binary import Add, Div, Min, Mul, Sub
from mmconvert.ir.ops.composed import Erf, Tanh
from mmconvert.ir.ops.unary import Abs, Exp, Log, Neg, Unary
from mmconvert.ir.types import Array

_SQRT_HALF = math.sqrt(0.5)
_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


@operator
class Sigmoid(Unary):
    """``1 / (1 + exp(-x))``."""

    def evaluate(self, x: Array) -> Array:
        return blockwise(_sigmoid, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Div(), 1.0, b(Add(), b(Exp(), b(Neg(), x)), 1.0))


def _sigmoid(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    with np.errstate(over="ignore"):  # 1 / inf is the right answer
        np.exp(out, out=out)
    out += 1
    np.divide(1, out, out=out)


@operator
class Silu(Unary):
    """``x * sigmoid(x)``, also called swish."""

    def evaluate(self, x: Array) -> Array:
        return blockwise(_silu, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), x, b(Sigmoid(), x))


def _silu(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    with np.errstate(over="ignore"):  # x / inf is the right answer
        np.exp(out, out=out)
    out += 1
    np.divide(x, out, out=out)


@operator
class Softplus(Unary):
    """``log(1 + exp(beta * x)) / beta``, computed as ``max(x, 0) + log(1 + exp(-|beta * x|)) / beta``.

    ``beta`` is above zero.
    """

    beta: float = 1.0

    def evaluate(self, x: Array) -> Array:
        return blockwise(self._formula, x)

    def _formula(self, x: Array, out: Array) -> None:
        np.absolute(x, out=out)
        out *= -self.beta
        np.log1p(np.exp(out, out=out), out=out)
        out *= 1 / self.beta
        out += np.clip(x, 0, np.inf)

    def decompose(self, b: Builder, x: Value) -> Value:
        power = b(Exp(), b(Mul(), b(Abs(), x), -self.beta))
        tail = b(Log(), b(Add(), power, 1.0))
        return b(Add(), b(Relu(), x), b(Mul(), tail, 1 / self.beta))


@operator
class Mish(Unary):
    """``x * tanh(log(1 + exp(x)))``, computed as ``x * n / (n + 2)`` with ``n = exp(x) * (exp(x) + 2)``.

    Diganta Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """

    def evaluate(self, x: Array) -> Array:
        return blockwise(_mish, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), x, b(Tanh(), b(Softplus(), x)))


def _mish(x: Array, out: Array) -> None:
    power = np.exp(np.clip(x, -np.inf, 40))  # from 40 on n / (n + 2) is 1, and no square overflows
    np.add(power, 2, out=out)
    out *= power
    np.add(out, 2, out=power)
    out /= power
    out *= x


@operator
class Gelu(Unary):
    """``x * P(X <= x)`` for a standard normal ``X``: ``x / 2 * (1 + erf(x / sqrt(2)))``.

    With ``approximate`` it is ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))``. Both forms are
    those of Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """

    approximate: bool = False

    def evaluate(self, x: Array) -> Array:
        return blockwise(_gelu_tanh if self.approximate else _gelu, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        if self.approximate:
            # x + c * x ** 3 is x * (1 + c * x ** 2), which takes one product less.
            slope = b(Add(), b(Mul(), b(Mul(), x, x), _GELU_SCALE * _GELU_CUBIC), _GELU_SCALE)
            turned = b(Tanh(), b(Mul(), slope, x))
        else:
            turned = b(Erf(), b(Mul(), x, _SQRT_HALF))
        return b(Mul(), b(Mul(), x, 0.5), b(Add(), turned, 1.0))


def _gelu(x: Array, out: Array) -> None:
    erf_to(np.multiply(x, _SQRT_HALF), out)
    out += 1
    out *= x
    out *= 0.5


def _gelu_tanh(x: Array, out: Array) -> None:
    np.square(x, out=out)
    out *= _GELU_CUBIC
    out += 1
    out *= x
    out *= _GELU_SCALE
    np.tanh(out, out=out)
    out += 1
    out *= x
    out *= 0.5


@operator
class Elu(Unary):
    """``x`` above zero, ``alpha * (exp(x) - 1)`` below.

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by ELUs", 2015.
    """

    alpha: float = 1.0

    def evaluate(self, x: Array) -> Array:
        return blockwise(lambda part, out: _exponential(part, out, self.alpha, 1.0), x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Add(), b(Relu(), x), _below(b, x, self.alpha, 1.0))


@operator
class Selu(Unary):
    """``gamma * x`` above zero, ``gamma * alpha * (exp(x) - 1)`` below.

    The defaults are the constants of Klambauer et al., "Self-normalizing neural networks", 2017.
    """

    alpha: float = 1.6732632423543772
    gamma: float = 1.0507009873554805

    def evaluate(self, x: Array) -> Array:
        return blockwise(self._formula, x)

    def _formula(self, x: Array, out: Array) -> None:
        _exponential(x, out, self.alpha, 1.0)
        out *= self.gamma

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), b(Add(), b(Relu(), x), _below(b, x, self.alpha, 1.0)), self.gamma)


@operator
class Celu(Unary):
    """``x`` above zero, ``alpha * (exp(x / alpha) - 1)`` below, which is smooth for every ``alpha``.

    Jonathan Barron, "Continuously differentiable exponential linear units", 2017.
    """

    alpha: float = 1.0

    def evaluate(self, x: Array) -> Array:
        return blockwise(lambda part, out: _exponential(part, out, self.alpha, 1 / self.alpha), x)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Add(), b(Relu(), x), _below(b, x, self.alpha, 1 / self.alpha))


def _exponential(x: Array, out: Array, alpha: float, rate: float) -> None:
    """``out = max(x, 0) + alpha * (exp(rate * min(x, 0)) - 1)``."""
    np.clip(x, -np.inf, 0, out=out)
    out *= rate
    np.expm1(out, out=out)
    out *= alpha
    out += np.clip(x, 0, np.inf)


def _below(b: Builder, x: Value, alpha: float, rate: float) -> Value:
    negative = b(Min(), x, 0)
    power = b(Exp(), negative if rate == 1 else b(Mul(), negative, rate))
    return b(Mul(), b(Sub(), power, 1.0), alpha)
