"""Functions of one tensor, element by element, that do not reduce to simpler ones; and Cast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Elementwise, operator
from mmconvert.ir.ops.logic import Equal, NotEqual
from mmconvert.ir.ops.symbolic import combine, order
from mmconvert.ir.types import Array, Extent, TensorType


class Unary(Elementwise):
    """A function of the elements of one floating-point tensor; type and shape stay."""

    __slots__ = ()

    def infer(self, x: TensorType) -> TensorType:
        return x.require_float()


class Function(Unary):
    """A function that NumPy has."""

    __slots__ = ()

    _f: ClassVar[np.ufunc]

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self._f(x), dtype=x.dtype)


class NumericFunction(Function):
    """A function that NumPy has, of integers as well."""

    __slots__ = ()

    def infer(self, x: TensorType) -> TensorType:
        return x.require_numeric()


@operator
class Identity(Elementwise):
    """``x`` itself, of any type."""

    symbolic: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        return x

    def evaluate(self, x: Array) -> Array:
        return x


@operator
class Dropout(Elementwise):
    """``x`` itself; where a model is trained, elements become 0 with the probability ``rate``.

    The others are then divided by ``1 - rate``. Srivastava et al., "Dropout: a simple way to prevent neural
    networks from overfitting", 2014.
    """

    rate: float

    def infer(self, x: TensorType) -> TensorType:
        return x.require_float().require(0 <= self.rate < 1, f"a rate in [0, 1) instead of {self.rate}")

    def evaluate(self, x: Array) -> Array:
        return x

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Identity(), x)


@operator
class Cast(Elementwise):
    """``x`` converted to the element type ``to``.

    Floats become integers by truncation towards zero; what does not fit is undefined. Numbers become booleans
    by comparison with zero. Narrowing among integers keeps the low bits.
    """

    to: DType

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.to)

    def evaluate(self, x: Array) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            return x.astype(self.to)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return combine(self._cast, contents)

    def _cast(self, extent: Extent) -> Extent | None:
        if self.to == dtypes.BOOL:
            return None if (found := order(extent, 0)) is None else found != 0
        if self.to.kind not in "iu":
            return None
        if not isinstance(extent, int):
            return extent  # what a shape is made of fits the type that the model computes it in
        limits = np.iinfo(self.to)
        return int(extent) if limits.min <= extent <= limits.max else None


@operator
class Abs(NumericFunction):
    """``|x|``; of integers too."""

    _f = np.absolute


@operator
class Neg(NumericFunction):
    """``-x``; of integers too."""

    symbolic: ClassVar[bool] = True

    _f = np.negative


@operator
class Sign(NumericFunction):
    """-1, 0 or 1 with the sign of ``x``; of integers too."""

    _f = np.sign


@operator
class BitwiseNot(Elementwise):
    """Every bit of an integer inverted."""

    def infer(self, x: TensorType) -> TensorType:
        return x.require_integer()

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.bitwise_not(x))


@operator
class Exp(Function):
    """``e ** x``."""

    _f = np.exp


@operator
class Log(Function):
    """The natural logarithm."""

    _f = np.log


@operator
class Sqrt(Function):
    """The square root."""

    _f = np.sqrt


@operator
class Floor(Function):
    """The largest whole number that is not above ``x``."""

    _f = np.floor


@operator
class Ceil(Function):
    """The smallest whole number that is not below ``x``."""

    _f = np.ceil

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Neg(), b(Floor(), b(Neg(), x)))


@operator
class Round(Function):
    """The nearest whole number; halves go to the even one."""

    _f = np.rint


@operator
class Sin(Function):
    """The sine of ``x`` in radians."""

    _f = np.sin


@operator
class Cos(Function):
    """The cosine of ``x`` in radians."""

    _f = np.cos


@operator
class Atan(Function):
    """The angle in (-pi/2, pi/2) whose tangent is ``x``."""

    _f = np.arctan


@operator
class IsNan(Elementwise):
    """True where ``x`` is not a number."""

    def infer(self, x: TensorType) -> TensorType:
        return x.require_float().with_dtype(dtypes.BOOL)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.isnan(x), dtype=np.bool_)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(NotEqual(), x, x)


@operator
class IsInf(Elementwise):
    """True where ``x`` is infinite, of the signs asked for."""

    detect_negative: bool = True
    detect_positive: bool = True

    def infer(self, x: TensorType) -> TensorType:
        return x.require_float().with_dtype(dtypes.BOOL)

    def evaluate(self, x: Array) -> Array:
        found = np.asarray(np.isinf(x), dtype=np.bool_)
        if not self.detect_negative:
            found = np.logical_and(found, x > 0)
        return found if self.detect_positive else np.logical_and(found, x < 0)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        if not (self.detect_negative or self.detect_positive):
            return None
        if self.detect_negative and self.detect_positive:
            return b(Equal(), b(Abs(), x), np.inf)
        return b(Equal(), x, np.inf if self.detect_positive else -np.inf)
