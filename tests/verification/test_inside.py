"""An operator's own error is told from what it was handed; several faults are named in one pass."""

from __future__ import annotations

import pytest

from mmconvert.ir.graph import Graph
from mmconvert.verification.inputs import generate
from mmconvert.verification.inside import Inside, look_inside
from mmconvert.verification.shown import Shown, shown_by_graph
from tests.verification.graphs import MLP, graph_of

CHAIN = """
    graph "chain"(x: f32[1,6]) -> (y: f32[1,6])
      %w0: f32[6,6] = weight "w0"
      %w1: f32[6,6] = weight "w1"
      %1 = MatMul(x, %w0)  # Dense "first" -> "first"
      %2 = Tanh(%1)  # Tanh "second" -> "second"
      %3 = MatMul(%2, %w1)  # Dense "third" -> "third"
      %4 = Sigmoid(%3)  # Sigmoid "fourth" -> "fourth"
      %5 = Exp(%4)  # Exp "fifth" -> "y"
      return %5
"""


def inside(right: str, wrong: str, *, hidden: tuple[str, ...] = (), renamed: bool = False) -> Inside:
    graph = graph_of(right)
    (feed,) = generate(graph, count=1)
    shown = [s for s in shown_by_graph(graph_of(wrong), feed, "float32") if s.name not in hidden]
    if renamed:
        shown = [Shown(f"t{i}", s.array, s.operator) if s.name != "y" else s for i, s in enumerate(shown)]
    return look_inside(graph, feed, shown)


def places(found: Inside) -> list[str]:
    return [fault.place for fault in found.faults]


def test_nothing_is_wrong() -> None:
    found = inside(CHAIN, CHAIN)
    assert not found.faults
    assert [layer.value for layer in found.layers] == ["first", "second", "third", "fourth", "y"]
    assert all(layer.error.within(layer.budget) and layer.local is None for layer in found.layers)


@pytest.mark.parametrize("renamed", [False, True])
def test_one_fault_and_what_it_makes_of_the_rest(renamed: bool) -> None:
    found = inside(CHAIN, CHAIN.replace("Tanh(%1)", "Relu(%1)"), renamed=renamed)
    assert places(found) == ["Tanh 'second'"]
    (fault,) = found.faults
    assert (fault.operator, fault.diagnosis) == ("Tanh", "matches with Relu for Tanh")
    by_place = {layer.place: layer for layer in found.layers}
    behind = by_place["Dense 'third'"]
    assert not behind.error.within(behind.budget)  # it has the wrong operand
    assert behind.local is not None
    assert behind.local.within(behind.budget)  # and makes of it what it should


@pytest.mark.parametrize("renamed", [False, True])
def test_two_faults_in_one_pass(renamed: bool) -> None:
    wrong = CHAIN.replace("Tanh(%1)", "Relu(%1)").replace("Exp(%4)", "Neg(%4)")
    found = inside(CHAIN, wrong, renamed=renamed)
    assert places(found) == ["Tanh 'second'", "Exp 'fifth'"]
    assert found.faults[1].diagnosis == "matches with Neg for Exp"


def test_a_wrong_operator_that_the_run_does_not_show() -> None:
    found = inside(CHAIN, CHAIN.replace("Tanh(%1)", "Relu(%1)"), hidden=("second",))
    (fault,) = found.faults
    assert (fault.operator, fault.place, fault.value) == ("Tanh", "Tanh 'second'", "third")
    assert fault.fused == ("Dense 'third'",)


def test_only_the_end_is_shown() -> None:
    found = inside(
        CHAIN, CHAIN.replace("Tanh(%1)", "Relu(%1)"), hidden=("first", "second", "third", "fourth")
    )
    (fault,) = found.faults
    assert fault.operator == "Tanh"
    assert len(fault.fused) == 4


def test_a_value_in_another_layout() -> None:
    text = """
        graph "image"(x: f32[1,4,3,2]) -> (y: f32[1,4,3,2])
          %1 = Exp(x)  # - "exp" -> "exp"
          %2 = Tanh(%1)  # - "last" -> "y"
          return %2
    """
    graph = graph_of(text)
    (feed,) = generate(graph, count=1)
    exp, last = shown_by_graph(graph, feed)
    moved = Shown("exp", exp.array.transpose(0, 3, 1, 2), "Exp")
    found = look_inside(graph, feed, [moved, Shown("y", last.array + 0.5, "Tanh")], moved=True)
    assert [layer.permutation for layer in found.layers] == [(0, 3, 1, 2), (0, 1, 2, 3)]
    assert [(f.operator, f.diagnosis) for f in found.faults] == [("Tanh", "matches with 0.5 added")]


def test_an_operator_that_is_fed_twice() -> None:
    """The sum reads a wrong value and a right one; only what made the wrong one is to blame."""
    text = """
        graph "diamond"(x: f32[1,8]) -> (y: f32[1,8])
          %1 = Exp(x)  # - "a" -> "a"
          %2 = Tanh(x)  # - "b" -> "b"
          %3 = Add(%1, %2)  # - "c" -> "y"
          return %3
    """
    found = inside(text, text.replace("Exp(x)", "Sigmoid(x)"))
    assert [f.value for f in found.faults] == ["a"]


def graph_and_its_wrong_twin() -> tuple[Graph, Graph]:
    return graph_of(MLP), graph_of(MLP.replace("axis=1", "axis=0"))


def test_json() -> None:
    graph, wrong = graph_and_its_wrong_twin()
    feed = generate(graph, count=2)[1]
    (fault,) = (found := look_inside(graph, feed, shown_by_graph(wrong, feed))).faults
    data = fault.to_json()
    assert (data["operator"], data["diagnosis"]) == ("Softmax", "matches with axis=0")
    assert data["error"]["maximum"] > data["budget"]["maximum"]
    assert found.layers[0].to_json()["place"] == "Dense 'first'"
