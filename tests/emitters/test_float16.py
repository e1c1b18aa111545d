"""``precision="fp16"``: the files hold float16, the runtimes compute what the rounded graph says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.errors import UsageError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops, store
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Array, Layout, TensorType
from mmconvert.runtimes import litert, onnxruntime
from tests.emitters.tflite.files import kinds

RUNTIMES: dict[str, Any] = {"onnx": onnxruntime, "tflite": litert}


def network(scale: float = 1.0) -> Graph:
    """A table of features, a convolution and a product over it, with two tiny weights among the large."""
    graph = Graph("network")
    b = Builder(graph)
    rng = np.random.default_rng(5)

    def weight(name: str, *shape: int) -> Any:
        return b.constant((rng.standard_normal(shape) * 0.1).astype(np.float32), name=name)

    rows = graph.input("rows", TensorType(dtypes.I32, (2, 6, 6)))
    x = b(ops.Gather(axis=0), weight("table", 50, 32), rows, name="features")
    conv = ops.Conv(strides=(1, 1), dilations=(1, 1), padding=Explicit.zero(2), layout=Layout.NHWC)
    x = b(conv, x, weight("kernel", 48, 3, 3, 32), weight("bias", 48), name="conv")
    x = b(ops.Mul(), b(ops.Relu(), x), weight("factor", 48), name="scaled")
    x = b(ops.ReduceMean(axes=(1, 2), keepdims=False), x, name="pool")
    dense = b(ops.Mul(), weight("dense", 48, 40), np.float32(scale))
    graph.set_outputs([b(ops.MatMul(), x, dense, name="scores")], ["scores"])
    return graph


def feed() -> dict[str, Array]:
    return {"rows": np.random.default_rng(6).integers(0, 50, (2, 6, 6)).astype(np.int32)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    store.save(Module(network()), tmp_path / "network.mmir")
    return tmp_path / "network.mmir"


def rounded() -> Graph:
    """The network over the weights that a file has."""
    graph = network()
    for value in list(graph.constants()):
        assert value.constant is not None
        if value.constant.size >= 1024:
            half = value.constant.cast(dtypes.F16)
            graph.replace_uses(value, graph.constant(half.cast(dtypes.F32), value.name))
    return graph


@pytest.mark.parametrize("format", RUNTIMES)
def test_the_runtime_computes_over_rounded_weights(format: str, source: Path, tmp_path: Path) -> None:
    target, plain = tmp_path / f"half.{format}", tmp_path / f"plain.{format}"
    report = mmconvert.convert(source, target, precision="fp16")
    assert report.passed, report.verdict
    assert not report.warnings
    found = RUNTIMES[format].Session(target).run(feed())["scores"]
    wanted = run(rounded(), feed(), precision="float64")["scores"]
    unrounded = run(network(), feed(), precision="float64")["scores"]
    scale = np.abs(wanted).max()
    assert np.abs(found - wanted).max() < 2e-6 * scale
    loss = np.abs(unrounded - wanted).max()
    assert 1e-5 * scale < loss < 1e-2 * scale
    mmconvert.convert(source, plain)
    weights = 50 * 32 + 48 * 3 * 3 * 32 + 48 * 40
    assert 2 * weights - 1500 < plain.stat().st_size - target.stat().st_size < 2 * weights


@pytest.mark.parametrize("format", RUNTIMES)
def test_the_loss_is_told(format: str, source: Path, tmp_path: Path) -> None:
    report = mmconvert.convert(source, tmp_path / f"half.{format}", precision="fp16")
    assert report.verdict is not None
    assert 50 < report.verdict.losses["scores"] < 90
    assert report.to_json()["verdict"]["losses"] == report.verdict.losses
    assert report.verdict.outputs[0].budget.maximum < 2e-5, "the budget is that of float32"
    plain = mmconvert.convert(source, tmp_path / f"plain.{format}")
    assert plain.verdict is not None
    assert plain.verdict.losses == {}


def test_what_stands_in_a_tflite_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.tflite"
    mmconvert.convert(source, target, precision="fp16", verify=False)
    assert kinds(target).count("DEQUANTIZE") == 3
    assert "CAST" not in kinds(target)
    assert "TRANSPOSE" not in kinds(target)
    session = litert.Session(target)
    session.run(feed())
    left = {d["index"]: d["op_name"] for d in session._interpreter._get_ops_details()}
    assert "DELEGATE" in left.values(), "XNNPACK takes what has weights of float16"


def test_what_stands_in_an_onnx_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.onnx"
    mmconvert.convert(source, target, precision="fp16", verify=False)
    model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    kinds_of = {w.name: w.data_type for w in model.graph.initializer}
    halves = [name for name, kind in kinds_of.items() if kind == onnx.TensorProto.FLOAT16]
    assert len(halves) == 3
    assert [n.op_type for n in model.graph.node].count("Cast") == 3
    assert {n.input[0] for n in model.graph.node if n.op_type == "Cast"} == set(halves)


@pytest.mark.parametrize("second", RUNTIMES)
@pytest.mark.parametrize("first", RUNTIMES)
def test_halves_stay_halves(first: str, second: str, source: Path, tmp_path: Path) -> None:
    half, again = tmp_path / f"half.{first}", tmp_path / f"again.{second}"
    mmconvert.convert(source, half, precision="fp16", verify=False)
    report = mmconvert.convert(half, again)
    assert report.passed, report.verdict
    assert again.stat().st_size < 1.15 * half.stat().st_size
    results = [RUNTIMES[f].Session(p).run(feed())["scores"] for f, p in ((first, half), (second, again))]
    if first == second:
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("format", RUNTIMES)
def test_overflow_is_told_and_kept_out(format: str, tmp_path: Path) -> None:
    source, target = tmp_path / "network.mmir", tmp_path / f"half.{format}"
    store.save(Module(network(scale=1e6)), source)
    report = mmconvert.convert(source, target, precision="fp16")
    assert report.passed, report.verdict
    (warning,) = report.warnings
    assert "stays float32: elements up to" in warning
    assert "more than float16 holds" in warning


@pytest.mark.parametrize("format", RUNTIMES)
def test_weights_inside_of_branches(format: str, tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((40, 40)).astype(np.float32)

    def branch(sign: float) -> Graph:
        graph = Graph("branch")
        b = Builder(graph)
        x = graph.input("v", TensorType(dtypes.F32, (2, 40)))
        graph.set_outputs([b(ops.MatMul(), x, b.constant(weight * np.float32(sign)))], ["w"])
        return graph

    graph = Graph("choice")
    flag = graph.input("flag", TensorType(dtypes.BOOL, ()))
    x = graph.input("x", TensorType(dtypes.F32, (2, 40)))
    y = Builder(graph)(ops.If(then_branch=branch(1), else_branch=branch(-1)), flag, x)
    graph.set_outputs([y], ["y"])
    store.save(Module(graph), tmp_path / "choice.mmir")
    report = mmconvert.convert(tmp_path / "choice.mmir", tmp_path / f"m.{format}", precision="fp16")
    assert report.passed, report.verdict
    array = np.ones((2, 40), np.float32)
    for flag_is in (True, False):
        given = {"flag": np.array(flag_is), "x": array}
        found = RUNTIMES[format].Session(tmp_path / f"m.{format}").run(given)["y"]
        half = weight.astype(np.float16).astype(np.float32)
        np.testing.assert_allclose(found, array @ half * (1 if flag_is else -1), rtol=0, atol=1e-4)


def test_targets_without_it_refuse(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="own IR has no precision 'fp16'"):
        mmconvert.convert(source, tmp_path / "m.mmir", precision="fp16")
    with pytest.raises(UsageError, match="TensorFlow Lite has no precision 'int3'") as caught:
        mmconvert.convert(source, tmp_path / "m.tflite", precision="int3")
    assert caught.value.hint == "it has fp16"


def test_the_layout_may_change_as_well(tmp_path: Path) -> None:
    graph = Graph("image")
    b = Builder(graph)
    rng = np.random.default_rng(5)
    x = graph.input("x", TensorType(dtypes.F32, (2, 16, 9, 9)))
    conv = ops.Conv(strides=(1, 1), dilations=(1, 1), padding=Explicit.zero(2), layout=Layout.NCHW)
    y = b(conv, x, b.constant(rng.standard_normal((32, 16, 3, 3)).astype(np.float32)), name="conv")
    graph.set_outputs([y], ["y"])
    store.save(Module(graph), tmp_path / "m.mmir")
    target = tmp_path / "m.tflite"
    report = mmconvert.convert(tmp_path / "m.mmir", target, precision="fp16", io_layout="target")
    assert report.passed, report.verdict
    assert report.verdict is not None
    assert report.verdict.losses["y"] > 60
    assert kinds(target) == ["DEQUANTIZE", "CONV_2D"]


@pytest.mark.parametrize("kind", [ops.LSTM, ops.RNN])
def test_the_weights_of_fused_layers_are_halves(kind: type[ops.LSTM | ops.RNN], tmp_path: Path) -> None:
    rng, graph, hidden = np.random.default_rng(0), Graph("recurrent"), 64
    b, gates = Builder(graph), kind.gates
    names = ("Sigmoid", "Tanh", "Tanh") if kind is ops.LSTM else ("Tanh",)
    op = kind(
        hidden_size=hidden,
        direction="bidirectional",
        activations=names * 2,
        alphas=(0.0,) * 2 * len(names),
        betas=(0.0,) * 2 * len(names),
    )
    x = graph.input("x", TensorType(dtypes.F32, (5, 1, 32)))
    weights = [(rng.standard_normal((2, gates * hidden, n)) * 0.1).astype(np.float32) for n in (32, hidden)]
    graph.set_outputs([b.multi(op, x, *weights)[0]], ["y"])
    mmconvert.Model(graph).save(tmp_path / "m.mmir")
    report = mmconvert.convert(tmp_path / "m.mmir", tmp_path / "m.tflite", precision="fp16")
    assert report.passed, report.verdict
    assert (tmp_path / "m.tflite").stat().st_size < 2.2 * sum(w.size for w in weights) + 6000
