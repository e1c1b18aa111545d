"""Dropout goes where nothing is trained, and stays where something is."""

from __future__ import annotations

from mmconvert.ir.copy import copy_graph
from mmconvert.ir.text import parse_graph
from mmconvert.passes import pipeline
from mmconvert.passes.drop_dropout import drop_dropout

TEXT = """graph "g"(x: f32[2,3]) -> (y: f32[2,3])
  %1 = Dropout(x) {rate=0.5}
  %2 = Relu(%1)
  return %2
"""


def test_removes() -> None:
    graph = parse_graph(TEXT, lambda label, type: None)  # type: ignore[arg-type, return-value]
    assert drop_dropout(graph).done == 1
    assert [n.op.name for n in graph] == ["Relu"]
    assert drop_dropout(graph).done == 0


def test_a_trainable_model_keeps_it() -> None:
    graph = parse_graph(TEXT, lambda label, type: None)  # type: ignore[arg-type, return-value]
    other = copy_graph(graph)
    pipeline.optimize(graph)
    pipeline.optimize(other, trainable=True)
    assert [n.op.name for n in graph] == ["Relu"]
    assert [n.op.name for n in other] == ["Dropout", "Relu"]
