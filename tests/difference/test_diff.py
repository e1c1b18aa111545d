"""Differences between models are those of the models, not of their formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.difference.align import align
from mmconvert.difference.compare import Difference, compare
from mmconvert.difference.weights import relation
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.reduction import rewrite
from mmconvert.tensors import Tensor
from tests.verification.graphs import graph_of

NET = """
    graph "net"(image: f32[n,12,12,3]) -> (scores: f32[n,10])
      %w0: f32[8,3,3,3] = weight "w0"
      %b0: f32[8] = weight "b0"
      %w1: f32[8,3,3,8] = weight "w1"
      %w2: f32[8,10] = weight "w2"
      %1 = Conv(image, %w0, %b0) {strides=(2,2) dilations=(1,1) padding=same layout=NHWC}
      %2 = Relu(%1)
      %3 = Conv(%2, %w1) {strides=(1,1) dilations=(1,1) padding=same layout=NHWC}
      %4 = LeakyRelu(%3) {alpha=0.1}  # LeakyRelu "leaky" -> "leaky"
      %5 = Add(%4, %2)
      %6 = ReduceMean(%5) {axes=(1,2) keepdims=False}
      %7 = MatMul(%6, %w2)
      %8 = Softmax(%7) {axis=1}
      return %8
"""


def difference(a: Graph, b: Graph, *, run: bool = True) -> Difference:
    found = Difference("a", "b")
    compare(a, b, found, run=run, seed=0, k=4, progress=lambda _: None)
    return found


def net(*edits: tuple[str, str]) -> Graph:
    text = NET
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return graph_of(text)


@pytest.mark.parametrize("suffix", ["onnx", "tflite", "mmir"])
def test_the_same_model_in_another_format(tmp_path: Path, suffix: str) -> None:
    mmconvert.save(Module(net()), tmp_path / "a.mmir")
    mmconvert.save(Module(net()), tmp_path / f"b.{suffix}")
    found = mmconvert.diff(tmp_path / "a.mmir", tmp_path / f"b.{suffix}")
    assert [str(change) for change in found.changes] == []
    assert found.same
    assert found.level == "read back"


def test_the_same_model_in_another_layout(tmp_path: Path) -> None:
    """Inputs in the order of NCHW are the same inputs."""
    mmconvert.save(Module(net()), tmp_path / "a.mmir")
    mmconvert.save(Module(net()), tmp_path / "b.onnx", io_layout="target")
    found = mmconvert.diff(tmp_path / "a.mmir", tmp_path / "b.onnx")
    assert [str(change) for change in found.changes] == []
    assert found.same


def test_operands_of_a_sum_in_another_order() -> None:
    assert difference(net(), net(("Add(%4, %2)", "Add(%2, %4)"))).same


def test_a_changed_attribute() -> None:
    (change,) = difference(net(), net(("alpha=0.1", "alpha=0.2"))).changes
    assert (change.kind, change.operator) == ("attribute", "LeakyRelu")
    assert change.text == "alpha is 0.1, and 0.2 in the second"
    assert "leaky" in change.places[0]


def test_padding_that_no_window_reads() -> None:
    """12 with strides of 2 makes 6 windows of 3, which end at the 13th; SAME pads one behind."""
    explicit = ("strides=(2,2) dilations=(1,1) padding=same", "strides=(2,2) dilations=(1,1) padding=")
    for pads in ("((0,1),(0,1))", "((0,2),(0,2))"):
        assert difference(net(), net((explicit[0], explicit[1] + pads))).same
    moved = net((explicit[0], explicit[1] + "((1,0),(1,0))"))
    assert [c.kind for c in difference(net(), moved).changes] == ["attribute"]


def test_removed_and_added_operators() -> None:
    found = difference(net(), net(("%5 = Add(%4, %2)", "%5 = Tanh(%4)")))
    assert {(c.kind, c.operator) for c in found.changes} == {("removed", "Add"), ("added", "Tanh")}
    assert found.verdict is not None
    assert not found.verdict.passed


def test_another_operand() -> None:
    (change,) = difference(net(), net(("Add(%4, %2)", "Add(%4, %3)")), run=False).changes
    assert change.kind == "operand"
    assert "Relu" in change.text


def test_other_weights() -> None:
    other = net()
    (value,) = [v for v in other.constants() if v.name == "w2"]
    found = difference(net(), rewrite.with_noise(other, [value]))
    (change,) = found.changes
    assert change.kind == "weight"
    assert change.text.startswith("w2: 100.0% of the numbers differ")
    assert not found.same


def test_other_ends() -> None:
    found = difference(net(), net(("(scores: f32", "(result: f32")), run=False)
    assert [str(c) for c in found.changes] == ["output: scores is called result in the second"]
    smaller = net(("image: f32[n,12,12,3]", "image: f32[n,14,12,3]"))
    assert "input: image is f32[s0,12,12,3]" in str(difference(net(), smaller, run=False).changes[0])


def test_open_extents_may_have_any_name() -> None:
    assert difference(net(), net(("[n,", "[batch,"))).same


def test_every_node_is_in_one_pair() -> None:
    a, b = net(), net(("%5 = Add(%4, %2)", "%5 = Tanh(%4)"))
    pairs = align(a, b)
    assert {x for x, _ in pairs if x is not None} == set(a)
    assert {y for _, y in pairs if y is not None} == set(b)
    assert len(pairs) == len(a) + 1


def test_relations_of_weights() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 3, 4)).astype(np.float32)

    def stands(b: np.ndarray) -> str:
        return relation(Tensor.of(a), Tensor.of(b))

    assert stands(a.copy()) == ""
    assert stands(a * np.float32(1 + 1e-7)) == ""
    assert stands(np.ascontiguousarray(a.transpose(2, 0, 1))) == "equal under permute(2,0,1)"
    assert stands(a.reshape(6, 4)) == "equal, [2, 3, 4] became [6, 4]"
    assert stands(a.reshape(1, 2, 3, 4)) == ""
    assert stands(a[:1]) == "[2, 3, 4] became [1, 3, 4]"
    b = a.copy()
    b[0, 0, 0] += 1
    assert stands(b).startswith("4.2% of the numbers differ, by at most 1")
