"""Shuffles of channels: a Reshape, a Transpose and a Reshape that reorder one axis, as one Gather."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Elementwise, Op
from mmconvert.ir.ops import Conv, Gather, Reshape, Transpose
from mmconvert.ir.types import Layout
from mmconvert.passes.axes import Axes
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Array, Tensor


def gather_shuffles(graph: Graph) -> Outcome:
    """Writes a shuffle as a Gather, which has a form in every layout.

    ::

        %1 = Reshape(x) {shape=(n,2,8,h,w)}           →    %1 = Gather(x, [0,8,1,9,...]) {axis=1}
        %2 = Transpose(%1) {perm=(0,2,1,3,4)}
        %3 = Reshape(%2) {shape=(n,16,h,w)}

    Declines when: a value on the way is used elsewhere; more than one axis is reordered, or
    one in more than two parts.
    """
    outcome = Outcome()
    for node in graph:
        chain = _chain(node)
        if not chain:
            continue
        x = chain[0].operand(0)
        found = _reordered(x, chain)
        if found is None or not _is_turned(found[1]):
            outcome.decline(node, "more than one axis is reordered, or one in more than two parts")
            continue
        axis, order = found
        graph.replace(node, Gather(axis=axis), (x, graph.constant(Tensor.of(order))))
        for before in reversed(chain[:-1]):
            graph.remove(before)
        outcome.done += 1
    return outcome


def fold_shuffles(graph: Graph) -> Outcome:
    """Reorders the weights of a convolution in place of its channels; what is left is three operators again.

    ::

        %1 = Gather(x, [0,8,1,9,...]) {axis=3}        →    %1 = Conv(x, %w')
        %2 = Conv(%1, %w)

    Runtimes gather one element after the other, but transpose in blocks. Declines when: the Gather is not one
    that a Transpose could do.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Gather) or (order := _permutation(node)) is None:
            continue
        outcome.done += (
            _into_users(graph, node, order) or _into_source(graph, node, order) or _expand(graph, node, order)
        )
    return outcome


def _chain(last: Node[Op]) -> list[Node[Op]]:
    """The three nodes of what could be a shuffle, if ``last`` ends one."""
    if not is_op(last, Reshape):
        return []
    transpose = last.operand(0).producer
    if not is_op(transpose, Transpose) or len(last.operand(0).uses) != 1:
        return []
    first = transpose.operand(0).producer
    if not is_op(first, Reshape) or len(transpose.operand(0).uses) != 1:
        return []
    x = first.operand(0)
    return [first, transpose, last] if x.type == last.output.type and x.constant is None else []


def _reordered(x: Value, chain: list[Node[Op]]) -> tuple[int, Array] | None:
    """The axis that is reordered and its order, when there is one and no other axis takes part."""
    axes = Axes(x.type.shape)
    if not all(map(axes.follow, chain)):
        return None
    start, found = 0, None
    for axis, parts in enumerate(axes.axes):
        places = [axes.origin.index(part) for part in parts]
        if sorted(places) != list(range(start, start + len(parts))):
            return None
        if places != sorted(places):
            cut = [part.extent for part in axes.origin[start : start + len(parts)]]
            extents = [extent for extent in cut if isinstance(extent, int)]
            if found is not None or len(extents) < len(cut):
                return None
            numbers = np.arange(math.prod(extents)).reshape(extents)
            found = axis, numbers.transpose([place - start for place in places]).reshape(-1)
        start += len(parts)
    return found


def _permutation(node: Node[Gather]) -> Array | None:
    """The order that a Gather brings an axis into, when it has each position once."""
    if node.operand(0).constant is not None:
        return None
    tensor = node.operand(1).constant
    extent = node.operand(0).type.shape[node.op.axis]
    if tensor is None or tensor.shape != (extent,) or tensor.size < 2:
        return None
    order = tensor.numpy()
    return order if np.array_equal(np.sort(order), np.arange(order.size)) else None


def _mixes(node: Node[Op], value: Value, axis: int) -> bool:
    """True for a convolution of one group over ``value``, with constant weights, on the channels' axis."""
    return (
        is_op(node, Conv)
        and node.op.groups == 1
        and node.operand(0) is value
        and node.operand(1).constant is not None
        and axis % value.type.rank == (1 if node.op.layout is Layout.NCHW else value.type.rank - 1)
    )


def _taken(graph: Graph, value: Value, order: Array, axis: int) -> Value:
    """A constant with one of its axes in another order."""
    assert value.constant is not None
    taken = value.constant.rearrange(lambda a: np.take(a, order, axis), value.constant.shape)
    return graph.constant(taken, value.name)


def _into_users(graph: Graph, node: Node[Gather], order: Array) -> bool:
    axis = node.op.axis
    users = node.output.users
    if not users or not all(_mixes(user, node.output, axis) for user in users):
        return False
    back = np.argsort(order)
    for user in list(users):
        graph.set_input(user, 1, _taken(graph, user.operand(1), back, axis))
        graph.set_input(user, 0, node.operand(0))
    graph.remove(node)
    return True


def _into_source(graph: Graph, node: Node[Gather], order: Array) -> bool:
    """Reorders the filters of the convolution that makes the channels, if nothing else reads them."""
    axis = node.op.axis
    value, last = node.operand(0), node.operand(0)
    while len(value.uses) == 1 and value.producer is not None:
        source = value.producer
        if len(source.inputs) > 1 and all(v is None or v.constant is not None for v in source.inputs[1:]):
            if not _mixes(source, source.operand(0), axis):
                return False
            for index in range(1, len(source.inputs)):
                operand = source.optional(index)
                if operand is not None:
                    graph.set_input(source, index, _taken(graph, operand, order, 0))
            graph.replace_uses(node.output, last)
            graph.remove(node)
            return True
        if not isinstance(source.op, Elementwise) or len(source.inputs) != 1:
            return False
        value = source.operand(0)
    return False


def _expand(graph: Graph, node: Node[Gather], order: Array) -> bool:
    if not _is_turned(order):
        return False
    x, axis, inner = node.operand(0), node.op.axis, int(order[1])
    shape = (*x.type.shape[:axis], len(order) // inner, inner, *x.type.shape[axis + 1 :])
    perm = (*range(axis), axis + 1, axis, *range(axis + 2, len(shape)))
    b = Builder(graph, before=node, origin=node.origin)
    turned = b(Transpose(perm=perm), b(Reshape(shape=shape), x))
    graph.replace(node, Reshape(shape=x.type.shape), (turned,))
    return True


def _is_turned(order: Array) -> bool:
    """True for the order in which the columns of a matrix lie, row by row."""
    inner = int(order[1])
    if inner < 2 or len(order) % inner:
        return False
    return np.array_equal(order, np.arange(len(order)).reshape(-1, inner).T.reshape(-1))
