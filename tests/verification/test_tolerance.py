"""A tolerance of the user's takes the place of the derived budget, and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import UsageError
from mmconvert.ir.model import Module
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.verdict import Verdict
from tests.verification.graphs import altered, graph_of

NET = """
    graph "net"(x: f32[n,8]) -> (y: f32[n,8], i: i64[n])
      %1 = Tanh(x)
      %2 = ArgMax(%1) {axis=1 keepdims=False}
      return %1, %2
"""


def verdict_at(off: float, tolerance: float | None, integers: int = 0) -> Verdict:
    graph = graph_of(NET)
    target = altered(graph, lambda o: {"y": o["y"] + np.float32(off), "i": o["i"] + integers})
    return judge(observe(graph, generate(graph)), target, tolerance=tolerance)


def test_more_is_let_through_and_it_is_said() -> None:
    assert not verdict_at(1e-3, None).passed
    verdict = verdict_at(1e-3, 1e-2)
    assert verdict.passed
    assert any("tolerance 0.01 was given" in note for note in verdict.notes)
    output = verdict.outputs[0]
    assert output.budget.maximum == 1e-2
    assert output.derived is not None
    assert output.derived.maximum < 1e-4
    assert output.is_wrong
    document = verdict.to_json()
    assert document["tolerance"] == 0.01
    assert document["outputs"][0]["derived_budget"]["maximum"] < 1e-4
    assert verdict_at(0, None).to_json()["tolerance"] is None


def test_less_is_let_through() -> None:
    verdict = verdict_at(1e-7, 1e-9)
    assert not verdict.passed
    assert not verdict.outputs[0].is_wrong


def test_integers_still_have_to_be_equal() -> None:
    assert not verdict_at(0, 0.5, integers=1).passed


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_tolerance(tolerance: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="positive number"):
        verdict_at(0, tolerance)
    mmconvert.save(Module(graph_of(NET)), tmp_path / "net.mmir")
    with pytest.raises(UsageError, match="positive number"):
        mmconvert.convert(tmp_path / "net.mmir", tmp_path / "net.onnx", tolerance=tolerance)
    assert not (tmp_path / "net.onnx").exists()
