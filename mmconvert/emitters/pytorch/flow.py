"""What the graph says about how it reads best."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op

_MOVES = (ops.Pad, ops.Reshape, ops.Transpose, ops.Squeeze, ops.Unsqueeze, ops.Cast, ops.Identity)
_BEGINNINGS = (
    ops.Conv,
    ops.ConvTranspose,
    ops.GRU,
    ops.Gemm,
    ops.LSTM,
    ops.LayerNorm,
    ops.MatMul,
    ops.RNN,
    ops.ScaledDotProductAttention,
)
"""Operators that a new statement begins with: convolution, batch norm and activation make one together."""
_ROLES = ("query", "key", "value")
_ARITHMETIC = (
    ops.Add,
    ops.Cast,
    ops.Concat,
    ops.Gather,
    ops.Mul,
    ops.Reshape,
    ops.Shape,
    ops.Slice,
    ops.Squeeze,
    ops.Sub,
    ops.Unsqueeze,
)
"""What the limit of a Range is made of."""


def begins(node: Node[Op], following: Node[Op]) -> bool:
    """Whether a new statement begins between two nodes."""
    return isinstance(following.op, _BEGINNINGS) and not isinstance(node.op, _MOVES)


def needless(graph: Graph) -> set[Node[Op]]:
    """Nodes that only compute how far a Range goes, which its number of elements says as well."""
    found: set[Node[Op]] = set()
    for node in reversed(graph):
        uses = [use for value in node.outputs for use in value.uses]
        whole = isinstance(node.op, _ARITHMETIC) and dtypes.is_integer(node.outputs[0].type.dtype)
        limits = (user in found or (is_op(user, ops.Range) and index == 1) for user, index in uses)
        if whole and uses and all(limits):
            found.add(node)
    return found


def role(value: Value) -> str:
    """What a value is called by its only user."""
    ((user, index), *others) = value.uses or [(None, 0)]
    return _ROLES[index] if not others and is_op(user, ops.ScaledDotProductAttention) and index < 3 else ""
