"""Gives every graph output a value of its own, under the output's name."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import Identity
from mmconvert.passes.outcome import Outcome


def pin_outputs(graph: Graph) -> Outcome:
    """Puts an Identity before outputs that are inputs, constants, or listed twice; names the others.

    ::

        graph(x) -> (y)        →    %1 = Identity(x)
        return x                    return %1            # called "y"

    File formats name tensors, not outputs, so an output needs a tensor that nothing else names. Runs last:
    ``simplify`` takes Identity out again.
    """
    outcome = Outcome()
    seen = set()
    for index, (value, name) in enumerate(zip(graph.outputs, graph.output_names, strict=True)):
        if value.producer is None or value in seen:
            value = Builder(graph)(Identity(), value)
            graph.set_output(index, value)
            outcome.done += 1
        seen.add(value)
        value.name = name
    return outcome
