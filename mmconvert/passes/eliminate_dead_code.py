"""Removes nodes that no output depends on."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, prune
from mmconvert.passes.outcome import Outcome


def eliminate_dead_code(graph: Graph) -> Outcome:
    """Removes nodes that no output depends on.

    ::

        %1 = Relu(x)                →    %2 = Tanh(x)
        %2 = Tanh(x)                     return %2
        return %2
    """
    return Outcome(prune(graph))
