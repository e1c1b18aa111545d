"""Arithmetic on the elements of two tensors of one type, which broadcast by NumPy's rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Elementwise, operator
from mmconvert.ir.ops import symbolic
from mmconvert.ir.ops.logic import And, Equal, Greater, Less, Not, Where, Xor, require_same_dtype
from mmconvert.ir.ops.unary import Abs, Atan, Cast, Floor, Sign
from mmconvert.ir.types import Array, TensorType, broadcast


class Binary(Elementwise):
    """A function of two numeric tensors of one element type, which broadcast; the type stays."""

    __slots__ = ()

    _f: ClassVar[np.ufunc]

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a.require_numeric(), b)
        return a.with_shape(broadcast(a, b))

    def evaluate(self, a: Array, b: Array) -> Array:
        # numpy computes types that are not its own, such as four-bit integers, in wider ones.
        return np.asarray(self._f(a, b), dtype=a.dtype)

    def evaluate_in_place(self, x: Array, *rest: Any) -> Array | None:
        (b,) = rest
        fits = type(self).evaluate is Binary.evaluate and b.ndim <= x.ndim and x.dtype.kind in "fiu"
        fits = fits and all(m in (1, n) for n, m in zip(reversed(x.shape), reversed(b.shape), strict=False))
        return np.asarray(self._f(x, b, out=x)) if fits else None


@operator
class Add(Binary):
    """``a + b``."""

    symbolic: ClassVar[bool] = True

    _f = np.add


@operator
class Sub(Binary):
    """``a - b``."""

    symbolic: ClassVar[bool] = True

    _f = np.subtract


@operator
class Mul(Binary):
    """``a * b``."""

    symbolic: ClassVar[bool] = True

    _f = np.multiply


@operator
class Div(Binary):
    """``a / b``; the quotient of integers is truncated towards zero, as in C."""

    def evaluate(self, a: Array, b: Array) -> Array:
        if dtypes.is_float(a.dtype):
            return np.asarray(np.true_divide(a, b))
        # What fmod leaves is a multiple of b, so that the division is exact in either rounding.
        return np.asarray(np.floor_divide(np.subtract(a, np.fmod(a, b)), b))

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return symbolic.combine(symbolic.truncated_quotient, contents)


@operator
class FloorDiv(Binary):
    """``floor(a / b)``; of floats the quotient is rounded before it is floored, as in TensorFlow."""

    def evaluate(self, a: Array, b: Array) -> Array:
        if dtypes.is_float(a.dtype):
            return np.asarray(np.floor(np.true_divide(a, b)))
        return np.asarray(np.floor_divide(a, b))

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return symbolic.combine(symbolic.floored_quotient, contents)

    def decompose(self, b: Builder, a: Value, divisor: Value) -> Value:
        quotient = b(Div(), a, divisor)
        if dtypes.is_float(a.type.dtype):
            return b(Floor(), quotient)
        rest = b(Sub(), a, b(Mul(), quotient, divisor))
        signs_differ = b(Xor(), b(Less(), rest, 0), b(Less(), divisor, 0))
        above = b(And(), b(Not(), b(Equal(), rest, 0)), signs_differ)
        return b(Sub(), quotient, b(Cast(to=a.type.dtype), above))


@operator
class Mod(Binary):
    """``a - floor(a / b) * b``, which has the sign of ``b``: Python's ``%``."""

    _f = np.remainder

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return symbolic.combine(lambda a, b: a % b if b != 0 else None, contents)

    def decompose(self, b: Builder, a: Value, divisor: Value) -> Value:
        return b(Sub(), a, b(Mul(), b(FloorDiv(), a, divisor), divisor))


@operator
class Fmod(Binary):
    """``a - trunc(a / b) * b``, which has the sign of ``a``: C's ``fmod``."""

    _f = np.fmod

    def decompose(self, b: Builder, a: Value, divisor: Value) -> Value:
        return b(Mul(), b(Sign(), a), b(Mod(), b(Abs(), a), b(Abs(), divisor)))


@operator
class Pow(Binary):
    """``a ** b``; of integers the result is truncated, so that ``2 ** -1`` is 0."""

    def evaluate(self, a: Array, b: Array) -> Array:
        # Squares and cubes are what models ask for, and multiplying is an order of magnitude quicker.
        if b.size == 1 and b.ndim <= a.ndim and b.item() in (2, 3):
            square = np.multiply(a, a)
            return np.asarray(square if b.item() == 2 else np.multiply(square, a))
        if dtypes.is_float(a.dtype):
            return np.asarray(np.power(a, b))
        power = np.power(a, np.maximum(b, b.dtype.type(0)))
        vanishes = np.logical_and(b < 0, np.abs(a) != 1)
        # The powers of 1 and -1 depend on the parity of the exponent only, whatever its sign.
        unit = np.power(np.sign(a), np.bitwise_and(b, b.dtype.type(1)))
        return np.asarray(np.where(b < 0, np.where(vanishes, a.dtype.type(0), unit), power))


@operator
class Min(Binary):
    """The smaller of ``a`` and ``b``; NaN where one of them is."""

    _f = np.minimum

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return symbolic.combine(symbolic.smaller, contents)


@operator
class Max(Binary):
    """The larger of ``a`` and ``b``; NaN where one of them is."""

    _f = np.maximum

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return symbolic.combine(symbolic.greater, contents)


@operator
class SquaredDifference(Binary):
    """``(a - b) ** 2``."""

    def evaluate(self, a: Array, b: Array) -> Array:
        difference = np.asarray(np.subtract(a, b))
        difference *= difference
        return difference

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        difference = b(Sub(), a, other)
        return b(Mul(), difference, difference)


@operator
class Atan2(Binary):
    """The angle of the point ``(b, a)`` in [-pi, pi]: ``atan(a / b)``, turned into the right quadrant."""

    _f = np.arctan2

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a.require_float(), b)
        return a.with_shape(broadcast(a, b))

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        def number(value: float) -> Value:
            return b.constant(value, a.type.dtype)

        origin = b(And(), b(Equal(), a, 0), b(Equal(), other, 0))
        slope = b(Atan(), b(Div(), a, b(Where(), origin, number(1), other)))
        turn = b(Where(), b(Less(), a, 0), number(-math.pi), number(math.pi))
        return b(Add(), slope, b(Where(), b(Greater(), 0, other), turn, number(0)))


class IntegerBinary(Binary):
    """A function of two integer tensors of one type, which broadcast."""

    __slots__ = ()

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a.require_integer(), b)
        return a.with_shape(broadcast(a, b))


@operator
class BitwiseAnd(IntegerBinary):
    """The bits that ``a`` and ``b`` both have."""

    _f = np.bitwise_and


@operator
class BitwiseOr(IntegerBinary):
    """The bits that ``a`` or ``b`` has."""

    _f = np.bitwise_or


@operator
class BitwiseXor(IntegerBinary):
    """The bits that exactly one of ``a`` and ``b`` has."""

    _f = np.bitwise_xor


@operator
class BitShift(IntegerBinary):
    """``a`` shifted by ``b`` bits, to the left or to the right; a right shift keeps the sign."""

    left: bool

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.asarray(np.left_shift(a, b) if self.left else np.right_shift(a, b))
