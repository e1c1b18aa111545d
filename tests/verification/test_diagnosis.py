"""What usually goes wrong is recognised, family by family; what is right or random is not explained away."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.interpreter import run
from mmconvert.ir.types import Array
from mmconvert.verification.compare import Error
from mmconvert.verification.diagnosis import Suspect, diagnose
from mmconvert.verification.segment import Segment, segment_of
from tests.verification.graphs import graph_of

TIGHT = Error(1e-5, 1e-5)


def of(text: str) -> tuple[Segment, Array]:
    """The segment of a graph of one operator or several, and its value."""
    graph = graph_of(text)
    rng = np.random.default_rng(0)
    feed = {v.name: rng.standard_normal(v.type.shape).astype(np.float32) for v in graph.inputs}
    (expected,) = run(graph, feed, precision="float64").values()
    shown = {v: feed[v.name] for v in graph.inputs}
    return segment_of(graph.outputs[0], shown, {}), expected


def found(right: str, wrong: str) -> str:
    part, expected = of(right)
    _, actual = of(wrong)
    diagnosis = diagnose(Suspect(part, actual, expected, TIGHT))
    return "" if diagnosis is None else diagnosis.text


def graph(body: str, shape: str = "1,3,7,6", out: str = "1,3,7,6", weights: str = "") -> str:
    return f"""
        graph "one"(x: f32[{shape}]) -> (y: f32[{out}])
          {weights}
          {body}
          return %1
    """


def pool(kind: str, padding: str, more: str = "") -> str:
    fields = f"kernel=(3,3) strides=(1,1) dilations=(1,1) padding={padding} layout=NCHW{more}"
    return graph(f"%1 = {kind}(x) {{{fields}}}")


EVEN, BEFORE = "((1,1),(1,1))", "((2,0),(2,0))"


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        (pool("MaxPool", EVEN), pool("MaxPool", BEFORE), "matches with padding=((2,0),(2,0))"),
        (
            pool("AveragePool", EVEN),
            pool("AveragePool", EVEN, " count_include_pad=True"),
            "matches with count_include_pad=True",
        ),
        (pool("MaxPool", EVEN), pool("AveragePool", EVEN), "matches with AveragePool for MaxPool"),
        (
            graph("%1 = Softmax(x) {axis=1}"),
            graph("%1 = Softmax(x) {axis=3}"),
            "matches with axis=3",
        ),
        (
            graph("%1 = Softmax(x) {axis=1}"),
            graph("%1 = LogSoftmax(x) {axis=1}"),
            "matches under Log",
        ),
        (
            graph("%1 = LayerNorm(x) {axes=(3,) epsilon=0.001}"),
            graph("%1 = LayerNorm(x) {axes=(3,) epsilon=1e-05}"),
            "matches with epsilon=1e-05",
        ),
        (graph("%1 = Relu(x)"), graph("%1 = Identity(x)"), "matches without Relu"),
        (graph("%1 = Sigmoid(x)"), graph("%1 = Tanh(x)"), "matches with Tanh for Sigmoid"),
        (
            graph("%1 = Clip(x) {low=0.0 high=1.0}"),
            graph("%1 = Clip(x) {low=0.0 high=0.75}"),
            "matches with high=0.75",
        ),
    ],
)
def test_operators(right: str, wrong: str, text: str) -> None:
    assert found(right, wrong) == text


def changed(body: str, change: object, **more: str) -> str:
    part, expected = of(graph(body, **more))
    diagnosis = diagnose(Suspect(part, np.asarray(change(expected)), expected, TIGHT))  # type: ignore[operator]
    return "" if diagnosis is None else diagnosis.text


SQUARE = {"shape": "2,3,4,5", "out": "2,3,4,5"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda y: y.transpose(0, 2, 3, 1).reshape(y.shape), "matches under permute(0,2,3,1)"),
        (lambda y: y[:, ::-1], "matches reversed along axis 1"),
        (lambda y: np.roll(y, 1, 3), "matches shifted by 1 along axis 3"),
        (lambda y: 1.25 * y, "matches scaled by 1.25"),
        (lambda y: y + 3, "matches with 3 added"),
        (lambda y: 2 * y - 1, "matches scaled by 2, with -1 added"),
        (
            lambda y: y * np.arange(1, 4).reshape(1, 3, 1, 1),
            "matches scaled by another number each along axis 1",
        ),
    ],
)
def test_results(change: object, text: str) -> None:
    assert changed("%1 = Exp(x)", change, **SQUARE) == text


def test_noise_is_not_explained() -> None:
    rng = np.random.default_rng(1)
    assert not changed("%1 = Exp(x)", lambda y: y * rng.uniform(0.5, 1.5, y.shape), **SQUARE)


def test_what_is_right_is_not_explained() -> None:
    assert not changed("%1 = Exp(x)", lambda y: y, **SQUARE)
