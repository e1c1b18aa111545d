"""Comparisons, logic on booleans, and the choice between two tensors."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Elementwise, operator
from mmconvert.ir.ops.symbolic import combine, order
from mmconvert.ir.types import Array, TensorType, broadcast


def require_same_dtype(first: TensorType, *others: TensorType) -> None:
    """Checks that all operands have the element type of the first.

    Raises:
        InferenceError: one has another.
    """
    for other in others:
        other.require(other.dtype == first.dtype, f"the element type of {first}")


class Comparison(Elementwise):
    """A relation between the elements of two numeric tensors of one type, which broadcast; gives booleans."""

    __slots__ = ()

    _f: ClassVar[np.ufunc]

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a.require_numeric(), b)
        return TensorType(dtypes.BOOL, broadcast(a, b))

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.asarray(self._f(a, b), dtype=np.bool_)

    @abc.abstractmethod
    def holds(self, order: int) -> bool:
        """Whether the relation holds between two extents of this order: -1 below, 0 equal, 1 above."""

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        def relation(a: Any, b: Any) -> bool | None:
            found = order(a, b)
            return None if found is None else self.holds(found)

        return combine(relation, contents)


class Equality(Comparison):
    """A comparison that booleans have too."""

    __slots__ = ()

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a, b)
        return TensorType(dtypes.BOOL, broadcast(a, b))


@operator
class Equal(Equality):
    """``a == b`` elementwise; NaN equals nothing."""

    _f = np.equal

    def holds(self, order: int) -> bool:
        return order == 0


@operator
class NotEqual(Equality):
    """``a != b`` elementwise; NaN differs from everything."""

    _f = np.not_equal

    def holds(self, order: int) -> bool:
        return order != 0

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        return b(Not(), b(Equal(), a, other))


@operator
class Greater(Comparison):
    """``a > b`` elementwise; false beside NaN."""

    _f = np.greater

    def holds(self, order: int) -> bool:
        return order > 0


@operator
class Less(Comparison):
    """``a < b`` elementwise; false beside NaN."""

    _f = np.less

    def holds(self, order: int) -> bool:
        return order < 0

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        return b(Greater(), other, a)


@operator
class GreaterEqual(Comparison):
    """``a >= b`` elementwise; false beside NaN, so it is not the negation of Less."""

    _f = np.greater_equal

    def holds(self, order: int) -> bool:
        return order >= 0

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        return b(Or(), b(Greater(), a, other), b(Equal(), a, other))


@operator
class LessEqual(Comparison):
    """``a <= b`` elementwise; false beside NaN."""

    _f = np.less_equal

    def holds(self, order: int) -> bool:
        return order <= 0

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        return b(GreaterEqual(), other, a)


class Connective(Elementwise):
    """A function of the elements of two boolean tensors, which broadcast."""

    __slots__ = ()

    _f: ClassVar[np.ufunc]

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        return a.require_bool().with_shape(broadcast(a, b.require_bool()))

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.asarray(self._f(a, b))

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return combine(lambda a, b: bool(self._f(bool(a), bool(b))), contents)


@operator
class And(Connective):
    """``a and b`` elementwise."""

    _f = np.logical_and


@operator
class Or(Connective):
    """``a or b`` elementwise."""

    _f = np.logical_or


@operator
class Xor(Connective):
    """True where exactly one of ``a`` and ``b`` is."""

    _f = np.logical_xor

    def decompose(self, b: Builder, a: Value, other: Value) -> Value:
        return b(NotEqual(), a, other)


@operator
class Not(Elementwise):
    """The negation of a boolean tensor."""

    def infer(self, x: TensorType) -> TensorType:
        return x.require_bool()

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.logical_not(x))

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return combine(lambda x: not x, contents)


@operator
class Where(Elementwise):
    """The element of ``a`` where ``condition`` is true, that of ``b`` where it is false.

    condition: bool. a, b: any one type. All three broadcast.
    """

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        condition.require_bool()
        require_same_dtype(a, b)
        return a.with_shape(broadcast(condition, a, b))

    def evaluate(self, condition: Array, a: Array, b: Array) -> Array:
        return np.where(condition, a, b)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        return combine(lambda condition, a, b: a if condition else b, contents)
