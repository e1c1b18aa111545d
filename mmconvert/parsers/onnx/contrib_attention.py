"""Rules for the attention operators of ONNX Runtime (domain com.microsoft)."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.attention import positions
from mmconvert.parsers.onnx import quantize
from mmconvert.parsers.onnx.attention import merge_heads, split_heads
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_DOMAIN = "com.microsoft"
_FILTER = -10000.0
"""What a hidden key's score is lowered by where nothing else is said."""


@rule(f"{_DOMAIN}.Attention")
def attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    total = b(ops.MatMul(), n.operand(0), n.operand(1))
    total = b(ops.Add(), total, n.operand(2)) if n.has(2) else total
    sizes = n.integers("qkv_hidden_sizes", ())
    return _packed(n, b, total, sizes, (3, 4, 5))


@rule(f"{_DOMAIN}.QAttention")
def q_attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    zeros = [None if v is None else quantize.scalar(b, v) for v in (n.optional(6), n.optional(7))]
    product = b(ops.MatMulInteger(), n.operand(0), n.operand(1), *zeros)
    scale = b(ops.Mul(), *(quantize.scalar(b, n.operand(i)) for i in (3, 4)))
    real = b(ops.Mul(), cast(b, product, scale.type.dtype), scale)
    return _packed(n, b, b(ops.Add(), real, n.operand(2)), (), (5, 8, 99))


def _packed(
    n: Source, b: Builder, total: Value, sizes: tuple[int, ...], where: tuple[int, int, int]
) -> tuple[Value | None, ...]:
    """Attention of queries, keys and values that lie side by side; ``where`` are mask, past and bias."""
    if n.flag("do_rotary") or n.flag("past_present_share_buffer"):
        raise n.unsupported("with rotation, or a past that shares its memory")
    n.ignore("rotary_embedding_dim")
    mask_index, past_index, bias_index = where
    width, heads = total.type.shape[2], n.integer("num_heads")
    if not sizes:
        if not isinstance(width, int):
            raise n.unsupported("of an unknown hidden size")
        sizes = (width // 3,) * 3
    parts = b.multi(ops.Split(axis=2, sizes=sizes), total)
    query, key, value = (split_heads(n, b, part, heads) for part in parts)
    past = n.optional(past_index)
    if past is not None:
        old = [b(ops.Gather(axis=0), past, np.array(i, np.int64)) for i in (0, 1)]
        key, value = (b(ops.Concat(axis=2), o, new) for o, new in zip(old, (key, value), strict=True))
    mask = _added(b, _padding(n, b, mask_index, key, query), n.optional(bias_index))
    offset = 0 if past is None else past.type.shape[3]
    y = merge_heads(b, b(_operator(n, query, offset), query, key, value, mask))
    if not n.wants(1):
        return (y,)
    return y, b(ops.Concat(axis=0), *(b(ops.Unsqueeze(axes=(0,)), v) for v in (key, value)))


def scale_of(n: Source, query: Value) -> float:
    """The attribute; 0 stands for one over the root of the size of a head."""
    size, scale = query.type.shape[3], n.real("scale", 0.0)
    if scale == 0.0:
        if not isinstance(size, int):
            raise n.unsupported("without a scale, over heads of unknown size")
        scale = 1 / math.sqrt(size)
    return scale


def _operator(n: Source, query: Value, offset: Extent) -> ops.ScaledDotProductAttention:
    scale = scale_of(n, query)
    causal = n.flag("unidirectional")
    return ops.ScaledDotProductAttention(scale=scale, causal=causal, offset=offset if causal else 0)


def _padding(n: Source, b: Builder, index: int, key: Value, query: Value) -> Value | None:
    """What is added to scores: of keys beyond each sequence's length, or where a mask is 0."""
    hidden, mask = n.real("mask_filter_value", _FILTER), n.optional(index)
    if mask is None:
        return None
    if mask.type.rank == 1:
        seen = _between(n, b, mask, key)
    elif mask.type.rank in (2, 3):
        axes = (1, 2) if mask.type.rank == 2 else (1,)
        seen = b(ops.NotEqual(), b(ops.Unsqueeze(axes=axes), mask), 0)
    else:
        raise n.unsupported(f"with a mask of {mask.type.rank} axes")
    dtype = query.type.dtype
    return b(ops.Where(), seen, np.zeros((), dtype), np.array(hidden, dtype))


def _between(n: Source, b: Builder, marks: Value, key: Value) -> Value:
    """Which keys stand before their sequence's end; ``marks`` may give the starts after all the ends."""
    batch = key.type.shape[0]
    places, wide = positions(b, key, 2), b(ops.Unsqueeze(axes=(1, 2, 3)), cast(b, marks, dtypes.I64))
    if marks.type.shape[0] == batch:
        return b(ops.Less(), places, wide)
    if marks.type.shape[0] != 2 * batch:
        raise n.unsupported(f"with a mask {marks.type}")
    ends, starts = b.multi(ops.Split(axis=0, sizes=(batch, batch)), wide)
    return b(ops.And(), b(ops.Less(), places, ends), b(ops.GreaterEqual(), places, starts))


def _added(b: Builder, mask: Value | None, bias: Value | None) -> Value | None:
    if mask is None or bias is None:
        return bias if mask is None else mask
    return b(ops.Add(), mask, bias)


@rule(f"{_DOMAIN}.MultiHeadAttention")
def multi_head_attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    if n.has(8):
        raise n.unsupported("with a past that shares its memory")
    heads, flat = n.integer("num_heads"), _three(n, b)
    if n.has(3):
        flat = _biased(n, b, flat, n.operand(3))
    query = split_heads(n, b, flat[0], heads)
    key, value = (x if x.type.rank == 4 else split_heads(n, b, x, heads) for x in flat[1:])
    offset: Extent = 0
    if n.has(6):
        offset = n.operand(6).type.shape[2]
        key = b(ops.Concat(axis=2), n.operand(6), key)
        value = b(ops.Concat(axis=2), n.operand(7), value)
    mask = _added(b, _padding(n, b, 4, key, query), n.optional(5))
    y = b(_operator(n, query, offset), query, key, value, mask)
    return merge_heads(b, y), key, value


def _three(n: Source, b: Builder) -> list[Value]:
    """Queries, keys and values; packed, they lie beside one another in each head."""
    query = n.operand(0)
    if query.type.rank == 5:
        return _unpacked(b, query, 3)
    if n.has(1) and n.operand(1).type.rank == 5:
        return [query, *_unpacked(b, n.operand(1), 2)]
    return [n.operand(i) for i in range(3)]


def _unpacked(b: Builder, x: Value, count: int) -> list[Value]:
    """[batch, positions, heads, count, size] as ``count`` times [batch, positions, heads * size]."""
    batch, places, heads, _, size = x.type.require_rank(5).shape
    parts = b.multi(ops.Split(axis=3, sizes=(1,) * count), x)
    return [b(ops.Reshape(shape=(batch, places, heads * size)), part) for part in parts]


def _biased(n: Source, b: Builder, flat: list[Value], bias: Value) -> list[Value]:
    """With their parts of the bias; keys and values that have heads already have had theirs."""
    width = flat[0].type.shape[2]
    widths = [x.type.shape[2] if x.type.rank == 3 else x.type.shape[1] * x.type.shape[3] for x in flat[1:]]
    parts = b.multi(ops.Split(axis=0, sizes=(width, *widths)), bias)
    pairs = zip(flat, parts, strict=True)
    return [b(ops.Add(), x, part) if x.type.rank == 3 else x for x, part in pairs]


@rule(f"{_DOMAIN}.RotaryEmbedding")
def rotary_embedding(n: Source, b: Builder) -> Value:
    if n.flag("is_packed_batching") or n.real("scale", 1.0) != 1.0:
        raise n.unsupported("with a scale, or packed sequences")
    x, ids, tables = n.operand(0), n.operand(1), [n.operand(i) for i in (2, 3)]
    heads, partial = n.integer("num_heads", 0), n.integer("rotary_embedding_dim", 0)
    flat = x.type.rank == 3
    if flat and not partial:
        size = tables[0].type.shape[1] * 2
        count = dims.floordiv(x.type.shape[2], size)
        if not isinstance(count, int):
            raise n.unsupported("with an unknown number of heads")
        heads = count
    turned = split_heads(n, b, x, heads) if flat else x
    if ids.type.rank == 1:
        ids = b(ops.Unsqueeze(axes=(0,)), b(ops.Add(), positions(b, turned, 2), ids))
    cos, sin = (b(ops.Gather(axis=0), table, ids) for table in tables)
    y = b(ops.RotaryEmbedding(interleaved=n.flag("interleaved")), turned, cos, sin)
    return merge_heads(b, y) if flat else y
