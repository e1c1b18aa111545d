"""A pass under test: applied to a graph in text form, checked, run before and after, applied twice."""

from __future__ import annotations

import numpy as np

from mmconvert.interpreter import run
from mmconvert.ir.check import check
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.ir.text import parse_graph, random_weights
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.verification.inputs import generate


def graph_of(text: str) -> Graph:
    """A graph from its text; large weights become seeded noise."""
    lines = [line for line in text.splitlines() if line.strip()]
    indent = len(lines[0]) - len(lines[0].lstrip())
    return parse_graph("\n".join(line[indent:] for line in lines), random_weights())


def assert_same_function(before: Graph, after: Graph, tolerance: float = 1e-12) -> None:
    """Both graphs give the same outputs in float64, whatever the batch."""
    for feed in generate(before, count=2):
        expected = run(before, feed, precision="float64")
        actual = run(after, feed, precision="float64")
        assert list(actual) == list(expected)
        for name, array in expected.items():
            assert actual[name].shape == array.shape
            scale = np.max(np.abs(array), initial=1e-30)
            np.testing.assert_allclose(actual[name], array, rtol=0, atol=tolerance * scale)


def apply(function: Pass, text: str, tolerance: float = 1e-12) -> tuple[Graph, Outcome]:
    """The graph after the pass, which is well formed, computes the same, and stays so the second time."""
    before = graph_of(text)
    graph = copy_graph(before)
    outcome = function(graph)
    check(graph, after=str(function))
    assert_same_function(before, graph, tolerance)
    again = function(graph)
    assert again.done == 0, f"not idempotent: {again}"
    return graph, outcome


def names(graph: Graph) -> list[str]:
    """The operators in order."""
    return [node.op.name for node in graph]
