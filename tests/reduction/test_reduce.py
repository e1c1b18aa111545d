"""A model that is converted wrongly becomes a small one that is converted wrongly in the same way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import UsageError
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.reduction import rewrite
from mmconvert.reduction.search import Exhausted, Search
from mmconvert.reduction.trial import Conversion, Failure
from mmconvert.registry import find
from tests.mutations import devices
from tests.mutations.faults import EMITTERS
from tests.verification.graphs import graph_of

NET = """
    graph "net"(image: f32[n,3,24,24], other: f32[n,6]) -> (scores: f32[n,10], twice: f32[n,6])
      %w0: f32[8,3,3,3] = weight "secret/kernel"
      %b0: f32[8] = weight "secret/bias"
      %w1: f32[8,8,3,3] = weight "w1"
      %w2: f32[8,10] = weight "w2"
      %two: f32[1] = [2.0]
      %1 = Conv(image, %w0, %b0) {strides=(2,2) dilations=(1,1) padding=((1,1),(1,1)) layout=NCHW}
      %2 = Relu(%1)  # Relu "first/act" -> "a1"
      %3 = Conv(%2, %w1) {strides=(1,1) dilations=(1,1) padding=((1,1),(1,1)) layout=NCHW}
      %4 = LeakyRelu(%3) {alpha=0.1}  # LeakyRelu "the/leaky" -> "a2"
      %5 = Add(%4, %2)
      %6 = Tanh(%5)
      %7 = ReduceMean(%6) {axes=(2,3) keepdims=False}
      %8 = MatMul(%7, %w2)
      %9 = Softmax(%8) {axis=1}
      %10 = Mul(other, %two)
      return %9, %10
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.mmir"
    mmconvert.save(Module(graph_of(NET)), path)
    return path


def break_leaky(patch: pytest.MonkeyPatch) -> None:
    """LeakyRelu is written to TFLite with another slope."""
    devices.emitter(patch, EMITTERS["tflite"], ops.LeakyRelu, devices.attribute(alpha=0.7))


def test_what_is_left_is_the_operator_that_is_wrong(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_leaky(monkeypatch)
    found = mmconvert.reduce(net, "tflite", tmp_path / "small.onnx")
    assert found.complete
    assert found.kinds == ["LeakyRelu"]
    assert found.operators == (10, 1)
    assert found.path == str(tmp_path / "small.onnx")
    assert any("LeakyRelu" in sentence for sentence in found.words)
    small = mmconvert.load(found.path)
    (value,) = small.graph.inputs
    assert value.type.size == np.prod([e for e in value.type.shape if isinstance(e, int)])
    assert value.type.size < 3 * 24 * 24
    assert b"secret" not in Path(found.path).read_bytes()
    assert b"the/leaky" not in Path(found.path).read_bytes()
    assert not mmconvert.convert(found.path, tmp_path / "again.tflite").passed
    monkeypatch.undo()
    assert mmconvert.convert(found.path, tmp_path / "again.tflite").passed


def test_nothing_that_is_right_is_reduced(net: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to reduce"):
        mmconvert.reduce(net, "tflite", tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx").exists()


def test_a_target_file_gives_the_format(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_leaky(monkeypatch)
    mmconvert.convert(net, tmp_path / "net.tflite")
    found = mmconvert.reduce(net, tmp_path / "net.tflite", tmp_path / "small.mmir")
    assert found.kinds == ["LeakyRelu"]
    assert not found.counterpart


def test_a_file_that_no_conversion_explains_is_cut_with_its_source(net: Path, tmp_path: Path) -> None:
    """The target was made from a model with another slope."""
    changed = graph_of(NET)
    leaky = next(node for node in changed if isinstance(node.op, ops.LeakyRelu))
    changed.replace(leaky, dataclasses.replace(leaky.op, alpha=0.5), leaky.inputs)
    mmconvert.save(Module(changed), tmp_path / "wrong.tflite")
    found = mmconvert.reduce(net, tmp_path / "wrong.tflite", tmp_path / "small.onnx")
    assert found.kinds == ["LeakyRelu"]
    assert found.counterpart == str(tmp_path / "small-target.onnx")
    verdict = mmconvert.verify(found.path, found.counterpart)
    assert not verdict.passed


def test_unsupported_operators_are_reduced_too(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "det.mmir"
    mmconvert.save(
        Module(
            graph_of(
                """
                graph "g"(x: f32[4,4]) -> (y: f32[])
                  %1 = Relu(x)
                  %2 = Det(%1)
                  %3 = Exp(%2)
                  return %3
                """
            )
        ),
        path,
    )
    found = mmconvert.reduce(path, "ncnn", tmp_path / "small.onnx")
    assert found.failure.kind == "unsupported"
    assert found.kinds == ["Det"]


def fails_with(kind: type) -> object:
    def trial(graph: Graph) -> Failure | None:
        return Failure("refused", "it does") if any(isinstance(n.op, kind) for n in graph) else None

    return trial


def test_the_number_of_tries_is_bounded_and_the_best_is_kept() -> None:
    graph = graph_of(NET)
    for limit in (1, 3, 6):
        search = Search(graph, Failure("refused", "it does"), fails_with(ops.LeakyRelu), limit)  # type: ignore[arg-type]
        with pytest.raises(Exhausted):
            search.run()
        assert search.tries == limit
        assert any(isinstance(node.op, ops.LeakyRelu) for node in search.best)


def test_an_interrupted_search_leaves_the_smallest_so_far(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_leaky(monkeypatch)
    tried = 0

    def interrupt(step: str) -> None:
        nonlocal tried
        tried += step.startswith("try")
        if tried == 5:
            raise KeyboardInterrupt

    found = mmconvert.reduce(net, "tflite", tmp_path / "small.onnx", progress=interrupt)
    assert found.interrupted
    assert not found.complete
    assert found.operators[1] < found.operators[0]
    assert not mmconvert.convert(found.path, tmp_path / "again.tflite").passed


def test_a_gross_failure_does_not_become_a_matter_of_rounding() -> None:
    gross, rounding = Failure("not equivalent", "", 1e6), Failure("not equivalent", "", 1.5)
    assert not rounding.is_like(gross)
    assert gross.is_like(gross)
    assert rounding.is_like(rounding)
    assert not Failure("refused", "").is_like(gross)


def test_weights_stay_where_the_failure_depends_on_them() -> None:
    graph = graph_of(NET)
    kernel = next(v for v in graph.constants() if v.name == "secret/kernel").constant
    assert kernel is not None
    secret = kernel.numpy().copy()

    def trial(graph: Graph) -> Failure | None:
        held = any(np.array_equal(v.constant.numpy(), secret) for v in graph.constants() if v.constant)
        return Failure("refused", "it does") if held else None

    search = Search(graph, Failure("refused", "it does"), trial, 200)
    search.run()
    assert [node.op.name for node in search.best] == ["Conv"]
    (kept,) = search.real
    assert kept.constant is not None
    assert np.array_equal(kept.constant.numpy(), secret)
    assert kept in rewrite.weights(search.best)


def test_noise_is_seeded_and_as_large_as_the_weights() -> None:
    graph = graph_of(NET)
    values = rewrite.weights(graph)
    one, two = (rewrite.with_noise(graph, values) for _ in range(2))
    for old, a, b in zip(values, rewrite.weights(one), rewrite.weights(two), strict=True):
        assert old.constant is not None
        assert a.constant is not None
        assert b.constant is not None
        assert np.array_equal(a.constant.numpy(), b.constant.numpy())
        assert not np.array_equal(a.constant.numpy(), old.constant.numpy())
        assert a.type == old.type


def test_a_conversion_that_works_is_no_failure() -> None:
    assert Conversion(find("onnx"))(graph_of(NET)) is None
