"""A Transpose before a flattening goes into the matrix behind it."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gemm, MatMul, Reshape, Squeeze, Transpose
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.simplify import moves_only_units
from mmconvert.tensors import Tensor


def fold_transpose(graph: Graph) -> Outcome:
    """Reorders the rows of a constant matrix in place of the columns that it is multiplied with.

    ::

        %1 = Transpose(x) {perm=(0,3,1,2)}            →    %2 = Reshape(x) {shape=(n,392)}
        %2 = Reshape(%1) {shape=(n,392)}                   %3 = MatMul(%2, %w')
        %3 = MatMul(%2, %w)

    Declines when: the first axis moves, or is flattened too; a value on the way, or the matrix, is used
    elsewhere.
    """
    outcome = Outcome()
    for node in graph:
        transpose = _flattened(node)
        if transpose is None:
            continue
        weight = node.operand(1)
        assert weight.constant is not None
        x, perm = transpose.operand(0), transpose.op.perm
        if perm[0] != 0 or len(weight.uses) > 1:
            outcome.decline(node, "the first axis moves, or the matrix is used elsewhere")
            continue
        turned = is_op(node, Gemm) and node.op.transpose_b
        extents = tuple(e for e in transpose.output.type.shape[1:] if isinstance(e, int))
        graph.set_input(
            node, 1, graph.constant(_reordered(weight.constant, extents, perm, turned), weight.name)
        )
        reshape = node.operand(0).producer
        assert reshape is not None
        graph.replace(reshape, Reshape(shape=reshape.output.type.shape), (x,))
        graph.remove(transpose)
        outcome.done += 1
    return outcome


def _flattened(node: Node[Op]) -> Node[Transpose] | None:
    """The Transpose whose result ``node`` multiplies, each row of it flat, with a constant matrix."""
    if not is_op(node, MatMul, Gemm) or (is_op(node, Gemm) and node.op.transpose_a):
        return None
    x, weight = node.operand(0), node.operand(1)
    if weight.constant is None or weight.type.rank != 2 or x.type.rank < 2 or len(x.uses) != 1:
        return None
    if not is_op(x.producer, Reshape, Squeeze):
        return None
    before = x.producer.operand(0)
    transpose = before.producer
    if not is_op(transpose, Transpose) or len(before.uses) != 1:
        return None
    rest = 1
    for extent in before.type.shape[1:]:
        if not isinstance(extent, int):
            return None
        rest *= extent
    whole = x.type.shape[-1] == rest and not moves_only_units(transpose.operand(0).type, transpose.op.perm)
    return transpose if whole else None


def _reordered(weight: Tensor, extents: tuple[int, ...], perm: tuple[int, ...], turned: bool) -> Tensor:
    """Rows (columns, if ``turned``) that stand for ``extents``, in the order from before ``perm``."""
    rank = len(extents)
    back = tuple(perm.index(axis) - 1 for axis in range(1, rank + 1))
    if turned:
        order = (0, *(1 + axis for axis in back))
        return weight.reshape((weight.shape[0], *extents)).transpose(order).reshape(weight.shape)
    return weight.reshape((*extents, weight.shape[1])).transpose((*back, rank)).reshape(weight.shape)
