"""Attention, and the rotary embedding of positions that often stands before it."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add, Div, Mul, Sub
from mmconvert.ir.ops.composed import Tanh
from mmconvert.ir.ops.indexing import Gather, Slice
from mmconvert.ir.ops.logic import Equal, LessEqual, Where, require_same_dtype
from mmconvert.ir.ops.matmul import MatMul
from mmconvert.ir.ops.reduce import ReduceMax, widen
from mmconvert.ir.ops.shape import Concat, Expand, Range, Reshape, Shape, Transpose, Unsqueeze
from mmconvert.ir.ops.softmax import Softmax
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.types import Array, Extent, TensorType, broadcast


@operator
class ScaledDotProductAttention(Op):
    """``softmax(softcap(q @ k.T * scale) + mask) @ v`` for each head.

    query: floating point, [batch, heads, queries, size]. key: [batch, key heads, keys, size]. value: [batch,
    key heads, keys, value size]. Several heads in a row share a key head when there are fewer of those. mask:
    absent, or broadcasts to [batch, heads, queries, keys]; a floating one is added, a bool one says which
    keys are seen. A query that sees no key gives 0. Returns [batch, heads, queries, value size].

    Vaswani et al., "Attention is all you need", 2017; Ainslie et al., "GQA", 2023, for shared key heads.

    Attributes:
        scale: of the products.
        softcap: when above 0, products become ``softcap * tanh(product / softcap)``.
        causal: query ``i`` sees only the keys up to ``i + offset``.
        offset: how many keys are older than the first query.
    """

    scale: float
    softcap: float = 0.0
    causal: bool = False
    offset: Extent = 0

    def infer(
        self, query: TensorType, key: TensorType, value: TensorType, mask: TensorType | None = None
    ) -> TensorType:
        query.require_float().require_rank(4)
        for other in (key, value):
            require_same_dtype(query, other.require_rank(4))
        _require_equal(key, key.shape[3], query.shape[3], "the size of the queries")
        _require_equal(value, value.shape[2], key.shape[2], "a value for each key")
        _require_equal(value, value.shape[1], key.shape[1], "as many heads as the keys")
        heads, shared = query.shape[1], key.shape[1]
        whole = not (isinstance(heads, int) and isinstance(shared, int)) or (
            shared > 0 and heads % shared == 0
        )
        key.require(whole, f"a divisor of {heads} heads")
        if mask is not None:
            mask.require(
                mask.dtype in (dtypes.BOOL, query.dtype), f"a mask of bool or {dtypes.name(query.dtype)}"
            )
            broadcast(mask, query.with_shape((*query.shape[:3], key.shape[2])))
        return query.with_shape((*query.shape[:3], value.shape[3]))

    def evaluate(self, query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
        q, k, v = (widen(x) for x in (query, key, value))
        repeats = q.shape[1] // max(k.shape[1], 1)
        if repeats != 1:
            k, v = np.repeat(k, repeats, axis=1), np.repeat(v, repeats, axis=1)
        kind = q.dtype.type
        found = (q * kind(self.scale)) @ np.swapaxes(k, 2, 3)
        if self.softcap > 0:
            found = np.tanh(found / kind(self.softcap)) * kind(self.softcap)
        if mask is not None:
            found = np.where(mask, found, kind(-math.inf)) if mask.dtype == bool else found + widen(mask)
        if self.causal:
            (offset,) = dims.numbers((self.offset,))
            seen = np.tri(found.shape[2], found.shape[3], offset, dtype=bool)
            found = np.where(seen, found, kind(-math.inf))
        return np.asarray(_probabilities(found) @ v, dtype=query.dtype)

    def decompose(
        self, b: Builder, query: Value, key: Value, value: Value, mask: Value | None = None
    ) -> Value | None:
        if self.causal and causal_offset(b, self, query, key) is None:
            return None
        if not isinstance(query.type.shape[1], int) or not isinstance(key.type.shape[1], int):
            return None
        found = scores(b, self, query, key)
        bias = self.bias(b, query, key, mask)
        return b(MatMul(), weights(b, found, bias), _shared(b, value, query))

    def bias(self, b: Builder, query: Value, key: Value, mask: Value | None) -> Value | None:
        """What is added to the scores: 0 for what is seen and -inf for the rest, or the mask's numbers."""
        dtype = query.type.dtype
        seen, hidden = np.zeros((), dtype), np.array(-math.inf, dtype)
        if mask is not None and mask.type.dtype == dtypes.BOOL:
            mask = b(Where(), mask, seen, hidden)
        if not self.causal:
            return mask
        limit = b(Add(), b(Unsqueeze(axes=(1,)), positions(b, query, 2)), causal_offset(b, self, query, key))
        allowed = b(LessEqual(), positions(b, key, 2), limit)
        return b(Where(), allowed, seen if mask is None else mask, hidden)


def scores(b: Builder, op: ScaledDotProductAttention, query: Value, key: Value) -> Value:
    """The products of queries and keys, scaled and capped: [batch, heads, queries, keys]."""
    turned = b(Transpose(perm=(0, 1, 3, 2)), _shared(b, key, query))
    found = b(MatMul(), b(Mul(), query, op.scale), turned)
    if op.softcap <= 0:
        return found
    return b(Mul(), b(Tanh(), b(Div(), found, op.softcap)), op.softcap)


def weights(b: Builder, found: Value, bias: Value | None) -> Value:
    """The softmax of scores plus bias, 0 for a query that sees no key."""
    axis = found.type.rank - 1
    if bias is None:
        return b(Softmax(axis=axis), found)
    shares = b(Softmax(axis=axis), b(Add(), found, bias))
    dtype = found.type.dtype
    if bias.type.rank == 0:
        return shares
    best = b(ReduceMax(axes=(bias.type.rank - 1,), keepdims=True), bias)
    blind = b(Equal(), best, np.array(-math.inf, dtype))
    return b(Where(), blind, np.zeros((), dtype), shares)


def causal_offset(b: Builder, op: ScaledDotProductAttention, query: Value, key: Value) -> Value | None:
    """``op.offset`` as a scalar, when it is a number or the number of keys beyond the queries."""
    if isinstance(op.offset, int):
        return b.constant(op.offset, dtypes.I64)
    if op.offset == key.type.shape[2] - query.type.shape[2]:
        return b(Sub(), extent(b, key, 2), extent(b, query, 2))
    return None


def extent(b: Builder, x: Value, axis: int) -> Value:
    """An extent of ``x`` as an i64 scalar."""
    known = x.type.shape[axis]
    if isinstance(known, int):
        return b.constant(known, dtypes.I64)
    return b(Gather(axis=0), b(Shape(), x), np.array(axis, np.int64))


def positions(b: Builder, x: Value, axis: int, dtype: DType = dtypes.I64) -> Value:
    """``0, 1, 2, ...`` along an axis of ``x``, a vector."""
    size = x.type.shape[axis]
    if isinstance(size, int):
        return b.constant(np.arange(size), dtype)
    start, step = np.array(0, np.int64), np.array(1, np.int64)
    counted = b(Range(size=size), start, extent(b, x, axis), step)
    return counted if dtype == dtypes.I64 else b(Cast(to=dtype), counted)


def _shared(b: Builder, x: Value, query: Value) -> Value:
    """Keys or values with as many heads as there are queries' heads."""
    batch, heads, count, size = x.type.shape
    wanted = query.type.shape[1]
    if heads == wanted:
        return x
    repeats = dims.floordiv(wanted, heads)
    wide = b(Expand(shape=(batch, heads, repeats, count, size)), b(Unsqueeze(axes=(2,)), x))
    return b(Reshape(shape=(batch, wanted, count, size)), wide)


def _probabilities(found: Array) -> Array:
    """Softmax along the last axis; lines of -inf alone give 0."""
    best = found.max(axis=-1, keepdims=True, initial=-math.inf)
    powers = np.exp(found - np.where(np.isneginf(best), 0, best).astype(found.dtype))
    total = powers.sum(axis=-1, keepdims=True)
    return np.asarray(powers / np.where(total == 0, 1, total).astype(found.dtype))


@operator
class RotaryEmbedding(Op):
    """Pairs of features turned by an angle that depends on the position.

    x: floating point, [batch, heads, positions, size]. cos, sin: [batch or 1, positions, half]; the first
    ``2 * half`` features are turned, the others stay. Feature ``i`` is paired with ``i + half``, or, when
    ``interleaved``, with its neighbour: ``(a, b) -> (a cos - b sin, a sin + b cos)``. Su et al., "RoFormer:
    enhanced transformer with rotary position embedding", 2021.
    """

    interleaved: bool = False

    def infer(self, x: TensorType, cos: TensorType, sin: TensorType) -> TensorType:
        x.require_float().require_rank(4)
        for table in (cos, sin):
            require_same_dtype(x, table.require_rank(3))
        room = x.shape[3] - 2 * cos.shape[2]
        x.require(not isinstance(room, int) or room >= 0, f"at least {2 * cos.shape[2]} features")
        sin.require(sin.shape == cos.shape, f"the shape of {cos}")
        broadcast(x.with_shape((x.shape[0], x.shape[2])), cos.with_shape(cos.shape[:2]))
        return x

    def evaluate(self, x: Array, cos: Array, sin: Array) -> Array:
        wide, c, s = widen(x), widen(cos)[:, None], widen(sin)[:, None]
        half = cos.shape[2]
        first, second = self._pairs(half)
        y = np.array(wide)
        one, two = wide[..., first], wide[..., second]
        y[..., first], y[..., second] = one * c - two * s, one * s + two * c
        return y.astype(x.dtype, copy=False)

    def _pairs(self, half: int) -> tuple[slice, slice]:
        if self.interleaved:
            return slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        return slice(0, half), slice(half, 2 * half)

    def decompose(self, b: Builder, x: Value, cos: Value, sin: Value) -> Value | None:
        half, size = cos.type.shape[2], x.type.shape[3]
        if not isinstance(half, int) or not isinstance(size, int):
            return None
        c, s = (b(Unsqueeze(axes=(1,)), table) for table in (cos, sin))
        one, two = (self._part(b, x, half, pair) for pair in self._pairs(half))
        turned = [
            b(Sub(), b(Mul(), one, c), b(Mul(), two, s)),
            b(Add(), b(Mul(), one, s), b(Mul(), two, c)),
        ]
        if self.interleaved:
            stacked = b(Concat(axis=4), *(b(Unsqueeze(axes=(4,)), t) for t in turned))
            parts = [b(Reshape(shape=(*x.type.shape[:3], 2 * half)), stacked)]
        else:
            parts = turned
        if size > 2 * half:
            parts.append(self._part(b, x, size - 2 * half, slice(2 * half, size)))
        return b(Concat(axis=3), *parts) if len(parts) > 1 else parts[0]

    def _part(self, b: Builder, x: Value, size: int, where: slice) -> Value:
        op = Slice(axes=(3,), starts=(where.start,), sizes=(size,), steps=(where.step or 1,))
        return b(op, x)


def _require_equal(x: TensorType, have: Extent, want: Extent, what: str) -> None:
    difference = have - want
    x.require(not isinstance(difference, int) or difference == 0, what)
