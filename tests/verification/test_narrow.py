"""Verdicts on targets over rounded weights: what is wrong is found on either side of the rounding."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.passes.store_weights_as_float16 import store_weights_as_float16
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import observe
from mmconvert.verification.narrow import judge_narrow, sqnr
from mmconvert.verification.sides import Side
from mmconvert.verification.verdict import Verdict
from tests.verification.graphs import altered, graph_of

TEXT = """
    graph "net"(x: f32[n,64]) -> (y: f32[n,64], rank: i64[n])
      %w0: f32[64,64] = weight "w0"
      %1 = MatMul(x, %w0)
      %2 = ArgMax(%1) {axis=1 keepdims=False}
      return %1, %2
"""
OTHER = (
    TEXT.replace("MatMul(x, %w0)", "Neg(%0)")
    .replace("return", "return")
    .replace("%1 = Neg(%0)", "%0 = MatMul(x, %w0)\n      %1 = Neg(%0)")
)


def verdict_on(exact: Graph | None = None, target: Graph | None = None) -> Verdict:
    source = graph_of(TEXT)
    lowered = exact or copy_graph(source)
    rounded = copy_graph(lowered)
    store_weights_as_float16()(rounded)
    side: Side = altered(target or rounded)
    return judge_narrow(observe(source, generate(source)), lowered, rounded, side)


def test_the_rounded_graph_is_the_reference() -> None:
    verdict = verdict_on()
    assert verdict.passed
    assert verdict.level == "executed"
    assert 60 < verdict.losses["y"] < 80
    assert "rank" not in verdict.losses


def test_a_target_over_other_weights_is_wrong() -> None:
    assert not verdict_on(target=graph_of(TEXT)).passed


def test_a_graph_that_was_wrong_before_is_wrong() -> None:
    verdict = verdict_on(exact=graph_of(OTHER))
    assert not verdict.passed
    assert "before its weights were rounded" in verdict.notes[-1]


def test_signal_over_noise() -> None:
    a = np.array([3.0, 4.0])
    assert sqnr([(a, a)]) == float("inf")
    assert sqnr([(a, a * 1.1)]) == pytest.approx(20)
    assert sqnr([(a, a * 1.01), (a, a)]) == pytest.approx(40 + 10 * np.log10(2))
    assert sqnr([(a, np.array([3.0, np.inf]))]) is None
    assert sqnr([(a, a[:1])]) is None
    assert sqnr([(np.array([1]), np.array([1]))]) is None
