"""A slice of a slice is one slice."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Node, is_op
from mmconvert.ir.ops import Slice
from mmconvert.passes.outcome import Outcome


def merge_slices(graph: Graph) -> Outcome:
    """Merges a Slice into the Slices behind it.

    ::

        %1 = Slice(x) {axes=(2,) starts=(1,) sizes=(8,) steps=(2,)}     →    %2 = Slice(x) {axes=(2,3) ...}
        %2 = Slice(%1) {axes=(3,) starts=(0,) sizes=(4,) steps=(1,)}

    Along one axis, element i of the second is element ``start + i * step`` of the first.

    Declines when: something else reads the first one, which then stays.
    """
    outcome = Outcome()
    for node in graph:
        first = node.operand(0).producer if is_op(node, Slice) else None
        if not is_op(node, Slice) or not is_op(first, Slice):
            continue
        if not all(is_op(user, Slice) for user in first.output.users):
            outcome.decline(node, "the first slice is used elsewhere")
            continue
        graph.replace(node, _merged(first, node), (first.operand(0),))
        if not first.output.uses:
            graph.remove(first)
        outcome.done += 1
    return outcome


def _merged(first: Node[Slice], second: Node[Slice]) -> Slice:
    taken = {
        axis: (start, size, step)
        for axis, start, size, step in zip(
            first.op.axes, first.op.starts, first.op.sizes, first.op.steps, strict=True
        )
    }
    for axis, start, size, step in zip(
        second.op.axes, second.op.starts, second.op.sizes, second.op.steps, strict=True
    ):
        from_start, _, from_step = taken.get(axis, (0, 0, 1))
        taken[axis] = (from_start + start * from_step, size, from_step * step)
    axes = tuple(sorted(taken))
    return Slice(
        axes=axes,
        starts=tuple(taken[a][0] for a in axes),
        sizes=tuple(taken[a][1] for a in axes),
        steps=tuple(taken[a][2] for a in axes),
    )
