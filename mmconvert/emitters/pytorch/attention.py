"""PyTorch rules for attention."""

from __future__ import annotations

import math

from mmconvert.emitters.pytorch.code import call, number
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.ScaledDotProductAttention)
def attention(node: Node[ops.ScaledDotProductAttention], out: Writer) -> str:
    op, query, key, mask = node.op, node.operand(0), node.operand(1), node.optional(3)
    out.require(op.softcap == 0, "torch does not cap the scores")
    out.require(not op.causal or (op.offset == 0 and mask is None), "causal with older keys, or a mask")
    operands = [out.name(node.operand(i)) for i in range(3)]
    size = query.type.shape[3]
    usual = isinstance(size, int) and size > 0 and math.isclose(op.scale, 1 / math.sqrt(size), rel_tol=1e-7)
    return call(
        "F.scaled_dot_product_attention",
        *operands,
        attn_mask=None if mask is None else out.name(mask),
        is_causal="True" if op.causal else None,
        scale=None if usual else number(op.scale),
        enable_gqa="True" if query.type.shape[1] != key.type.shape[1] else None,
    )
