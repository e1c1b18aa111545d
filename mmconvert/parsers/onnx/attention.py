"""ONNX rules for attention and rotary embeddings."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.attention import positions, scores, weights
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("Attention", since=23)
def attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("softmax_precision")  # narrow floats are computed in single precision anyway
    flat = n.operand(0).type.rank == 3
    query_heads, key_heads = n.integer("q_num_heads", 0), n.integer("kv_num_heads", 0)
    query, *fresh = (
        split_heads(n, b, n.operand(i), heads) if flat else n.operand(i)
        for i, heads in enumerate((query_heads, key_heads, key_heads))
    )
    key, value = (
        x if (past := n.optional(i)) is None else b(ops.Concat(axis=2), past, x)
        for i, x in zip((4, 5), fresh, strict=True)
    )
    op = _operator(n, query, key)
    mask = _mask(n, b, op.causal, query, key)
    if n.has(6) and op.causal:
        op = ops.ScaledDotProductAttention(scale=op.scale, softcap=op.softcap)
    mode = n.integer("qk_matmul_output_mode", 0)
    if n.wants(3):
        y, inner = _observed(n, b, op, (query, key, value, mask), mode)
    else:
        y, inner = b(op, query, key, value, mask), None
    return merge_heads(b, y) if flat else y, key, value, inner


def _operator(n: Source, query: Value, key: Value) -> ops.ScaledDotProductAttention:
    size = query.type.shape[3]
    scale = n.real("scale", 0.0) if n.given("scale") else None
    if scale is None:
        if not isinstance(size, int):
            raise n.unsupported("without a scale, over heads of unknown size")
        scale = 1 / math.sqrt(size)
    offset = n.operand(4).type.shape[2] if n.has(4) else 0
    softcap, causal = n.real("softcap", 0.0), n.flag("is_causal")
    return ops.ScaledDotProductAttention(
        scale=scale, softcap=softcap, causal=causal, offset=offset if causal else 0
    )


def split_heads(n: Source, b: Builder, x: Value, heads: int) -> Value:
    """[batch, positions, heads * size] as [batch, heads, positions, size]."""
    batch, count, width = x.type.require_rank(3).shape
    if heads < 1:
        raise n.invalid("the number of heads is missing")
    shape = batch, count, heads, dims.floordiv(width, heads)
    return b(ops.Transpose(perm=(0, 2, 1, 3)), b(ops.Reshape(shape=shape), x))


def merge_heads(b: Builder, x: Value) -> Value:
    """The reverse of ``split_heads``."""
    batch, heads, count, size = x.type.shape
    return b(ops.Reshape(shape=(batch, count, heads * size)), b(ops.Transpose(perm=(0, 2, 1, 3)), x))


def _mask(n: Source, b: Builder, causal: bool, query: Value, key: Value) -> Value | None:
    """What may be seen, but for a causal limit that is the same in the whole batch."""
    mask, dtype = n.optional(3), query.type.dtype
    if mask is not None:
        mask = _as_long_as(n, b, mask, key)
    left, right = n.integer("left_window_size", -1), n.integer("right_window_size", -1)
    for allowed in _limits(n, b, (query, key), causal, (left, right)):
        mask = restricted(b, mask, allowed, dtype)
    return mask


def restricted(b: Builder, mask: Value | None, allowed: Value, dtype: dtypes.DType) -> Value:
    """A mask that hides what is not ``allowed`` as well."""
    if mask is None:
        return allowed
    if mask.type.dtype == dtypes.BOOL:
        return b(ops.And(), mask, allowed)
    return b(ops.Where(), allowed, mask, np.array(-math.inf, dtype))


def _as_long_as(n: Source, b: Builder, mask: Value, key: Value) -> Value:
    """The mask with nothing seen beyond its end."""
    missing = key.type.shape[2] - mask.type.shape[-1]
    if not isinstance(missing, int):
        return mask  # equal by another name, or the run fails
    if missing <= 0 or mask.type.shape[-1] == 1:
        return mask
    pads = *((0, 0) for _ in mask.type.shape[:-1]), (0, missing)
    value = 0.0 if mask.type.dtype == dtypes.BOOL else -math.inf
    return b(ops.Pad(pads=pads, mode="constant", value=value), mask)


def _limits(
    n: Source, b: Builder, pair: tuple[Value, Value], causal: bool, window: tuple[int, int]
) -> list[Value]:
    """Which keys are in the window, and before the end of the batch's sequence."""
    query, key = pair
    places = positions(b, key, 2)
    rows = b(ops.Unsqueeze(axes=(1,)), positions(b, query, 2))
    found, ends = [], None
    if n.has(6):
        ends = b(ops.Unsqueeze(axes=(1, 2, 3)), cast(b, n.operand(6), dtypes.I64))
        found.append(b(ops.Less(), places, ends))
        count = query.type.shape[2]
        if not isinstance(count, int):
            raise n.unsupported("nonpad_kv_seqlen with an unknown number of queries")
        rows = b(ops.Add(), rows, b(ops.Sub(), ends, count))
    elif n.has(4) and max(window) >= 0:
        past = n.operand(4).type.shape[2]
        if not isinstance(past, int):
            raise n.unsupported("a window over a past of unknown length")
        rows = b(ops.Add(), rows, past)
    if causal and ends is not None:
        found.append(b(ops.LessEqual(), places, rows))
    left, right = window
    if left >= 0:
        found.append(b(ops.GreaterEqual(), places, b(ops.Sub(), rows, left)))
    if right >= 0:
        found.append(b(ops.LessEqual(), places, b(ops.Add(), rows, right)))
    return found


def _observed(
    n: Source,
    b: Builder,
    op: ops.ScaledDotProductAttention,
    operands: tuple[Value, Value, Value, Value | None],
    mode: int,
) -> tuple[Value, Value]:
    """The result, and one of the steps on the way to it."""
    query, key, value, mask = operands
    found, bias = scores(b, op, query, key), op.bias(b, query, key, mask)
    shares = weights(b, found, bias)
    steps = found, found, found if bias is None else b(ops.Add(), found, bias), shares
    if not 0 <= mode < len(steps):
        raise n.invalid(f"qk_matmul_output_mode={mode}")
    return b(op, query, key, value, mask), steps[mode]


@rule("RotaryEmbedding", since=23)
def rotary_embedding(n: Source, b: Builder) -> Value:
    x, ids, heads = n.operand(0), n.optional(3), n.integer("num_heads", 0)
    flat = x.type.rank == 3
    turned = split_heads(n, b, x, heads) if flat else x
    cos, sin = n.operand(1), n.operand(2)
    if ids is not None:
        cos, sin = (b(ops.Gather(axis=0), table, ids) for table in (cos, sin))
    n.ignore("rotary_embedding_dim")  # twice the extent of the tables
    y = b(ops.RotaryEmbedding(interleaved=n.flag("interleaved")), turned, cos, sin)
    return merge_heads(b, y) if flat else y
