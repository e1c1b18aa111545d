"""Operators that choose by position or value: OneHot, Trilu, NonZero."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add
from mmconvert.ir.ops.logic import Equal, Less, Where
from mmconvert.ir.ops.shape import Unsqueeze, natural
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.types import Array, Extent, TensorType


@operator
class OneHot(Op):
    """``on`` where the position along a new axis is the index, ``off`` elsewhere.

    indices: integers of any shape; negative ones count from the end, those outside ``[-depth, depth)`` give
    ``off`` throughout. off, on: scalars of one type. Returns the shape of ``indices`` with ``depth`` inserted
    at ``axis``, and the type of ``off``.
    """

    depth: Extent
    axis: int

    def infer(self, indices: TensorType, off: TensorType, on: TensorType) -> TensorType:
        indices.require_integer().require(0 <= self.axis <= indices.rank, f"room for a new axis {self.axis}")
        off.require_rank(0)
        on.require_rank(0).require(on.dtype == off.dtype, f"a scalar like {off}")
        (depth,) = natural((self.depth,))
        return off.with_shape((*indices.shape[: self.axis], depth, *indices.shape[self.axis :]))

    def evaluate(self, indices: Array, off: Array, on: Array) -> Array:
        (depth,) = dims.numbers((self.depth,))
        place = np.expand_dims(indices.astype(np.int64), self.axis)
        ladder = np.arange(depth).reshape(-1, *[1] * (indices.ndim - self.axis))
        return np.where(np.where(place < 0, place + depth, place) == ladder, on, off)

    def decompose(self, b: Builder, indices: Value, off: Value, on: Value) -> Value | None:
        if not isinstance(self.depth, int):
            return None
        if indices.type.dtype not in (dtypes.I32, dtypes.I64):
            indices = b(Cast(to=dtypes.I64), indices)
        indices = b(Where(), b(Less(), indices, 0), b(Add(), indices, self.depth), indices)
        ladder = np.arange(self.depth, dtype=indices.type.dtype).reshape(
            -1, *[1] * (indices.type.rank - self.axis)
        )
        return b(Where(), b(Equal(), b(Unsqueeze(axes=(self.axis,)), indices), ladder), on, off)


@operator
class Trilu(Op):
    """The triangle of each matrix, 0 elsewhere: ``upper`` keeps ``column - row >= k``, else ``<= k``.

    x: any type, rank 2 or more; the last two axes are rows and columns.
    """

    k: int
    upper: bool

    def infer(self, x: TensorType) -> TensorType:
        return x.require(x.rank >= 2, "a matrix")

    def evaluate(self, x: Array) -> Array:
        return np.where(self._mask(x.shape), x, x.dtype.type(0))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        shape = x.type.shape[-2:]
        if not all(isinstance(e, int) for e in shape):
            return None
        return b(Where(), self._mask(dims.numbers(shape)), x, np.zeros((), dtype=x.type.dtype))

    def _mask(self, shape: tuple[int, ...]) -> Array:
        ones = np.ones(shape[-2:], dtype=bool)
        return np.triu(ones, self.k) if self.upper else np.tril(ones, self.k)


@operator
class NonZero(Op):
    """The positions of the elements that are not 0, in row-major order: i64[rank, ``count``].

    x: any type. ``count`` is a symbol that the data decide.
    """

    count: Extent

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(dtypes.I64, (x.require(x.rank >= 1, "an axis").rank, self.count))

    def evaluate(self, x: Array) -> Array:
        return np.array(np.nonzero(x), dtype=np.int64)
