"""Functions that compare the elements along an axis with one another."""

from __future__ import annotations

import abc

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.special import rowwise
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.binary import Div, Sub
from mmconvert.ir.ops.reduce import ReduceMax, ReduceSum, widen
from mmconvert.ir.ops.selection import OneHot
from mmconvert.ir.ops.sorting import ArgMax
from mmconvert.ir.ops.unary import Exp, Log
from mmconvert.ir.types import Array, TensorType


@attributes
class AlongAxis(Op):
    """A function of lines along ``axis`` of a floating-point tensor; type and shape stay."""

    axis: int

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().axis(self.axis)
        return x

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self.along(widen(x)), dtype=x.dtype)

    @abc.abstractmethod
    def along(self, x: Array) -> Array:
        """The function of ``x``, which is not a narrow float."""

    def below_largest(self, b: Builder, x: Value) -> Value:
        """``x`` minus the largest element along the axis, of which no power overflows."""
        return b(Sub(), x, b(ReduceMax(axes=(self.axis,), keepdims=True), x))


@operator
class Softmax(AlongAxis):
    """``exp(x) / sum(exp(x))`` along ``axis``."""

    def along(self, x: Array) -> Array:
        if x.flags.c_contiguous and self.axis in (-1, x.ndim - 1):
            return rowwise(_softmax, x, x.shape[-1])
        powers = np.empty_like(x)
        _softmax(x, powers, self.axis)
        return powers

    def decompose(self, b: Builder, x: Value) -> Value:
        powers = b(Exp(), self.below_largest(b, x))
        return b(Div(), powers, b(ReduceSum(axes=(self.axis,), keepdims=True), powers))


def _softmax(x: Array, out: Array, axis: int = -1) -> None:
    np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=axis, keepdims=True)


@operator
class LogSoftmax(AlongAxis):
    """``x - log(sum(exp(x)))`` along ``axis``."""

    def along(self, x: Array) -> Array:
        shifted: Array = x - x.max(axis=self.axis, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=self.axis, keepdims=True))
        return shifted

    def decompose(self, b: Builder, x: Value) -> Value:
        shifted = self.below_largest(b, x)
        total = b(ReduceSum(axes=(self.axis,), keepdims=True), b(Exp(), shifted))
        return b(Sub(), shifted, b(Log(), total))


@operator
class Hardmax(AlongAxis):
    """1 at the first largest element along ``axis``, 0 elsewhere."""

    def along(self, x: Array) -> Array:
        first = np.expand_dims(x.argmax(axis=self.axis), self.axis)
        y = np.zeros_like(x)
        np.put_along_axis(y, first, x.dtype.type(1), axis=self.axis)
        return y

    def decompose(self, b: Builder, x: Value) -> Value:
        first = b(ArgMax(axis=self.axis, keepdims=False), x)
        off, on = (b.constant(value, x.type.dtype) for value in (0, 1))
        return b(OneHot(depth=x.type.shape[self.axis], axis=self.axis), first, off, on)
