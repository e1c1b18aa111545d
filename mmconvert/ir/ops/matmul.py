"""Matrix products."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels import memory
from mmconvert.ir.kernels import multiply as products
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add, Mul
from mmconvert.ir.ops.logic import require_same_dtype
from mmconvert.ir.ops.shape import Reshape, Transpose
from mmconvert.ir.types import Array, Extent, Shape, TensorType, broadcast


@operator
class MatMul(Op):
    """``a @ b`` as NumPy has it: matrices in the last two axes, the others broadcast.

    a: ``[..., M, K]``. b: ``[..., K, N]``, of the same numeric type. Returns ``[..., M, N]``. A vector
    ``[K]`` is one row on the left, one column on the right, and that axis is missing in the result.
    """

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        require_same_dtype(a.require_numeric(), b)
        a.require(a.rank > 0, "a vector or a matrix")
        b.require(b.rank > 0, "a vector or a matrix")
        require_equal(b, a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0])
        batch = broadcast(a.with_shape(a.shape[:-2]), b.with_shape(b.shape[:-2]))
        rows = a.shape[-2:-1]
        columns = b.shape[-1:] if b.rank > 1 else ()
        return a.with_shape((*batch, *rows, *columns))

    def evaluate(self, a: Array, b: Array) -> Array:
        return multiply(a, b)

    def decompose(self, b: Builder, a: Value, other: Value) -> Value | None:
        """Vectors as matrices."""
        if a.type.rank > 1 and other.type.rank > 1:
            return None
        shape = self.infer(a.type, other.type).shape
        if a.type.rank == 1:
            a = b(Reshape(shape=(1, *a.type.shape)), a)
        if other.type.rank == 1:
            other = b(Reshape(shape=(*other.type.shape, 1)), other)
        return b(Reshape(shape=shape), b(self, a, other))


@operator
class Gemm(Op):
    """``alpha * A @ B + beta * c``, where ``A`` is ``a`` or its transpose, and ``B`` is ``b`` or its.

    a: ``[M, K]`` or ``[K, M]``. b: ``[K, N]`` or ``[N, K]``. c: absent, or broadcasts to ``[M, N]``. All have
    one numeric type.
    """

    alpha: float = 1.0
    beta: float = 1.0
    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, a: TensorType, b: TensorType, c: TensorType | None = None) -> TensorType:
        require_same_dtype(a.require_numeric(), b)
        rows, depth = reversed(_matrix(a)) if self.transpose_a else _matrix(a)
        found, columns = reversed(_matrix(b)) if self.transpose_b else _matrix(b)
        require_equal(b, depth, found)
        y = a.with_shape((rows, columns))
        if c is not None:
            require_same_dtype(a, c)
            grows = c.rank > 2 or any(
                e == 1 and have != 1 for e, have in zip((columns, rows), reversed(c.shape), strict=False)
            )
            c.require(not grows, f"a tensor that broadcasts to {y}")
            broadcast(y, c)
        return y

    def evaluate(self, a: Array, b: Array, c: Array | None = None) -> Array:
        y = multiply(a.T if self.transpose_a else a, b.T if self.transpose_b else b)
        if self.alpha != 1:
            y *= _factor(self.alpha, y)
        if c is not None:
            y += c if self.beta == 1 else c * _factor(self.beta, y)
        return y

    def decompose(self, b: Builder, a: Value, other: Value, c: Value | None = None) -> Value:
        turned = Transpose(perm=(1, 0))
        a = b(turned, a) if self.transpose_a else a
        other = b(turned, other) if self.transpose_b else other
        y = b(MatMul(), a, other)
        if self.alpha != 1:
            y = b(Mul(), y, self.alpha)
        if c is None:
            return y
        return b(Add(), y, c if self.beta == 1 else b(Mul(), c, self.beta))


def _matrix(x: TensorType) -> Shape:
    return x.require_rank(2).shape


def _factor(value: float, like: Array) -> Array:
    return np.asarray(value, dtype=like.dtype)


def require_equal(x: TensorType, a: Extent, b: Extent) -> None:
    """Checks that two extents can be equal, in a complaint about ``x``.

    Raises:
        InferenceError: they cannot.
    """
    difference = a - b
    x.require(not isinstance(difference, int) or difference == 0, f"an extent of {a} to sum over")


def multiply(a: Array, b: Array) -> Array:
    """``a @ b``, a new array, through BLAS wherever the element type permits."""
    work = products.working_dtype(a, b, a.shape[-1])
    left, right = a.astype(work, copy=False), b.astype(work, copy=False)
    if left.ndim == 1 or right.ndim == 1:
        return np.asarray(np.matmul(left, right), dtype=a.dtype)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    product = memory.empty((*batch, left.shape[-2], right.shape[-1]), a.dtype)
    if right.ndim == 2:  # one large product instead of many small ones
        rows = math.prod(left.shape[:-1])
        products.multiply(left.reshape(rows, left.shape[-1]), right, product.reshape(rows, right.shape[1]))
    else:
        products.multiply(left, right, product)
    return product
