"""PyTorch rules for attention."""

from __future__ import annotations

import math

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule("aten.scaled_dot_product_attention.default")
def attention(n: Source, b: Builder) -> Value:
    if n.given("dropout_p") and n.real("dropout_p", 0.0) > 0:
        raise n.unsupported("with dropout, which drops weights at random", hint="call eval() first")
    return _attention(n, b, n.flag("is_causal"))


@rule(
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
    "aten._scaled_dot_product_flash_attention.default",
    "aten._scaled_dot_product_efficient_attention.default",
)
def fused_attention(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("dropout_p", "return_debug_mask", "compute_log_sumexp")
    return _attention(n, b, n.flag("is_causal")), None, None, None


def _attention(n: Source, b: Builder, causal: bool) -> Value:
    n.ignore("enable_gqa")
    query, key, value = (n.value(name) for name in ("query", "key", "value"))
    size = query.type.shape[-1]
    if not n.given("scale") and not isinstance(size, int):
        raise n.unsupported("without a scale, over heads of unknown size")
    scale = n.real("scale", 1 / math.sqrt(size) if isinstance(size, int) and size else 1.0)
    mask = n.optional("attn_mask" if n.given("attn_mask") else "attn_bias")
    n.ignore("attn_mask", "attn_bias")
    shape = n.result().shape
    q, k, v = (_four(n, b, x, shape) for x in (query, key, value))
    if mask is not None:
        mask = mask if mask.type.dtype == dtypes.BOOL else n.cast(mask, query.type.dtype)
        mask = _masked(n, b, mask, len(shape))
    y = b(ops.ScaledDotProductAttention(scale=scale, causal=causal), q, k, v, mask)
    return y if y.type.rank == len(shape) else b(ops.Reshape(shape=shape), y)


def _four(n: Source, b: Builder, x: Value, shape: Shape) -> Value:
    """As [batch, heads, positions, size], with the batch of the result."""
    rank = len(shape)
    if x.type.rank == 4 and rank == 4:
        wanted = (shape[0], x.type.shape[1], *x.type.shape[2:])
        return x if x.type.shape == wanted else b(ops.Expand(shape=wanted), x)
    outer = shape[:-2]
    wanted = (*outer, *x.type.shape[-2:])
    x = x if x.type.shape == wanted else b(ops.Expand(shape=wanted), x)
    return b(ops.Reshape(shape=(dims.product(outer), 1, *x.type.shape[-2:])), x)


def _masked(n: Source, b: Builder, mask: Value, rank: int) -> Value:
    if rank == 4 or mask.type.rank == 2:
        return mask
    outer = n.result().shape[:-2]
    wanted = (*outer, *mask.type.shape[-2:])
    mask = mask if mask.type.shape == wanted else b(ops.Expand(shape=wanted), mask)
    return b(ops.Reshape(shape=(dims.product(outer), 1, *mask.type.shape[-2:])), mask)
