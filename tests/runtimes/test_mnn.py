"""MNN as a runtime: names, types, shapes, inner values, errors, silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import mnn as emitter
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.runtimes import mnn
from mmconvert.runtimes.mnn import Session


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sum of two inputs, one of i64, and which elements of it are positive."""
    graph = Graph("sum")
    b = Builder(graph)
    first = graph.input("first", TensorType(dtypes.F32, (Dim.symbol("n"), 3)))
    second = graph.input("second", TensorType(dtypes.I64, (3,)))
    total = b(ops.Add(), first, b(ops.Cast(to=dtypes.F32), second), name="total")
    positive = b(ops.Greater(), total, 0.0, name="positive")
    graph.set_outputs([b(ops.Sin(), total, name="wave"), positive, second], ["wave", "positive", "same"])
    path = tmp_path / "model.mnn"
    emitter.write(Module(graph), path)
    return path


def feeds(n: int = 1) -> dict[str, np.ndarray]:
    return {
        "second": np.array([1, -2, 3], np.int64),
        "first": np.arange(3 * n, dtype=np.float32).reshape(n, 3),
    }


def test_available() -> None:
    version = mnn.available()
    assert version is not None
    assert version[0].isdigit()


def test_names_in_the_order_of_the_file(model: Path) -> None:
    session = Session(model)
    assert (session.inputs, session.outputs) == (["first", "second"], ["wave", "positive", "same"])


@pytest.mark.parametrize("threads", [1, 2])
def test_run(model: Path, threads: int) -> None:
    session = Session(model, threads)
    for n in (1, 4, 4, 2):
        given = feeds(n)
        found = session.run(given)
        total = given["first"] + given["second"].astype(np.float32)
        np.testing.assert_allclose(found["wave"], np.sin(total), atol=1e-6)
        np.testing.assert_array_equal(found["positive"], total > 0)
        np.testing.assert_array_equal(found["same"], given["second"])
        assert [a.dtype for a in found.values()] == [np.float32, np.bool_, np.int64]


def test_results_are_the_callers(model: Path) -> None:
    session = Session(model)
    first = session.run(feeds())["wave"]
    kept = first.copy()
    session.run(feeds() | {"first": feeds()["first"] + 1})
    np.testing.assert_array_equal(first, kept)


def test_arrays_that_are_not_contiguous(model: Path) -> None:
    given = feeds(2)
    session = Session(model)
    turned = given | {"first": np.asfortranarray(given["first"])}
    np.testing.assert_array_equal(session.run(turned)["wave"], session.run(given)["wave"])


def test_inner_values_are_in_the_order_of_the_source(tmp_path: Path) -> None:
    """Convolutions compute packed tensors; nobody outside sees them."""
    graph = Graph("image")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (1, 3, 5, 6)))
    weight = np.random.default_rng(0).standard_normal((7, 3, 1, 1)).astype(np.float32)
    plain = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit.zero(2), "layout": Layout.NCHW}
    inner = b(ops.Conv(**plain), x, weight, name="inner")
    graph.set_outputs([b(ops.ReduceSum(axes=(1,), keepdims=False), inner)], ["y"])
    path = tmp_path / "model.mnn"
    emitter.write(Module(graph), path)
    image = np.random.default_rng(1).standard_normal((1, 3, 5, 6)).astype(np.float32)
    found = Session(path).intermediates({"x": image})
    wanted = np.einsum("fc,nchw->nfhw", weight[:, :, 0, 0], image)
    np.testing.assert_allclose(found["inner"], wanted, atol=1e-5)
    np.testing.assert_allclose(found["y"], wanted.sum(1), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"third": np.zeros(3, np.float32)}, "missing or unknown: third"),
        ({"first": np.zeros((1, 4), np.float32)}, r"'first' is float32 \[-1, 3\], not float32 \[1, 4\]"),
        ({"first": np.zeros(3, np.float32)}, r"not float32 \[3\]"),
        ({"second": np.zeros(3, np.int32)}, r"'second' is int64 \[3\], not int32 \[3\]"),
    ],
)
def test_inputs_that_do_not_fit(model: Path, change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Session(model).run(feeds() | change)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        Session(tmp_path / "none.mnn")


@pytest.mark.parametrize("content", [b"", b"MNN", b"not a model at all" * 10])
def test_a_broken_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mnn"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"MNN refuses|damaged|empty"):
        Session(path)


def test_it_is_missing(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setitem(sys.modules, "MNN", None)
    with pytest.raises(MissingDependencyError, match="MNN is needed") as caught:
        Session(model)
    assert caught.value.hint == "pip install 'mmconvert[mnn]'"


def test_it_is_silent(model: Path) -> None:
    code = (
        "import sys, numpy as np; from mmconvert.runtimes.mnn import Session;"
        "session = Session(sys.argv[1]);"
        "session.run({'first': np.zeros((2, 3), np.float32), 'second': np.zeros(3, np.int64)})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
