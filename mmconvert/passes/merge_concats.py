"""A concatenation of concatenations along one axis is one concatenation."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import Concat
from mmconvert.passes.outcome import Outcome


def merge_concats(graph: Graph) -> Outcome:
    """Merges a Concat into the Concat behind it.

    ::

        %1 = Concat(a, b) {axis=1}     →    %2 = Concat(a, b, c) {axis=1}
        %2 = Concat(%1, c) {axis=1}

    Declines when: the first one is used elsewhere, so that its elements would be copied twice as well.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Concat):
            continue
        parts: list[Value] = []
        merged = []
        for index in range(len(node.inputs)):
            part = node.operand(index)
            first = part.producer
            if not is_op(first, Concat) or first.op.axis != node.op.axis:
                parts.append(part)
            elif len(part.uses) > 1:
                outcome.decline(node, "a part is used elsewhere")
                parts.append(part)
            else:
                parts += [first.operand(i) for i in range(len(first.inputs))]
                merged.append(first)
        if merged:
            graph.replace(node, node.op, parts)
            for first in merged:
                graph.remove(first)
            outcome.done += 1
    return outcome
