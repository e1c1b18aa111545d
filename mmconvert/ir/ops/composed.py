"""Functions of one tensor, element by element, that can be composed of simpler ones."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.special import ERF_FAR, ERF_LIMIT, ERF_NEAR, blockwise, erf_to
from mmconvert.ir.op import operator
from mmconvert.ir.ops.binary import Add, Atan2, Div, Max, Min, Mul, Sub
from mmconvert.ir.ops.logic import Less, Where
from mmconvert.ir.ops.unary import (
    Abs,
    Cos,
    Exp,
    Floor,
    Function,
    Log,
    Neg,
    NumericFunction,
    Sign,
    Sin,
    Sqrt,
    Unary,
)
from mmconvert.ir.types import Array


@operator
class Trunc(Function):
    """The whole number next to ``x`` on the side of zero."""

    _f = np.trunc

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), b(Sign(), x), b(Floor(), b(Abs(), x)))


@operator
class Reciprocal(Unary):
    """``1 / x``."""

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.true_divide(x.dtype.type(1), x))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Div(), 1.0, x)


@operator
class Rsqrt(Unary):
    """``1 / sqrt(x)``."""

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.true_divide(x.dtype.type(1), np.sqrt(x)))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Reciprocal(), b(Sqrt(), x))


@operator
class Square(NumericFunction):
    """``x * x``; of integers too."""

    _f = np.square

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), x, x)


@operator
class Log1p(Function):
    """``log(1 + x)``, accurate near zero; its decomposition is that only absolutely."""

    _f = np.log1p

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Log(), b(Add(), x, 1.0))


@operator
class Expm1(Function):
    """``exp(x) - 1``, accurate near zero; its decomposition is that only absolutely."""

    _f = np.expm1

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Sub(), b(Exp(), x), 1.0)


@operator
class Tan(Function):
    """The tangent of ``x`` in radians."""

    _f = np.tan

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Div(), b(Sin(), x), b(Cos(), x))


@operator
class Asin(Function):
    """The angle in [-pi/2, pi/2] whose sine is ``x``: ``atan2(x, sqrt((1 - x) * (1 + x)))``."""

    _f = np.arcsin

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Atan2(), x, b(Sqrt(), _one_minus_square(b, x)))


@operator
class Acos(Function):
    """The angle in [0, pi] whose cosine is ``x``: ``atan2(sqrt((1 - x) * (1 + x)), x)``."""

    _f = np.arccos

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Atan2(), b(Sqrt(), _one_minus_square(b, x)), x)


def _one_minus_square(b: Builder, x: Value) -> Value:
    return b(Mul(), b(Sub(), 1.0, x), b(Add(), 1.0, x))


@operator
class Sinh(Function):
    """``(exp(x) - exp(-x)) / 2``."""

    _f = np.sinh

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), b(Sub(), b(Exp(), x), b(Exp(), b(Neg(), x))), 0.5)


@operator
class Cosh(Function):
    """``(exp(x) + exp(-x)) / 2``."""

    _f = np.cosh

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Mul(), b(Add(), b(Exp(), x), b(Exp(), b(Neg(), x))), 0.5)


@operator
class Asinh(Function):
    """The inverse of sinh: ``sign(x) * log(|x| + sqrt(x * x + 1))``."""

    _f = np.arcsinh

    def decompose(self, b: Builder, x: Value) -> Value:
        size = b(Abs(), x)
        root = b(Sqrt(), b(Add(), b(Mul(), x, x), 1.0))
        return b(Mul(), b(Sign(), x), b(Log(), b(Add(), size, root)))


@operator
class Acosh(Function):
    """The inverse of cosh, of ``x >= 1``: ``log(x + sqrt((x - 1) * (x + 1)))``."""

    _f = np.arccosh

    def decompose(self, b: Builder, x: Value) -> Value:
        square = b(Mul(), b(Sub(), x, 1.0), b(Add(), x, 1.0))
        return b(Log(), b(Add(), x, b(Sqrt(), square)))


@operator
class Atanh(Function):
    """The inverse of tanh, of ``|x| < 1``: ``log((1 + x) / (1 - x)) / 2``."""

    _f = np.arctanh

    def decompose(self, b: Builder, x: Value) -> Value:
        ratio = b(Div(), b(Add(), 1.0, x), b(Sub(), 1.0, x))
        return b(Mul(), b(Log(), ratio), 0.5)


@operator
class Tanh(Function):
    """``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``; as ``2 / (1 + exp(-2 x)) - 1`` it does not overflow."""

    _f = np.tanh

    def decompose(self, b: Builder, x: Value) -> Value:
        power = b(Exp(), b(Mul(), x, -2.0))
        return b(Sub(), b(Div(), 2.0, b(Add(), power, 1.0)), 1.0)


@operator
class Erf(Unary):
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t * t)`` from 0 to ``x``.

    ``kernels.special`` has the formula; the decomposition is the same polynomials as a graph.
    """

    def evaluate(self, x: Array) -> Array:
        return blockwise(erf_to, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        precision = np.dtype(np.float64 if x.type.dtype == np.float64 else np.float32)
        size = b(Abs(), x)
        inside = b(Min(), size, 1.0)
        near = b(Mul(), _polynomial(b, ERF_NEAR[precision], b(Mul(), inside, inside)), x)
        outside = b(Min(), b(Max(), size, 1.0), ERF_LIMIT[precision])
        decay = b(Exp(), b(Neg(), b(Mul(), outside, outside)))
        tail = _polynomial(b, ERF_FAR[precision], b(Div(), 1.0, b(Add(), outside, 2.0)))
        far = b(Sub(), 1.0, b(Mul(), tail, decay))
        return b(Where(), b(Less(), size, 1.0), near, b(Mul(), b(Sign(), x), far))


def _polynomial(b: Builder, coefficients: tuple[float, ...], x: Value) -> Value:
    total = b(Mul(), x, coefficients[-1])
    for coefficient in coefficients[-2:0:-1]:
        total = b(Mul(), b(Add(), total, coefficient), x)
    return b(Add(), total, coefficients[0])
