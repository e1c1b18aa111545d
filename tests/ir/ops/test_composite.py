"""Operators of a format with a body that says what they do."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.errors import InferenceError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.text import format_graph, parse_graph
from mmconvert.ir.types import TensorType
from mmconvert.passes.legalize import legalize

TYPE = TensorType(np.dtype(np.float32), (3,))


def doubled() -> Graph:
    """``format.Twice`` of x plus 1, which gives the double, and x back."""
    body = Graph("twice")
    b = Builder(body)
    x = body.input("x", TYPE)
    body.set_outputs([b(ops.Mul(), x, 2.0), x], ["y", "same"])
    graph = Graph("main")
    b = Builder(graph)
    op = ops.Composite(
        kind="format.Twice",
        body=body,
        operands=(0, -1),
        states=(0,),
        options=("limit=0.5",),
        grids=((0.5, -3),) * 3,
    )
    made = b.multi(op, b(ops.Add(), graph.input("x", TYPE), 1.0))
    graph.set_outputs(made, ["y", "same"])
    return graph


def test_it_does_what_its_body_does() -> None:
    found = run(doubled(), {"x": np.arange(3, dtype=np.float32)})
    np.testing.assert_array_equal(found["y"], [2, 4, 6])
    np.testing.assert_array_equal(found["same"], [1, 2, 3])


def test_a_target_that_lacks_it_gets_the_body() -> None:
    graph = doubled()
    legalize(graph, lambda node: "no" if isinstance(node.op, ops.Composite) else None, "Target")
    assert [node.op.name for node in graph] == ["Add", "Mul"]
    np.testing.assert_array_equal(run(graph, {"x": np.zeros(3, np.float32)})["y"], [2, 2, 2])


def test_its_text_is_complete() -> None:
    text = format_graph(doubled())
    again = parse_graph(text)
    assert format_graph(again) == text
    (node,) = (n for n in again if isinstance(n.op, ops.Composite))
    assert node.op.grids == ((0.5, -3),) * 3
    assert node.op.options == ("limit=0.5",)


def test_operands_of_other_types_are_refused() -> None:
    graph = Graph("main")
    (node,) = (n for n in doubled() if isinstance(n.op, ops.Composite))
    with pytest.raises(InferenceError, match="the inputs of body"):
        Builder(graph).multi(node.op, graph.input("x", TYPE.with_shape((4,))))
