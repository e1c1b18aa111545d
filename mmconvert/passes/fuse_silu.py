"""A product with its own sigmoid is a Silu."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, is_op
from mmconvert.ir.ops import Mul, Sigmoid, Silu
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import factors
from mmconvert.passes.outcome import Outcome


def fuse_silu(graph: Graph) -> Outcome:
    """Writes ``x * sigmoid(x)`` as one operator, for targets that have it.

    ::

        %1 = Sigmoid(x)        →    %2 = Silu(x)
        %2 = Mul(x, %1)
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Mul):
            continue
        for x, gate in factors(node.output):
            if is_op(gate.producer, Sigmoid) and gate.producer.operand(0) is x:
                graph.replace(node, Silu(), (x,))
                outcome.done += 1
                break
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome
