"""Reductions over axes."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.reduce import reduce_axes
from mmconvert.ir.kernels.special import working_float
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.binary import Add, Div, Mul, Sub
from mmconvert.ir.ops.shape import Squeeze
from mmconvert.ir.ops.unary import Abs, Cast, Exp, Log, Sqrt
from mmconvert.ir.types import Array, TensorType


def widen(x: Array) -> Array:
    """``x``, narrow floats as float32, so that a sum or a formula is rounded to them once, at the end."""
    return x.astype(working_float(x.dtype), copy=False) if dtypes.is_float(x.dtype) else x


@attributes
class Reduce(Op):
    """One number for each line along ``axes``; no axes means lines of one element.

    x: numeric, any rank. The reduced axes disappear, or stay with extent 1 under ``keepdims``.
    """

    axes: tuple[int, ...]
    keepdims: bool

    def infer(self, x: TensorType) -> TensorType:
        axes = x.require_numeric().axes(self.axes)
        kept = [(a, 1 if a in axes else e) for a, e in enumerate(x.shape)]
        return x.with_shape(tuple(e for a, e in kept if self.keepdims or a not in axes))

    def evaluate(self, x: Array) -> Array:
        return np.asarray(self.reduce(widen(x)), dtype=x.dtype)

    @abc.abstractmethod
    def reduce(self, x: Array) -> Array:
        """The reduction of ``x``, which is not a narrow float."""

    def over(self, f: np.ufunc, x: Array) -> Array:
        """``x`` reduced by ``f`` as the attributes say."""
        return reduce_axes(f, x, self.axes, keepdims=self.keepdims)


@attributes
class FloatReduce(Reduce):
    """A reduction of floating-point tensors only."""

    def infer(self, x: TensorType) -> TensorType:
        return Reduce.infer(self, x.require_float())


@operator
class ReduceSum(Reduce):
    """The sum; that of integers wraps around."""

    symbolic: ClassVar[bool] = True

    def reduce(self, x: Array) -> Array:
        return self.over(np.add, x)


@operator
class ReduceProd(Reduce):
    """The product; that of integers wraps around."""

    symbolic: ClassVar[bool] = True

    def reduce(self, x: Array) -> Array:
        return self.over(np.multiply, x)


@operator
class ReduceMax(Reduce):
    """The largest element; NaN where there is one."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.maximum, x)


@operator
class ReduceMin(Reduce):
    """The smallest element; NaN where there is one."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.minimum, x)


@operator
class ReduceMean(Reduce):
    """The mean; that of integers is truncated towards zero."""

    def reduce(self, x: Array) -> Array:
        count = math.prod(x.shape[a] for a in self.axes)
        if not dtypes.is_float(x.dtype):
            total = self.over(np.add, x.astype(np.int64))
            return np.asarray((total - np.fmod(total, count)) // count)
        return np.asarray(self.over(np.add, x) / count)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        extents = [x.type.shape[a] for a in self.axes]
        known = [e for e in extents if isinstance(e, int)]
        if len(known) < len(extents):
            return None
        return b(Div(), b(ReduceSum(axes=self.axes, keepdims=self.keepdims), x), math.prod(known))


@operator
class ReduceL1(Reduce):
    """The sum of magnitudes."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.add, np.abs(x))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(ReduceSum(axes=self.axes, keepdims=self.keepdims), b(Abs(), x))


@operator
class ReduceSumSquare(Reduce):
    """The sum of squares."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.add, np.square(x))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(ReduceSum(axes=self.axes, keepdims=self.keepdims), b(Mul(), x, x))


@operator
class ReduceL2(FloatReduce):
    """The square root of the sum of squares."""

    def reduce(self, x: Array) -> Array:
        return np.asarray(np.sqrt(self.over(np.add, np.square(x))))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Sqrt(), b(ReduceSumSquare(axes=self.axes, keepdims=self.keepdims), x))


@operator
class ReduceLogSum(FloatReduce):
    """The logarithm of the sum."""

    def reduce(self, x: Array) -> Array:
        return np.asarray(np.log(self.over(np.add, x)))

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Log(), b(ReduceSum(axes=self.axes, keepdims=self.keepdims), x))


@operator
class ReduceLogSumExp(FloatReduce):
    """``log(sum(exp(x)))``, computed as ``m + log(sum(exp(x - m)))`` with the largest element ``m``."""

    def reduce(self, x: Array) -> Array:
        most = reduce_axes(np.maximum, x, self.axes, keepdims=True)
        most = np.where(np.isinf(most), x.dtype.type(0), most)  # inf - inf would be NaN
        powers = np.subtract(x, most)
        total = self.over(np.add, np.asarray(np.exp(powers)))
        with np.errstate(divide="ignore"):  # a line of -inf has the logarithm -inf
            return np.asarray(np.log(total) + most.reshape(total.shape))

    def decompose(self, b: Builder, x: Value) -> Value:
        most = b(ReduceMax(axes=self.axes, keepdims=True), x)
        total = b(ReduceSum(axes=self.axes, keepdims=True), b(Exp(), b(Sub(), x, most)))
        result = b(Add(), b(Log(), total), most)
        return result if self.keepdims or not self.axes else b(Squeeze(axes=self.axes), result)


@attributes
class BoolReduce(Reduce):
    """A reduction of booleans."""

    def infer(self, x: TensorType) -> TensorType:
        counted = Reduce.infer(self, x.require_bool().with_dtype(dtypes.I32))
        return counted.with_dtype(dtypes.BOOL)


@operator
class ReduceAny(BoolReduce):
    """Whether at least one element is true."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.logical_or, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        most = b(ReduceMax(axes=self.axes, keepdims=self.keepdims), b(Cast(to=dtypes.I32), x))
        return b(Cast(to=dtypes.BOOL), most)


@operator
class ReduceAll(BoolReduce):
    """Whether all elements are true."""

    def reduce(self, x: Array) -> Array:
        return self.over(np.logical_and, x)

    def decompose(self, b: Builder, x: Value) -> Value:
        least = b(ReduceMin(axes=self.axes, keepdims=self.keepdims), b(Cast(to=dtypes.I32), x))
        return b(Cast(to=dtypes.BOOL), least)
