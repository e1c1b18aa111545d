"""Graphs in text form for the tests of this folder, and sides made out of functions."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping

from mmconvert.ir.graph import Graph
from mmconvert.ir.text import parse_graph, random_weights
from mmconvert.ir.types import Array
from mmconvert.verification.sides import Interpreted, Side


def graph_of(text: str) -> Graph:
    """A graph from its text; large weights become seeded noise."""
    return parse_graph(textwrap.dedent(text).strip() + "\n", random_weights())


class Altered:
    """A graph in the interpreter whose outputs are changed on the way out."""

    def __init__(self, graph: Graph, change: Callable[[dict[str, Array]], dict[str, Array]]) -> None:
        self.inner, self.change = Interpreted(graph), change
        self.inputs = self.inner.inputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self.change(self.inner.run(inputs))

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self.inner.intermediates(inputs) | self.run(inputs)


def altered(
    graph: Graph, change: Callable[[dict[str, Array]], dict[str, Array]] = lambda outputs: outputs
) -> Side:
    """A target that computes what ``graph`` does, and then something else."""
    return Side(Altered(graph, change), "a test", "executed")


MLP = """
    graph "mlp"(x: f32[n,8]) -> (y: f32[n,4])
      %w0: f32[8,16] = weight "w0"
      %w1: f32[16,4] = weight "w1"
      %1 = MatMul(x, %w0)  # Dense "first" -> "hidden"
      %2 = Relu(%1)  # Relu "act" -> "act"
      %3 = MatMul(%2, %w1)  # Dense "second" -> "logits"
      %4 = Softmax(%3) {axis=1}  # Softmax "out" -> "y"
      return %4
"""
