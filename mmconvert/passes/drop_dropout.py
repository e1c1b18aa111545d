"""Dropout is for training only."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, is_op
from mmconvert.ir.ops import Dropout
from mmconvert.passes.outcome import Outcome


def drop_dropout(graph: Graph) -> Outcome:
    """Removes dropout, for targets that cannot be trained.

    ::

        %1 = Dropout(x) {rate=0.5}    →    %2 = Relu(x)
        %2 = Relu(%1)
    """
    outcome = Outcome()
    for node in graph:
        if is_op(node, Dropout):
            graph.replace_uses(node.output, node.operand(0))
            graph.remove(node)
            outcome.done += 1
    return outcome
