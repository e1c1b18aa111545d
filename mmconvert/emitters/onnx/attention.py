"""Attention, as operators since opset 23."""

from __future__ import annotations

from mmconvert.emitters.onnx.extents import extents
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.ScaledDotProductAttention, since=23)
def attention(node: Node[ops.ScaledDotProductAttention], out: Writer) -> None:
    op, (query, key, value) = node.op, (node.operand(i) for i in range(3))
    out.require(not op.causal or op.offset == 0, "ONNX offsets a causal limit by its own past only")
    mask: Operand = node.optional(3)
    wanted = (query.type.shape[2], key.type.shape[2])
    if isinstance(mask, Value) and mask.type.shape[-2:] != wanted:
        # Runtimes do not broadcast a mask along queries and keys.
        mask = out("Expand", mask, extents(out, (*mask.type.shape[:-2], *wanted)))
    out(
        "Attention",
        *(query, key, value, mask),
        into=node,
        scale=float(op.scale),
        softcap=float(op.softcap) if op.softcap else None,
        is_causal=1 if op.causal else None,
    )


@rule(ops.RotaryEmbedding, since=23)
def rotary_embedding(node: Node[ops.RotaryEmbedding], out: Writer) -> None:
    x, cos = node.operand(0), node.operand(1)
    out.require(cos.type.shape[0] == x.type.shape[0], "ONNX has angles for each item of the batch")
    half, size = cos.type.shape[2], x.type.shape[3]
    out.require(isinstance(half, int), "ONNX has a fixed number of turned features")
    partial = None if size == 2 * half or not isinstance(half, int) else 2 * half
    out(
        "RotaryEmbedding",
        *node.inputs,
        into=node,
        interleaved=1 if node.op.interleaved else None,
        rotary_embedding_dim=partial,
        num_heads=node.operand(0).type.shape[1] if partial else None,
    )
