"""What must hold whatever the numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmconvert.ir.types import Array
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.verdict import Verdict
from tests.verification.graphs import MLP, altered, graph_of

GATE = """
    graph "gate"(x: f32[2,8]) -> (y: f32[2,8], z: i64[2])
      %1 = Sigmoid(x)
      %2 = ArgMax(x) {axis=1 keepdims=False}
      return %1, %2
"""


def verdict_on(text: str, change: Callable[[Array], Array], name: str = "y") -> Verdict:
    graph = graph_of(text)
    target = altered(graph, lambda outputs: outputs | {name: change(outputs[name])})
    return judge(observe(graph, generate(graph)), target)


def broken(verdict: Verdict) -> list[str]:
    return [i.rule for i in verdict.invariants if not i.held]


def test_all_hold() -> None:
    verdict = verdict_on(MLP, lambda y: y)
    rules = [i.rule for i in verdict.invariants]
    assert rules == ["finite where the source is", "sums to one", "the largest is the same"]
    assert not broken(verdict)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda y: y * np.float32(1.01), "sums to one"),
        (lambda y: y[:, ::-1], "the largest is the same"),
        (lambda y: np.where(y == y.max(), np.float32(np.nan), y), "finite where the source is"),
    ],
)
def test_of_probabilities(change: Callable[[Array], Array], rule: str) -> None:
    verdict = verdict_on(MLP, change)
    assert rule in broken(verdict)
    assert f"the output 'y': not {rule}" in verdict.notes
    assert {"output": "y", "rule": rule, "held": False} in verdict.to_json()["invariants"]


def test_of_a_sigmoid() -> None:
    assert broken(verdict_on(GATE, lambda y: y + np.float32(0.9))) == ["within 0 and 1"]


def test_of_integers() -> None:
    assert broken(verdict_on(GATE, lambda z: z + 1, "z")) == ["integers are equal"]
