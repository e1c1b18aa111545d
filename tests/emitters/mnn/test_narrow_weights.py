"""Weights in fewer bits, and weights in a file of their own: what they take, and that MNN reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.emitters import mnn as emitter
from mmconvert.emitters import onnx as onnx_emitter
from mmconvert.errors import InvalidModelError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.runtimes.mnn import Session
from tests.emitters.mnn.files import kinds

BITS = {None: 32, "fp16": 16, "int8": 8, "int4": 4}


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def net() -> Graph:
    """Convolutions plain, over a line, by channels, in two groups and transposed; and dense layers."""
    graph = Graph()
    b = Builder(graph)
    image = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit.zero(2), "layout": Layout.NCHW}
    row = {"strides": (1,), "dilations": (1,), "padding": Explicit.zero(1), "layout": Layout.NCHW}
    y = graph.input("x", TensorType(dtypes.F32, (1, 32, 6, 6)))
    y = b(ops.Relu(), b(ops.Conv(**image), y, kernel(128, 32, 3, 3), kernel(128)))
    y = b(ops.Conv(groups=128, **image), y, kernel(128, 1, 3, 3))
    y = b(ops.Conv(groups=2, **image), y, kernel(64, 64, 1, 1))
    y = b(ops.ConvTranspose(output_padding=(0, 0), **image), y, kernel(64, 64, 1, 1) / 8)
    y = b(ops.Conv(**row), b(ops.Reshape(shape=(1, 64, 4)), y), kernel(128, 64, 1) / 8)
    y = b(ops.Transpose(perm=(0, 2, 1)), y)
    y = b(ops.Add(), b(ops.MatMul(), y, kernel(128, 96) / 8), kernel(96))
    y = b(ops.Gemm(transpose_b=True), b(ops.Reshape(shape=(4, 96)), y), kernel(64, 96) / 8, kernel(64))
    graph.set_outputs([y], ["y"])
    return graph


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("external", [False, True])
def test_integers_are_equivalent_to_the_graph_over_them(
    precision: str, external: bool, tmp_path: Path
) -> None:
    source, target = tmp_path / "m.onnx", tmp_path / "m.mnn"
    onnx_emitter.write(Module(net()), source)
    report = mmconvert.convert(source, target, precision=precision, external_data=external)
    assert report.passed
    assert report.verdict is not None
    assert report.verdict.level == "executed"
    assert 10 < report.verdict.losses["y"] < 60
    assert "ConvTranspose" in "".join(report.warnings)
    plain = mmconvert.convert(source, tmp_path / "plain.mnn", verify=False).size
    kept = 4 * (64 * 64)  # the transposed convolution
    assert report.size - kept < (plain - kept) * BITS[precision] / 32 * 1.25 + 8192  # scales; the rest
    graph = mmconvert.load(target).graph
    values = {"x": kernel(1, 32, 6, 6)}
    found, wanted = run(graph, values)["y"], Session(target).run(values)["y"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("precision", BITS)
def test_weights_beside_the_file(precision: str | None, tmp_path: Path) -> None:
    source, target = tmp_path / "m.onnx", tmp_path / "m.mnn"
    onnx_emitter.write(Module(net()), source)
    report = mmconvert.convert(source, target, precision=precision, external_data=True)
    assert report.passed
    beside = tmp_path / "m.mnn.weight"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.mnn", "m.mnn.weight", "m.onnx"]
    assert target.stat().st_size < 8192 < beside.stat().st_size
    assert report.size == target.stat().st_size + beside.stat().st_size
    beside.write_bytes(beside.read_bytes()[:-1])
    with pytest.raises(InvalidModelError, match="do not lie in the file beside"):
        mmconvert.load(target)
    beside.unlink()
    with pytest.raises(InvalidModelError, match="is not there"):
        mmconvert.load(target)


def test_weights_leave_a_file_that_has_no_place_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant that is added, too."""
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (64, 64)))
    graph.set_outputs([b(ops.Add(), b(ops.MatMul(), x, kernel(64, 64)), kernel(64, 64))], ["y"])
    monkeypatch.setattr(emitter, "INSIDE", 10000)
    target = tmp_path / "m.mnn"
    emitter.write(Module(graph), target)
    assert (tmp_path / "m.mnn.weight").stat().st_size == 4 * (2 * 64 * 64 + 64)
    assert "Convolution" in kinds(target)
    values = {"x": kernel(64, 64)}
    expected = run(graph, values, precision="float64")["y"]
    for found in (Session(target).run(values), run(mmconvert.load(target).graph, values)):
        np.testing.assert_allclose(found["y"], expected, rtol=0, atol=1e-4)
    monkeypatch.undo()
    emitter.write(Module(graph), tmp_path / "whole.mnn")
    assert not (tmp_path / "whole.mnn.weight").exists()
