"""Operators that rank the elements along an axis."""

from __future__ import annotations

import abc
from dataclasses import replace

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.binary import Sub
from mmconvert.ir.ops.shape import Reverse, Transpose
from mmconvert.ir.ops.unary import Neg
from mmconvert.ir.types import Array, Extent, TensorType


@attributes
class ArgExtremum(Op):
    """The position of an extreme element along ``axis``, as integers of ``dtype``.

    x: numeric, any rank above 0. Of several equal ones the first counts, or the last under ``select_last``.
    The axis disappears, or stays with extent 1 under ``keepdims``.
    """

    axis: int
    keepdims: bool
    select_last: bool = False
    dtype: DType = dtypes.I64

    def infer(self, x: TensorType) -> TensorType:
        axis = x.require_numeric().axis(self.axis)
        kept = (1,) if self.keepdims else ()
        return TensorType(self.dtype, (*x.shape[:axis], *kept, *x.shape[axis + 1 :]))

    def evaluate(self, x: Array) -> Array:
        if self.select_last:
            last = x.shape[self.axis] - 1
            return np.asarray(last - self.first(np.flip(x, self.axis)), dtype=self.dtype)
        return np.asarray(self.first(x), dtype=self.dtype)

    @abc.abstractmethod
    def first(self, x: Array) -> Array:
        """The position of the first extreme element."""

    def from_the_back(self, b: Builder, x: Value) -> Value | None:
        """The last extreme element as the first one of the reversed tensor."""
        extent = x.type.shape[self.axis]
        if not isinstance(extent, int):
            return None
        found = b(replace(self, select_last=False), b(Reverse(axes=(self.axis,)), x))
        return b(Sub(), b.constant(extent - 1, self.dtype), found)


@operator
class ArgMax(ArgExtremum):
    """The position of the largest element along ``axis``."""

    def first(self, x: Array) -> Array:
        return np.asarray(np.argmax(x, axis=self.axis, keepdims=self.keepdims))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        return self.from_the_back(b, x) if self.select_last else None


@operator
class ArgMin(ArgExtremum):
    """The position of the smallest element along ``axis``."""

    def first(self, x: Array) -> Array:
        return np.asarray(np.argmin(x, axis=self.axis, keepdims=self.keepdims))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        if self.select_last:
            return self.from_the_back(b, x)
        if not dtypes.is_float(x.type.dtype):
            return None
        return b(ArgMax(axis=self.axis, keepdims=self.keepdims, dtype=self.dtype), b(Neg(), x))


@operator
class TopK(Op):
    """The ``k`` largest (or smallest) elements along ``axis``, and their positions as i64.

    x: numeric. Returns values and indices, both with ``k`` along ``axis``, in order of rank; of equal
    elements the one with the lowest index comes first. Without ``sorted`` the order is unspecified, and this
    one is as good as any.
    """

    k: Extent
    axis: int
    largest: bool = True
    sorted: bool = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        axis = x.require_numeric().axis(self.axis)
        room = x.shape[axis] - self.k
        enough = not isinstance(room, int) or room >= 0
        x.require(enough, f"at least {self.k} elements along axis {axis}")
        values = x.with_shape((*x.shape[:axis], self.k, *x.shape[axis + 1 :]))
        return values, values.with_dtype(dtypes.I64)

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        (k,) = dims.numbers((self.k,))
        if self.largest:
            # A stable ascending sort of the reversed line, read backwards, has equal elements in order.
            last = x.shape[self.axis] - 1
            backwards = np.argsort(np.flip(x, self.axis), axis=self.axis, kind="stable")
            ranked = last - np.flip(backwards, self.axis)
        else:
            ranked = np.argsort(x, axis=self.axis, kind="stable")
        indices = ranked[(slice(None),) * self.axis + (slice(k),)]
        return np.take_along_axis(x, indices, axis=self.axis), indices.astype(np.int64)

    def decompose(self, b: Builder, x: Value) -> tuple[Value, Value] | None:
        if not self.largest and dtypes.is_float(x.type.dtype):
            values, indices = b.multi(replace(self, largest=True), b(Neg(), x))
            return b(Neg(), values), indices
        last = x.type.rank - 1
        if self.axis == last:
            return None
        perm = tuple(last if a == self.axis else self.axis if a == last else a for a in range(x.type.rank))
        values, indices = b.multi(replace(self, axis=last), b(Transpose(perm=perm), x))
        return b(Transpose(perm=perm), values), b(Transpose(perm=perm), indices)
