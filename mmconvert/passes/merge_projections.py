"""Queries, keys and values of an attention are one product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Gemm, MatMul, Reshape, Split, Transpose
from mmconvert.ir.types import Extent
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Tensor

Perm = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """A value times a matrix, plus a bias, cut into heads and turned.

    Attributes:
        nodes: all of it, from the Transpose back to the product.
        x: what is projected.
        weight: ``[inputs, heads * features]``.
        bias: one number for each column of ``weight``, if there is one.
        shape: what the Reshape gives: ``(..., heads, features)``.
        perm: what the Transpose does.
    """

    nodes: tuple[Node[Op], ...]
    x: Value
    weight: Tensor
    bias: Tensor | None
    shape: tuple[Extent, ...]
    perm: Perm

    @property
    def output(self) -> Value:
        """The result."""
        return self.nodes[0].output

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return self.weight.shape[1] // self.features

    @property
    def features(self) -> int:
        """The width of a head."""
        assert isinstance(self.shape[-1], int)
        return self.shape[-1]

    @property
    def group(self) -> tuple[object, ...]:
        """What projections that can be merged have in common."""
        return self.x, self.weight.dtype, self.shape[:-2], self.features


def merge_projections(graph: Graph) -> Outcome:
    """Merges the products of one value that are cut into heads in the same way.

    ::

        %1 = MatMul(x, %q)                            →    %1 = MatMul(x, %qkv)
        %2 = Reshape(%1) {shape=(n,l,8,64)}                %2 = Reshape(%1) {shape=(n,l,24,64)}
        %3 = Transpose(%2) {perm=(0,2,1,3)}                %3 = Transpose(%2) {perm=(0,2,1,3)}
        ... and so on for %k and %v                        %4, %5, %6 = Split(%3) {axis=1}

    Keys that are turned once more for the product with the queries (``perm=(0,2,3,1)``) take part, and only
    their last two axes are exchanged afterwards, which a matrix product can do for itself.

    Declines when: weights are not constant, or a value on the way is used elsewhere.
    """
    outcome = Outcome()
    groups: dict[tuple[object, ...], list[Projection]] = {}
    for node in graph:
        if is_op(node, Transpose) and (found := projection(node)) is not None:
            groups.setdefault(found.group, []).append(found)
    order = {node: position for position, node in enumerate(graph)}
    for members in groups.values():
        leader = next((m for m in members if m.perm[-1] == len(m.perm) - 1), None)
        merged = [m for m in members if leader is not None and _follows(m, leader.perm)]
        if leader is not None and len(merged) > 1:
            _merge(graph, merged, leader, min((m.nodes[-1] for m in merged), key=order.__getitem__))
            outcome.done += 1
    return outcome


def projection(transpose: Node[Transpose]) -> Projection | None:
    """What ``transpose`` ends, if nothing on the way is read elsewhere."""
    reshape = _only_maker(transpose.operand(0))
    if not is_op(reshape, Reshape) or len(reshape.op.shape) < 3:
        return None
    nodes: list[Node[Op]] = [transpose, reshape]
    made = _only_maker(reshape.operand(0))
    bias: Tensor | None = None
    if is_op(made, Add):
        sides = ((made.operand(0), made.operand(1)), (made.operand(1), made.operand(0)))
        product, vector = next((s for s in sides if s[1].constant is not None), (None, None))
        if product is None or vector is None or vector.type.rank == 0:
            return None
        bias = vector.constant
        nodes.append(made)
        made = _only_maker(product)
    if made is None or (weight := constant_matrix(made)) is None:
        return None
    if is_op(made, Gemm) and (own := made.optional(2)) is not None:
        if bias is not None or own.constant is None:
            return None
        bias = own.constant
    columns, heads, features = weight.shape[1], *reshape.op.shape[-2:]
    cut = isinstance(heads, int) and isinstance(features, int) and heads * features == columns
    whole = bias is None or (bias.size == columns and bias.shape[-1] == columns)
    if not cut or not whole:
        return None
    nodes.append(made)
    return Projection(tuple(nodes), made.operand(0), weight, bias, reshape.op.shape, transpose.op.perm)


def _only_maker(value: Value) -> Node[Op] | None:
    return value.producer if len(value.uses) == 1 else None


def constant_matrix(node: Node[Op]) -> Tensor | None:
    """The constant matrix, of ``[inputs, outputs]``, that ``node`` multiplies its first operand with."""
    if not is_op(node, MatMul, Gemm):
        return None
    weight = node.operand(1).constant
    if weight is None or len(weight.shape) != 2 or node.operand(0).type.rank < 2:
        return None
    if is_op(node, Gemm):
        if node.op.transpose_a or (node.op.alpha, node.op.beta) != (1, 1):
            return None
        return weight.transpose((1, 0)) if node.op.transpose_b else weight
    return weight


def _follows(member: Projection, perm: Perm) -> bool:
    """True when ``member`` is turned by ``perm``, or is and has its last axes exchanged for a product."""
    last = _exchanged(len(perm))
    if member.perm == perm:
        return True
    if member.perm != tuple(perm[i] for i in last) or len(member.output.uses) != 1:
        return False
    ((user, index),) = member.output.uses
    return is_op(user, MatMul) and index == 1 and user.operand(0).type.rank >= 2


def _exchanged(rank: int) -> Perm:
    return (*range(rank - 2), rank - 1, rank - 2)


def _merge(graph: Graph, members: Sequence[Projection], leader: Projection, first: Node[Op]) -> None:
    b = Builder(graph, before=first, origin=first.origin)
    heads = tuple(m.heads for m in members)
    y = b(MatMul(), leader.x, b.constant(_side_by_side([m.weight for m in members], leader.weight.dtype)))
    if any(m.bias is not None for m in members):
        biases = [
            np.zeros(m.weight.shape[1], m.weight.dtype) if m.bias is None else m.bias.numpy().reshape(-1)
            for m in members
        ]
        y = b(Add(), y, b.constant(np.concatenate(biases)))
    y = b(Reshape(shape=(*leader.shape[:-2], sum(heads), leader.features)), y)
    y = b(Transpose(perm=leader.perm), y)
    axis = leader.perm.index(len(leader.perm) - 2)
    for member, part in zip(members, b.multi(Split(axis=axis, sizes=heads), y), strict=True):
        same = member.perm == leader.perm
        result = part if same else b(Transpose(perm=_exchanged(len(leader.perm))), part)
        graph.replace_uses(member.output, result)
    for node in (node for member in members for node in member.nodes):
        graph.remove(node)


def _side_by_side(matrices: Sequence[Tensor], dtype: DType) -> Tensor:
    """Matrices with as many rows each as one, put together when it is read."""
    shape = (matrices[0].shape[0], sum(m.shape[1] for m in matrices))
    return Tensor(dtype, shape, lambda: np.concatenate([m.numpy() for m in matrices], axis=1))
