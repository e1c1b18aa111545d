"""Operators that write over an operand that nobody needs: same numbers, and only where nobody can see it."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.interpreter import Session
from mmconvert.ir.op import Op
from tests.cases import ALL
from tests.passes.helpers import graph_of

IN_PLACE = [c for c in ALL if type(c.op).evaluate_in_place is not Op.evaluate_in_place]

TEXT = """
    graph "g"(x: f32[4,64,64,8]) -> (y: f32[4,64,64,8])
      %1 = Abs(x)
      %2 = Relu(%1)
      %c: f32[8] = [1,2,3,4,5,6,7,8]
      %3 = Mul(%2, %c)
      %4 = Clip(%3) {low=0.0 high=6.0}
      %5 = Add(%4, %1)
      return %5
    """


@pytest.mark.parametrize("case", IN_PLACE, ids=str)
def test_in_place_is_the_same_to_the_last_bit(case):
    graph, feeds = case.build()
    (node,) = graph
    operands = [
        None if v is None else feeds.get(v.name) if v.constant is None else v.constant.numpy()
        for v in node.inputs
    ]
    x = np.array(operands[0])
    expected = case.op.evaluate(*operands)
    result = case.op.evaluate_in_place(x, *operands[1:])
    if result is None:
        np.testing.assert_array_equal(x, operands[0])
    else:
        assert result is x
        np.testing.assert_array_equal(result, expected)


def test_a_chain_reuses_the_memory_of_dying_values():
    graph = graph_of(TEXT)
    addresses = {}
    Session(graph).run(
        {"x": np.ones((4, 64, 64, 8), np.float32)},
        trace=lambda node, outputs: addresses.update({node.op.name: outputs[0].ctypes.data}),
    )
    assert addresses["Mul"] == addresses["Relu"] == addresses["Clip"] == addresses["Add"]
    assert addresses["Relu"] != addresses["Abs"], "it is read again later"


def test_inputs_and_traced_values_stay_as_they_were():
    graph = graph_of(TEXT)
    x = np.random.default_rng(0).normal(size=(4, 64, 64, 8)).astype(np.float32)
    before, seen = x.copy(), []
    Session(graph).run({"x": x}, trace=lambda node, outputs: seen.append((node.op.name, outputs[0])))
    np.testing.assert_array_equal(x, before)
    names = dict(seen)
    np.testing.assert_array_equal(names["Relu"], np.abs(before))
    np.testing.assert_array_equal(names["Mul"], np.abs(before) * np.arange(1, 9, dtype=np.float32))


def test_a_view_keeps_its_values():
    graph = graph_of(
        """
        graph "g"(x: f32[2,4]) -> (y: f32[8], z: f32[2,4])
          %1 = Abs(x)
          %2 = Reshape(%1) {shape=(8,)}
          %3 = Neg(%1)
          %4 = Relu(%3)
          %5 = Abs(%2)
          return %2, %4
        """
    )
    x = np.arange(-4, 4, dtype=np.float32).reshape(2, 4)
    out = Session(graph).run({"x": x})
    np.testing.assert_array_equal(out["y"], np.abs(x).reshape(8))


def test_a_model_is_planned_anew_after_an_edit():
    from mmconvert.api import Model
    from mmconvert.ir.ops import Neg

    model = Model(graph_of(TEXT))
    x = np.ones((4, 64, 64, 8), np.float32)
    first = model.run({"x": x})["y"]
    node = next(n for n in model.graph if n.op.name == "Abs")
    model.graph.replace(node, Neg(), node.inputs)
    assert not np.array_equal(model.run({"x": x})["y"], first)
