"""Operators that reorder, regroup or reinterpret elements; and those on whole square matrices."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.types import Array, Extent, Shape, TensorType


@operator
class Unique(Op):
    """The distinct elements, or the distinct slices along ``axis``.

    x: numeric. Without an axis all elements count as one line. Returns the distinct ones, ``count`` of them,
    ascending when ``sorted``, else in the order of first appearance; then, as i64 vectors, where each first
    appears, which of them each element of ``x`` is, and how often each is there. ``count`` is a symbol that
    the data decide.
    """

    count: Extent
    axis: int | None = None
    sorted: bool = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType, TensorType, TensorType]:
        shape: Shape = (self.count,)
        whole = x.size
        if self.axis is not None:
            axis = x.axis(self.axis)
            whole, shape = x.shape[axis], (*x.shape[:axis], self.count, *x.shape[axis + 1 :])
        vector = TensorType(dtypes.I64, (self.count,))
        return x.with_shape(shape), vector, vector.with_shape((whole,)), vector

    def evaluate(self, x: Array) -> tuple[Array, Array, Array, Array]:
        found = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True, axis=self.axis, equal_nan=False
        )
        values, first, which, counts = found
        which = which.reshape(-1)
        if not self.sorted:
            order = np.argsort(first, kind="stable")
            values, first, counts = np.take(values, order, axis=self.axis or 0), first[order], counts[order]
            which = np.argsort(order)[which]
        return values, first.astype(np.int64), which.astype(np.int64), counts.astype(np.int64)


@operator
class ReverseSequence(Op):
    """The first ``lengths[n]`` elements of each sequence in reverse, the others as they are.

    x: any type. lengths: integers, one for each index along ``batch_axis``.
    """

    time_axis: int
    batch_axis: int

    def infer(self, x: TensorType, lengths: TensorType) -> TensorType:
        x.require(x.axis(self.time_axis) != x.axis(self.batch_axis), "an axis for time and one for the batch")
        lengths.require_integer().require_rank(1)
        missing = lengths.shape[0] - x.shape[self.batch_axis]
        lengths.require(not isinstance(missing, int) or missing == 0, f"a length for each sequence of {x}")
        return x

    def evaluate(self, x: Array, lengths: Array) -> Array:
        batch, time = x.shape[self.batch_axis], x.shape[self.time_axis]
        ends, steps = lengths.astype(np.int64)[:, None], np.arange(time)
        order = np.where(steps < ends, ends - 1 - steps, steps)
        lines = np.moveaxis(x, (self.batch_axis, self.time_axis), (0, 1))
        turned = lines[np.arange(batch)[:, None], order]
        return np.moveaxis(turned, (0, 1), (self.batch_axis, self.time_axis))


@operator
class BitCast(Op):
    """The bits of each element read as another type of the same width.

    Attributes:
        source: the name of the type that ``x`` has; the bits are those of this type in any precision.
        to: the name of the type to read.
    """

    source: str
    to: str

    def infer(self, x: TensorType) -> TensorType:
        wanted = dtypes.BY_NAME[self.to]
        x.require(wanted.itemsize == dtypes.BY_NAME[self.source].itemsize, f"a type as wide as {self.to}")
        return x.with_dtype(wanted)

    def evaluate(self, x: Array) -> Array:
        bits = np.array(x, dtype=dtypes.BY_NAME[self.source], order="C")
        return bits.view(dtypes.BY_NAME[self.to])

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """Among integers the low bits are kept by a Cast too."""
        wanted = dtypes.BY_NAME[self.to]
        whole = dtypes.is_integer(x.type.dtype) and dtypes.is_integer(wanted)
        return b(Cast(to=wanted), x) if whole else None


@operator
class Det(Op):
    """The determinant of each matrix in the last two axes, which disappear. x: floating point."""

    def infer(self, x: TensorType) -> TensorType:
        return require_square(x).with_shape(x.shape[:-2])

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.linalg.det(widen(x)), x.dtype)


@operator
class Inverse(Op):
    """The inverse of each matrix in the last two axes. x: floating point."""

    def infer(self, x: TensorType) -> TensorType:
        return require_square(x)

    def evaluate(self, x: Array) -> Array:
        return np.asarray(np.linalg.inv(widen(x)), x.dtype)


def require_square(x: TensorType) -> TensorType:
    """``x``, when it is made of square matrices."""
    x.require_float().require(x.rank >= 2, "a matrix")
    difference = x.shape[-1] - x.shape[-2]
    return x.require(not isinstance(difference, int) or difference == 0, "a square matrix")
