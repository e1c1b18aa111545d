"""Which attentions are written together with the products before and after them."""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Gemm, Reshape, ScaledDotProductAttention, Transpose
from mmconvert.ir.types import Shape
from mmconvert.passes.match import only_user
from mmconvert.passes.merge_projections import Projection, constant_matrix, projection
from mmconvert.tensors import Tensor

_HEADS_OUTSIDE = (0, 2, 1, 3)


@dataclass(frozen=True, slots=True)
class Projections:
    """What stands around an attention and is a part of its layer.

    Attributes:
        query, key, value: what makes heads of the operands.
        weight: what the heads are multiplied with afterwards, ``[width of the heads, outputs]``.
        bias: what is added then, if anything is.
        output: the result.
        nodes: all that the layer does besides the attention.
    """

    query: Projection
    key: Projection
    value: Projection
    weight: Tensor
    bias: Tensor | None
    output: Value
    nodes: tuple[Node[Op], ...]


def projections(node: Node[ScaledDotProductAttention]) -> Projections | None:
    """The projections of ``node`` when one layer can do them: over one sequence, as wide after as before."""
    if obstacle(node) is not None or node.output.type.shape[0] != 1:
        return None
    found = [p for p in (_projection(node.operand(i)) for i in range(3)) if p is not None]
    turned = only_user(node.output)
    if len(found) != 3 or not is_op(turned, Transpose) or turned.op.perm != _HEADS_OUTSIDE:
        return None
    if not is_op(joined := only_user(turned.output), Reshape):
        return None
    product = only_user(joined.output)
    weight = None if product is None else constant_matrix(product)
    inner = found[0].heads * found[0].features
    if product is None or weight is None or product.operand(0) is not joined.output:
        return None
    nodes = [n for p in found for n in p.nodes] + [turned, joined, product]
    output = product.output
    bias = product.optional(2) if isinstance(product.op, Gemm) else None
    if bias is None and is_op(add := only_user(output), Add) and add.output.type == output.type:
        bias = next((v for v in add.inputs if v is not output), None)
        if bias is not None and bias.constant is not None and bias.type.size == weight.shape[1]:
            nodes.append(add)
            output = add.output
        else:
            bias = None
    fits = joined.output.type.shape[-1] == inner == weight.shape[0] and all(
        p.heads * p.features == inner for p in found
    )
    constant = None if bias is None else bias.constant
    whole = bias is None or (constant is not None and constant.size == weight.shape[1])
    if not fits or not whole or weight.shape[1] != found[0].weight.shape[0]:
        return None
    query, key, value = found
    return Projections(query, key, value, weight, constant, output, tuple(nodes))


def _projection(value: Value) -> Projection | None:
    node = value.producer
    found = projection(node) if is_op(node, Transpose) and len(value.uses) == 1 else None
    plain = found is not None and found.perm == _HEADS_OUTSIDE and found.x.type.rank == 3
    return found if plain and value.type.dtype == dtypes.F32 else None


def attentions(graph: Graph) -> dict[Node[Op], Projections]:
    """The attentions that are written together with their projections."""
    nodes = [node for node in graph if is_op(node, ScaledDotProductAttention)]
    return {node: found for node in nodes if (found := projections(node)) is not None}


def obstacle(node: Node[ScaledDotProductAttention]) -> str | None:
    """Why NCNN has no such attention, or None when it has."""
    op, mask = node.op, node.optional(3)
    query, key = node.operand(0).type, node.operand(1).type
    if op.causal or op.softcap > 0:
        return "NCNN's attention has no limits of its own"
    if query.shape[:2] != key.shape[:2]:
        return "NCNN's attention has a key for each head"
    if mask is None:
        return None
    if mask.type.dtype != dtypes.F32:
        return "NCNN's attention adds its mask"
    if mask_shape(mask)[-2:] != (query.shape[2], key.shape[2]):
        return "NCNN's attention has a mask for each query and key"
    heads = dims.product(query.shape[:2])
    return None if mask_shape(mask)[:-2] in ((), (heads,)) else "NCNN's attention has a mask for each head"


def mask_shape(mask: Value) -> Shape:
    """The shape of a mask's blob, [queries, keys] or that for each head."""
    padded = (*(1,) * (2 - mask.type.rank), *mask.type.shape)
    heads = dims.product(padded[:-2])
    return padded[-2:] if heads == 1 else (heads, *padded[-2:])
