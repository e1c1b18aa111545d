"""Where a runtime shows nothing inside, parts of the graph are written and run to find what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmconvert
from mmconvert.ir import ops
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.verification.bisect import cut_points, first_wrong_part
from mmconvert.verification.inputs import generate
from mmconvert.verification.sides import Side
from tests.mutations import devices
from tests.mutations.faults import EMITTERS
from tests.mutations.models import write
from tests.verification.graphs import altered, graph_of

DIAMOND = """
    graph "diamond"(x: f32[1,8]) -> (y: f32[1,8])
      %c0: f32[8] = weight "c0"
      %1 = Tanh(x)  # - "a" -> "a"
      %2 = Exp(%1)  # - "b" -> "b"
      %3 = Sigmoid(%1)  # - "c" -> "c"
      %4 = Add(%2, %3)  # - "d" -> "d"
      %5 = Mul(%4, %c0)  # - "e" -> "y"
      return %5
"""

KINDS: dict[str, type[Op]] = {"Tanh": ops.Tanh, "Relu": ops.Relu, "Exp": ops.Exp, "Neg": ops.Neg}


def test_cut_points() -> None:
    assert [v.name for v in cut_points(graph_of(DIAMOND))] == ["a", "d", "y"]


@pytest.mark.parametrize(
    ("right", "wrong", "operator", "fused"),
    [
        ("Tanh", "Relu", "Tanh", ()),
        ("Exp", "Neg", "Exp", ("c", "d")),
    ],
)
def test_between_the_last_right_cut_and_the_first_wrong_one(
    right: str, wrong: str, operator: str, fused: tuple[str, ...]
) -> None:
    graph = graph_of(DIAMOND)
    (feed,) = generate(graph, count=1)
    asked: list[str] = []

    def probe(part: Graph) -> Side:
        asked.append(part.output_names[0])
        return altered(part_with(part, KINDS[right], KINDS[wrong]))

    fault = first_wrong_part(graph, feed, probe, 4, stage="runtime", agent="a test")
    assert fault is not None
    assert (fault.stage, fault.agent) == ("runtime", "a test")
    places = {fault.place, *fault.fused}
    assert (operator, places >= set(fused)) == (fault.operator, True)
    assert len(asked) <= 3


def part_with(part: Graph, right: type[Op], wrong: type[Op]) -> Graph:
    """A copy in which one kind of operator is another."""
    copy = copy_graph(part)
    for node in copy:
        if isinstance(node.op, right):
            copy.replace(node, wrong(), node.inputs)
    return copy


def test_nothing_is_found_where_the_parts_are_right() -> None:
    graph = graph_of(DIAMOND)
    (feed,) = generate(graph, count=1)
    assert first_wrong_part(graph, feed, altered, 4, stage="runtime") is None


def test_an_ort_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write("cnn", tmp_path)
    change = devices.attribute(alpha=0.3)
    devices.emitter(monkeypatch, EMITTERS["onnx"], ops.LeakyRelu, change)
    report = mmconvert.convert(source, tmp_path / "m.ort")
    assert report.verdict is not None
    (fault,) = report.verdict.faults
    assert (fault.stage, fault.operator, fault.place) == ("unknown", "LeakyRelu", "LeakyRelu 'leaky'")
