from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from mmconvert import dtypes
from mmconvert.emitters import ort
from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes.onnxruntime import Session, available


def model(*nodes: onnx.NodeProto, dtype: int = onnx.TensorProto.FLOAT, opset: int = 17) -> bytes:
    """A model from x[n] to y[n]."""
    values = [onnx.helper.make_tensor_value_info(name, dtype, ["n"]) for name in "xy"]
    graph = onnx.helper.make_graph(list(nodes), "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


DOUBLE = model(onnx.helper.make_node("Add", ["x", "x"], ["y"], name="add"))
X = np.array([1.0, 2.5], np.float32)


def test_runs_bytes_and_files(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(DOUBLE)
    for session in (Session(DOUBLE), Session(path), Session(str(path), threads=2, optimize=False)):
        assert (session.inputs, session.outputs) == (["x"], ["y"])
        np.testing.assert_array_equal(session.run({"x": X})["y"], 2 * X)


def test_arrays_need_not_be_contiguous() -> None:
    np.testing.assert_array_equal(
        Session(DOUBLE).run({"x": np.arange(6, dtype=np.float32)[::2]})["y"], [0, 4, 8]
    )


def test_bfloat16_passes_through() -> None:
    there = onnx.helper.make_node("Cast", ["x"], ["z"], to=onnx.TensorProto.FLOAT)
    back = onnx.helper.make_node("Cast", ["z"], ["y"], to=onnx.TensorProto.BFLOAT16)
    x = np.array([1.5, -2.0, 3.25], ml_dtypes.bfloat16)
    y = Session(model(there, back, dtype=onnx.TensorProto.BFLOAT16)).run({"x": x})["y"]
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)


def test_version() -> None:
    assert available()


@pytest.fixture
def ort_file(tmp_path: Path) -> Path:
    """A file in the ORT format, from x[3] to y[3]."""
    graph = Graph("g")
    x = graph.input("x", TensorType(dtypes.F32, (3,)))
    graph.set_outputs([Builder(graph)(ops.Exp(), x)], ["y"])
    ort.write(Module(graph), tmp_path / "m.ort")
    return tmp_path / "m.ort"


def test_runs_ort_files_whatever_they_are_called(ort_file: Path) -> None:
    other = ort_file.rename(ort_file.with_name("m.bin"))
    x = np.array([0, 1, 2], np.float32)
    for session in (Session(other), Session(other.read_bytes()), Session(other, optimize=False)):
        assert (session.inputs, session.outputs) == (["x"], ["y"])
        np.testing.assert_allclose(session.run({"x": x})["y"], np.exp(x), rtol=1e-6)


def test_ort_files_that_are_broken(ort_file: Path) -> None:
    whole = ort_file.read_bytes()
    for data in (whole[:8], whole[:100], whole[: len(whole) // 2]):
        ort_file.write_bytes(data)
        with pytest.raises(InvalidModelError, match="refuses this file"):
            Session(ort_file)


def test_ort_files_do_not_show_their_inner_values(ort_file: Path) -> None:
    with pytest.raises(UnsupportedError, match="inner values of an ORT file"):
        Session(ort_file).intermediates({"x": np.zeros(3, np.float32)})


@pytest.fixture
def without_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("onnxruntime"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("without_runtime")
def test_not_installed() -> None:
    assert available() is None
    with pytest.raises(MissingDependencyError, match=r"pip install .mmconvert\[onnxruntime\]"):
        Session(DOUBLE)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        Session(tmp_path / "none.onnx")


def test_no_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model at all")
    with pytest.raises(InvalidModelError, match=r"m\.onnx: ONNX Runtime refuses this file"):
        Session(path)


def test_an_operator_that_does_not_exist() -> None:
    with pytest.raises(InvalidModelError, match="refuses this file"):
        Session(model(onnx.helper.make_node("Nonsense", ["x"], ["y"])))


def test_an_operator_without_an_implementation() -> None:
    with pytest.raises(
        UnsupportedError, match="cannot run this file: Could not find an implementation for Sin"
    ):
        Session(model(onnx.helper.make_node("Sin", ["x"], ["y"]), dtype=onnx.TensorProto.BFLOAT16, opset=22))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the inputs are x; missing or unknown: x"),
        ({"x": X, "z": X}, "missing or unknown: z"),
        ({"x": X.astype(np.float64)}, "the inputs do not fit: .*double"),
        ({"x": X[None]}, "the inputs do not fit: .*rank"),
        ({"x": np.array(["a"])}, "does not take <U1"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Session(DOUBLE).run(inputs)


def test_a_node_that_fails() -> None:
    shape = onnx.helper.make_node("Constant", [], ["s"], value_ints=[7])
    with pytest.raises(InvalidModelError, match="ONNX Runtime failed"):
        Session(model(shape, onnx.helper.make_node("Reshape", ["x", "s"], ["y"]))).run({"x": X})
