"""LiteRT as a runtime: names, shapes, errors, silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import tflite as emitter
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes import litert
from mmconvert.runtimes.litert import Session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    graph = Graph("sum")
    b = Builder(graph)
    first = graph.input("first", TensorType(dtypes.F32, (Dim.symbol("n"), 3)))
    second = graph.input("second", TensorType(dtypes.F32, (3,)))
    total = b(ops.Add(), first, second, name="total")
    graph.set_outputs([b(ops.Sin(), total, name="wave"), b(ops.Exp(), total)], ["wave", "power"])
    path = tmp_path / "model.tflite"
    emitter.write(Module(graph), path)
    return path


def feeds(n: int = 1) -> dict[str, np.ndarray]:
    return {
        "second": np.array([1, 2, 3], np.float32),
        "first": np.arange(3 * n, dtype=np.float32).reshape(n, 3),
    }


def test_available() -> None:
    version = litert.available()
    assert version is not None
    assert version[0].isdigit()


def test_names_in_the_order_of_the_file(model: Path) -> None:
    session = Session(model)
    assert (session.inputs, session.outputs) == (["first", "second"], ["wave", "power"])


@pytest.mark.parametrize("delegate", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_run(model: Path, delegate: bool, threads: int) -> None:
    session = Session(model, threads, delegate=delegate)
    for n in (1, 4, 4, 2):
        given = feeds(n)
        found = session.run(given)
        np.testing.assert_allclose(found["wave"], np.sin(given["first"] + given["second"]), atol=1e-6)
        assert found["power"].shape == (n, 3)


def test_results_are_the_callers(model: Path) -> None:
    session = Session(model.read_bytes())
    first = session.run(feeds())["wave"]
    kept = first.copy()
    session.run({name: array + 1 for name, array in feeds().items()})
    np.testing.assert_array_equal(first, kept)


def test_arrays_that_are_not_contiguous(model: Path) -> None:
    given = feeds(2)
    turned = given | {"first": np.asfortranarray(given["first"])}
    session = Session(model)
    np.testing.assert_array_equal(session.run(turned)["wave"], session.run(given)["wave"])


def test_intermediates(model: Path) -> None:
    values = Session(model).intermediates(feeds(2))
    assert set(values) == {"total", "wave", "power"}
    np.testing.assert_array_equal(values["total"], feeds(2)["first"] + feeds(2)["second"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"third": np.zeros(3, np.float32)}, "missing or unknown: third"),
        ({"first": np.zeros((1, 4), np.float32)}, r"'first' is float32 \[-1, 3\], not float32 \[1, 4\]"),
        ({"first": np.zeros(3, np.float32)}, r"not float32 \[3\]"),
        ({"second": np.zeros(3)}, r"'second' is float32 \[3\], not float64 \[3\]"),
    ],
)
def test_inputs_that_do_not_fit(model: Path, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Session(model).run(feeds() | change)


def test_a_missing_input(model: Path) -> None:
    with pytest.raises(UsageError, match="missing or unknown: second"):
        Session(model).run({"first": feeds()["first"]})


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        Session(tmp_path / "none.tflite")


@pytest.mark.parametrize("content", [b"TFL3", b"\x1c\0\0\0TFL3" + bytes(100), b"not a model at all" * 10])
def test_a_broken_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match="LiteRT"):
        Session(path)


def test_an_operator_that_fails(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.I32, (2,)))
    exponent = graph.input("e", TensorType(dtypes.I32, (2,)))
    graph.set_outputs([b(ops.Pow(), x, exponent)], ["y"])
    path = tmp_path / "model.tflite"
    emitter.write(Module(graph), path)
    values = np.array([2, 3], np.int32)
    with pytest.raises(InvalidModelError, match="LiteRT failed: POW does not support negative"):
        Session(path).run({"x": values, "e": -values})


def test_it_is_missing(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingDependencyError, match="LiteRT is needed") as caught:
        Session(model)
    assert caught.value.hint == "pip install 'mmconvert[litert]'"


def test_it_is_silent(model: Path) -> None:
    code = (
        "import sys, numpy as np; from mmconvert.runtimes.litert import Session;"
        "session = Session(sys.argv[1]);"
        "session.run({'first': np.zeros((2, 3), np.float32), 'second': np.zeros(3, np.float32)})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
