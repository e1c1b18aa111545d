"""NCNN rules for attention: on its own, and together with the projections around it."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.ncnn.blob import Blob
from mmconvert.emitters.ncnn.heads import Projections, mask_shape, obstacle
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import ScaledDotProductAttention
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")


@rule(ScaledDotProductAttention)
def attention(node: Node[ScaledDotProductAttention], out: Writer) -> None:
    if (reason := obstacle(node)) is not None:
        raise UnsupportedError(reason)
    around = out.plan.attentions.get(node)
    mask = node.optional(3)
    masks = [] if mask is None else [out.blob(mask, mask_shape(mask))]
    scale = {"scale": float(node.op.scale), "attn_mask": len(masks)}
    if around is not None:
        _multi_head(around, masks, scale, out)
        return
    operands = [node.operand(i) for i in range(3)]
    blobs = [out.blob(v, (dims.product(v.type.shape[:2]), *v.type.shape[2:])) for v in operands]
    made = (blobs[0].shape[0], blobs[0].shape[1], blobs[2].shape[2])
    out.place(node.output, out.layer("SDPA", (*blobs, *masks), made, **scale))


def _multi_head(around: Projections, masks: list[Blob], scale: dict[str, float | int], out: Writer) -> None:
    parts = (around.query, around.key, around.value)
    sources = [out.blob(p.x, p.x.type.shape[1:]) for p in parts]
    if sources[1] == sources[2]:
        del sources[2]
        if sources[0] == sources[1]:
            del sources[1]
    query, width = around.query, around.weight.shape[0]
    weights = [t for p in parts for t in _dense(p.weight, p.bias)] + _dense(around.weight, around.bias)
    made = out.layer(
        "MultiHeadAttention",
        (*sources, *masks),
        around.output.type.shape[1:],
        weights=weights,
        embed_dim=width,
        num_heads=query.heads,
        weight_data_size=query.weight.size,
        kdim=around.key.weight.shape[0],
        vdim=around.value.weight.shape[0],
        **scale,
    )
    out.place(around.output, made)


def _dense(weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Weight and bias as a layer has them."""
    outputs = weight.shape[1]
    vector = Tensor.of(np.zeros(outputs, np.float32)) if bias is None else bias.reshape((outputs,))
    return [weight.transpose((1, 0)), vector]
