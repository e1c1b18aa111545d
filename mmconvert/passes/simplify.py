"""Removes operators that do nothing, and merges neighbours that are one operator."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    Cast,
    Clip,
    Concat,
    Div,
    Expand,
    Identity,
    Mul,
    Pad,
    Relu,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Sub,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.ops.reduce import Reduce
from mmconvert.ir.types import TensorType
from mmconvert.passes.outcome import Outcome


def simplify(graph: Graph) -> Outcome:
    """Removes no-ops and merges chains, until nothing changes at a node.

    ::

        Identity(x), Cast to its own type, Reshape to its own shape, x * 1, Pad by 0, Slice of all   →  x
        Transpose(Transpose(x))      →  Transpose(x) or x
    Reshape(ReduceMean(x)) that gives the axes back with extent 1  →  ReduceMean(x) {keepdims=True}
        Reshape(Reshape(x))          →  Reshape(x); Squeeze and Unsqueeze count as Reshape here
        Relu(Relu(x)), Clip(Clip(x)) →  one of them
        Transpose that moves only axes of extent 1  →  Reshape
    """
    outcome = Outcome()
    for node in graph:
        current: Node[Op] | None = node
        while current is not None and len(current.outputs) == 1 and current.output.uses:
            source = current.inputs[0].producer if current.inputs and current.inputs[0] is not None else None
            changed, current = _step(graph, current)
            outcome.done += changed
            if source is not None and not any(v.uses for v in source.outputs):
                graph.remove(source)
    return outcome


def _step(graph: Graph, node: Node[Op]) -> tuple[bool, Node[Op] | None]:
    """One simplification: whether there was one, and the node that may be simplified further."""
    if (same := _no_op(node)) is not None and same.type == node.output.type:
        graph.replace_uses(node.output, same)
        graph.remove(node)
        return True, None
    if (merged := _merged(node)) is not None:
        return True, graph.replace(node, merged[0], (merged[1],))
    return False, None


def _no_op(node: Node[Op]) -> Value | None:
    """The operand that the node passes on unchanged, if it does."""
    if is_op(node, Identity):
        return node.operand(0)
    if is_op(node, Cast, Reshape, Expand, Slice, Squeeze, Unsqueeze):
        keeps = node.output.type == node.operand(0).type and _starts_at_zero(node.op)
        return node.operand(0) if keeps else None
    if is_op(node, Concat, Split):
        return node.operand(0) if len(node.inputs) == len(node.outputs) == 1 else None
    if is_op(node, Transpose):
        return node.operand(0) if node.op.perm == tuple(range(len(node.op.perm))) else None
    if is_op(node, Pad):
        return node.operand(0) if not any(b or a for b, a in node.op.pads) else None
    if is_op(node, Tile):
        return node.operand(0) if all(r == 1 for r in node.op.repeats) else None
    if is_op(node, Clip):
        return node.operand(0) if node.op.low is None and node.op.high is None else None
    return _neutral_operand(node)


def _starts_at_zero(op: Op) -> bool:
    return not isinstance(op, Slice) or all(step == 1 for step in op.steps)


def _neutral_operand(node: Node[Op]) -> Value | None:
    """``x * 1``, ``x / 1`` and ``x - 0`` are exact; ``x + 0`` is not for -0.0, except on integers."""
    if is_op(node, Mul, Div):
        neutral = 1
    elif is_op(node, Sub) or (is_op(node, Add) and dtypes.is_integer(node.output.type.dtype)):
        neutral = 0
    else:
        return None
    left, right = node.operand(0), node.operand(1)
    if _is_filled_with(right, neutral):
        return left
    return right if isinstance(node.op, Mul | Add) and _is_filled_with(left, neutral) else None


def _is_filled_with(value: Value, number: int) -> bool:
    tensor = value.constant
    return tensor is not None and 0 < tensor.size <= 4096 and bool(np.all(tensor.numpy() == number))


def _merged(node: Node[Op]) -> tuple[Op, Value] | None:
    """One operator over the operand's operand, or a simpler one over the operand."""
    source = node.inputs[0] if len(node.inputs) == 1 else None
    if source is None:
        return None
    first = source.producer
    if is_op(node, Transpose):
        if is_op(first, Transpose):
            return Transpose(perm=tuple(first.op.perm[p] for p in node.op.perm)), first.operand(0)
        if moves_only_units(source.type, node.op.perm):
            return Reshape(shape=node.output.type.shape), source
    if is_op(node, Reshape, Squeeze, Unsqueeze) and is_op(first, Reshape, Squeeze, Unsqueeze):
        return Reshape(shape=node.output.type.shape), first.operand(0)
    if is_op(node, Reshape, Unsqueeze) and first is not None and isinstance(first.op, Reduce):
        return _kept(first, node.output.type) if len(source.uses) == 1 else None
    if is_op(node, Relu) and is_op(first, Relu):
        return Relu(), first.operand(0)
    if is_op(node, Clip) and is_op(first, Clip):
        merged = _intersect(first.op, node.op)
        return None if merged is None else (merged, first.operand(0))
    return None


def _kept(node: Node[Op], wanted: TensorType) -> tuple[Op, Value] | None:
    """The reduction that leaves its axes with extent 1, where that is all that a Reshape behind it does."""
    assert isinstance(node.op, Reduce)
    x = node.operand(0)
    keeping = dataclasses.replace(node.op, keepdims=True)
    return (keeping, x) if not node.op.keepdims and keeping.infer(x.type) == wanted else None


def moves_only_units(type: TensorType, perm: tuple[int, ...]) -> bool:
    """True when a transposition leaves the elements where they are in memory."""
    kept = [p for p in perm if type.shape[p] != 1]
    return kept == sorted(kept)


def _intersect(first: Clip, second: Clip) -> Clip | None:
    lows = [c.low for c in (first, second) if c.low is not None]
    highs = [c.high for c in (first, second) if c.high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        return None
    return Clip(low=low, high=high)
