"""The rule for GroupQueryAttention, the attention of language models in ONNX Runtime.

Each sequence of a batch has its own length; its new keys follow its own old ones. Where all sequences are
known to fill the past, new keys are put behind it. Else they are put at each sequence's end, into a past that
has room for them (a buffer that is shared with the present) or gets it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.attention import extent, positions
from mmconvert.parsers.onnx.attention import merge_heads, restricted, split_heads
from mmconvert.parsers.onnx.contrib_attention import scale_of
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the new keys go.

    Attributes:
        past: the extent of the past, 0 without one.
        starts: of each sequence, the position of its first new key, [batch, 1]; None when that is ``past``.
        grows: the past has to be made longer.
    """

    past: Extent
    starts: Value | None
    grows: bool = True


@rule("com.microsoft.GroupQueryAttention")
def group_query_attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    heads, shared = n.integer("num_heads"), n.integer("kv_num_heads")
    _refuse_variants(n)
    query, key, value = _grouped(n, b, heads, shared)
    query, key = _normalised(n, b, query, key)
    place = _place(n, b, query)
    rows = _rows(n, b, query, place)
    if n.flag("do_rotary"):
        query, key = _rotated(n, b, (query, key), rows)
    if n.has(3):
        key, value = (_present(b, n.operand(i), x, place) for i, x in ((3, key), (4, value)))
    mask, causal = _mask(n, b, (query, key), rows, place)
    op = ops.ScaledDotProductAttention(
        scale=scale_of(n, query),
        softcap=n.real("softcap", 0.0),
        causal=causal,
        offset=place.past if causal else 0,
    )
    y = _with_sink(n, b, op, (query, key, value, mask))
    return merge_heads(b, y), key, value


def _refuse_variants(n: Source) -> None:
    """Refuses what is not known."""
    n.ignore("kv_cache_bit_width")
    quantized = any(n.text(name, "NONE") != "NONE" for name in ("k_quant_type", "v_quant_type"))
    if quantized or n.has(12) or n.has(13):
        raise n.unsupported("with a quantized cache")
    if n.flag("qk_output") or n.flag("sliding_window_cache"):
        raise n.unsupported("with its scores as an output, or a cache that slides")


def _grouped(n: Source, b: Builder, heads: int, shared: int) -> list[Value]:
    """Queries, keys and values by heads; they may come side by side."""
    if n.has(1):
        parts = [n.operand(i) for i in range(3)]
    else:
        size = dims.floordiv(n.operand(0).type.shape[2], heads + 2 * shared)
        sizes = tuple(size * count for count in (heads, shared, shared))
        parts = list(b.multi(ops.Split(axis=2, sizes=sizes), n.operand(0)))
    return [split_heads(n, b, x, count) for x, count in zip(parts, (heads, shared, shared), strict=True)]


def _normalised(n: Source, b: Builder, query: Value, key: Value) -> tuple[Value, Value]:
    """Queries and keys divided by their root mean square, where there are weights for that."""
    op = ops.RMSNorm(axes=(3,), epsilon=n.real("qk_norm_epsilon", 1e-6))
    return (
        b(op, query, n.operand(14)) if n.has(14) else query,
        b(op, key, n.operand(15)) if n.has(15) else key,
    )


def _place(n: Source, b: Builder, query: Value) -> _Place:
    fresh = query.type.shape[2]
    past: Extent = n.operand(3).type.shape[2] if n.has(3) else 0
    total = n.extents(6, "a length")[0] if n.follows(6) else None
    if past == 0 or _filled(n, query.type.shape[0], past + fresh, total):
        return _Place(past, None)
    room = None if total is None else past - total
    ends = b(ops.Add(), cast(b, b(ops.Reshape(shape=(query.type.shape[0], 1)), n.operand(5)), dtypes.I64), 1)
    starts = b(ops.Max(), b(ops.Sub(), ends, extent(b, query, 2)), np.array(0, np.int64))
    return _Place(past, starts, grows=not isinstance(room, int) or room < 0)


def _filled(n: Source, batch: Extent, length: Extent, total: Extent | None) -> bool:
    """True when every sequence is known to have ``length`` keys, the new ones included."""
    lasts = n.known(5)
    if lasts is not None:
        return isinstance(length, int) and bool(np.all(lasts == length - 1))
    return batch == 1 and total is not None and total == length


def _rows(n: Source, b: Builder, query: Value, place: _Place) -> Value:
    """The positions of the queries, [batch or 1, queries]."""
    places = b(ops.Unsqueeze(axes=(0,)), positions(b, query, 2))
    if place.starts is not None:
        return b(ops.Add(), places, place.starts)
    if place.past == 0:
        return places
    first = place.past if isinstance(place.past, int) else extent(b, n.operand(3), 2)
    return b(ops.Add(), places, first)


def _rotated(n: Source, b: Builder, pair: tuple[Value, Value], rows: Value) -> tuple[Value, Value]:
    query, key = pair
    places = n.operand(9) if n.has(9) else rows
    cos, sin = (b(ops.Gather(axis=0), n.operand(i), places) for i in (7, 8))
    op = ops.RotaryEmbedding(interleaved=n.flag("rotary_interleaved"))
    return b(op, query, cos, sin), b(op, key, cos, sin)


def _present(b: Builder, past: Value, fresh: Value, place: _Place) -> Value:
    """The past with what is new: behind it, or at the ends of its sequences."""
    if place.starts is None:
        return b(ops.Concat(axis=2), past, fresh)
    if place.grows:
        past = b(
            ops.Concat(axis=2), past, b(ops.Fill(shape=fresh.type.shape, value=0, dtype=fresh.type.dtype))
        )
    steps = b(ops.Add(), place.starts, b(ops.Unsqueeze(axes=(0,)), positions(b, fresh, 2)))
    where = b(ops.Expand(shape=fresh.type.shape), b(ops.Unsqueeze(axes=(1, 3)), steps))
    return b(ops.ScatterElements(axis=2, reduction="none"), past, where, fresh)


def _mask(
    n: Source, b: Builder, pair: tuple[Value, Value], rows: Value, place: _Place
) -> tuple[Value | None, bool]:
    """What may be seen; and whether the operator has to hide what comes later itself."""
    query, key = pair
    mask, window, causal = n.optional(10), n.integer("local_window_size", -1), n.flag("causal", True)
    places, wide = positions(b, key, 2), b(ops.Unsqueeze(axes=(1, 3)), rows)
    if mask is not None:
        mask = _as_long_as(n, b, mask, key)
    if place.starts is not None and causal:
        mask = restricted(b, mask, b(ops.LessEqual(), places, wide), query.type.dtype)
    elif not causal:
        ends = b(ops.Add(), cast(b, b(ops.Unsqueeze(axes=(1, 2, 3)), _lasts(b, n)), dtypes.I64), 1)
        mask = restricted(b, mask, b(ops.Less(), places, ends), query.type.dtype)
    if window > 0:
        near = b(ops.Greater(), places, b(ops.Sub(), wide, window))
        mask = restricted(b, mask, near, query.type.dtype)
    return mask, causal and place.starts is None


def _lasts(b: Builder, n: Source) -> Value:
    """The position of each sequence's last key, a vector."""
    return b(ops.Reshape(shape=(n.operand(5).type.size,)), n.operand(5))


def _as_long_as(n: Source, b: Builder, bias: Value, key: Value) -> Value:
    """The bias over all keys of a past with room to spare, which are hidden where it ends."""
    missing = key.type.shape[2] - bias.type.shape[-1]
    if not isinstance(missing, int) or missing == 0:
        return bias  # equal by another name, or the run fails
    if missing < 0:
        raise n.invalid(f"a bias {bias.type} for {key.type.shape[2]} keys")
    return b(ops.Pad(pads=(*((0, 0) for _ in bias.type.shape[:-1]), (0, missing)), mode="constant"), bias)


def _with_sink(
    n: Source,
    b: Builder,
    op: ops.ScaledDotProductAttention,
    operands: tuple[Value, Value, Value, Value | None],
) -> Value:
    """Attention that may also go nowhere: to a first key of zeros, with the sink's score and no value."""
    query, key, value, mask = operands
    sink, dtype = n.optional(11), query.type.dtype
    if n.integer("smooth_softmax", 0) <= 0 and sink is None:
        return b(op, query, key, value, mask)
    batch, heads, count, _ = query.type.shape
    key, value = (_after_zeros(b, x) for x in (key, value))
    if mask is None:
        mask = b(ops.Fill(shape=(1, 1, 1, key.type.shape[2] - 1), value=0, dtype=dtype))
    elif mask.type.dtype == dtypes.BOOL:
        mask = b(ops.Where(), mask, np.zeros((), dtype), np.array(-math.inf, dtype))
    others = batch if mask.type.shape[0] != 1 else 1, heads, count if mask.type.shape[2] != 1 else 1
    mask = b(ops.Expand(shape=(*others, mask.type.shape[3])), mask)
    if sink is None:
        column = b(ops.Fill(shape=(*others, 1), value=0, dtype=dtype))
    else:
        scores = cast(b, b(ops.Reshape(shape=(1, heads, 1, 1)), sink), dtype)
        column = b(ops.Expand(shape=(*others, 1)), scores)
    shifted = ops.ScaledDotProductAttention(
        scale=op.scale, softcap=op.softcap, causal=op.causal, offset=op.offset + 1 if op.causal else 0
    )
    return b(shifted, query, key, value, b(ops.Concat(axis=3), column, mask))


def _after_zeros(b: Builder, x: Value) -> Value:
    batch, heads, _, size = x.type.shape
    return b(ops.Concat(axis=2), b(ops.Fill(shape=(batch, heads, 1, size), value=0, dtype=x.type.dtype)), x)
