"""NCNN as a runtime: names, shapes, errors, silence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import ncnn as emitter
from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes import ncnn
from mmconvert.runtimes.ncnn import Session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    graph = Graph("sum")
    b = Builder(graph)
    first = graph.input("first", TensorType(dtypes.F32, (1, 2, 3)))
    second = graph.input("second", TensorType(dtypes.F16, (3,)))
    total = b(ops.Add(), first, b(ops.Cast(to=dtypes.F32), second), name="total")
    largest = b(ops.ArgMax(axis=2, keepdims=False), total)
    graph.set_outputs([b(ops.Sin(), total, name="wave"), largest], ["wave", "place"])
    path = tmp_path / "model.param"
    emitter.write(Module(graph), path)
    return path


FEEDS = {
    "second": np.array([1, 2, 3], np.float16),
    "first": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
}


def test_available() -> None:
    version = ncnn.available()
    assert version is not None
    assert version[0].isdigit()


def test_names_in_the_order_of_the_file(model: Path) -> None:
    session = Session(model)
    assert session.inputs == ["first", "second"]
    assert sorted(session.outputs) == ["place", "wave"]


@pytest.mark.parametrize("shortcuts", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_run(model: Path, threads: int, shortcuts: bool) -> None:
    found = Session(model, threads, shortcuts=shortcuts).run(FEEDS)
    total = FEEDS["first"] + FEEDS["second"].astype(np.float32)
    np.testing.assert_allclose(found["wave"], np.sin(total), atol=1e-2 if shortcuts else 1e-6)
    np.testing.assert_array_equal(found["place"], total.argmax(axis=2))
    assert (found["place"].dtype, found["place"].shape) == (np.int64, (1, 2))


def test_intermediates(model: Path) -> None:
    found = Session(model).intermediates(FEEDS)
    total = FEEDS["first"] + FEEDS["second"].astype(np.float32)
    assert any(array.shape == total.shape and np.allclose(array, total) for array in found.values())


def test_inputs_are_checked(model: Path) -> None:
    session = Session(model)
    for name, array in (("first", np.ones((1, 2, 4), np.float32)), ("second", np.ones(3, np.float32))):
        with pytest.raises(UsageError, match=name):
            session.run(FEEDS | {name: array})
    with pytest.raises(UsageError, match="third"):
        session.run(FEEDS | {"third": FEEDS["first"]})


def test_files_of_others_have_a_batch_of_1(tmp_path: Path) -> None:
    path = tmp_path / "other.param"
    path.write_text("7767517\n2 2\nInput x 0 1 x\nReLU r 1 1 x y\n")
    x = np.array([[[-1, 2, 3]]], np.float32)
    np.testing.assert_array_equal(Session(path).run({"x": x})["y"], np.maximum(x, 0))
    with pytest.raises(UsageError, match="batch of 1"):
        Session(path).run({"x": np.ones((2, 3), np.float32)})


def test_weights_that_are_missing_or_too_short(tmp_path: Path) -> None:
    path = tmp_path / "m.param"
    path.write_text("7767517\n2 2\nInput x 0 1 x\nPReLU r 1 1 x y 0=4\n")
    with pytest.raises(UsageError, match="two files"):
        Session(path)
    (tmp_path / "m.bin").write_bytes(b"1234")
    with pytest.raises(InvalidModelError, match="ends at byte 16"):
        Session(path)


def test_layers_that_ncnn_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "m.param"
    path.write_text("7767517\n2 2\nInput x 0 1 x\nFancy f 1 1 x y\n")
    with pytest.raises(UnsupportedError, match="Fancy"):
        Session(path)


def test_silence(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Session(model).run(FEEDS)
    assert capfd.readouterr() == ("", "")


def test_not_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        Session(model)
