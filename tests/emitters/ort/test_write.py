"""The files, the list of operators beside them, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert import api, dtypes
from mmconvert.emitters import flat
from mmconvert.emitters import ort as emitter
from mmconvert.emitters.ort import contents
from mmconvert.errors import MissingDependencyError, UnsupportedError, UsageError
from mmconvert.interpreter import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes.onnxruntime import Session
from tests import digits
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.onnx.test_cases import compare
from tests.emitters.ort.nets import branches, convolutions, picture

WAYS: list[dict[str, Any]] = [{}, {"cpu": "any"}, {"style": "runtime"}]


def listing(path: Path, types: bool = False) -> list[str]:
    """The lines beside an ORT file that are no comment."""
    name = f"{path.stem}.required_operators{'_and_types' if types else ''}.config"
    return [line for line in (path.parent / name).read_text().splitlines() if not line.startswith("#")]


# --- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_computes_what_the_graph_does(options: dict[str, Any], tmp_path: Path) -> None:
    path, source = tmp_path / "m.ort", convolutions()
    assert emitter.write(source, path, **options) >= 2
    assert path.read_bytes()[4:8] == b"ORTM"
    wanted = [run(source.graph, picture(), precision=p)["y"] for p in ("float32", "float64")]
    compare(Session(path).run(picture())["y"], *wanted)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.ort", "m.required_operators.config"]


@pytest.mark.parametrize("case", ALL[::25], ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    graph, feeds = case.build()
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    mmconvert.Model(graph).save(tmp_path / "m.ort", opset=21)
    found = Session(tmp_path / "m.ort").run(feeds)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        compare(array, wanted[name], exact[name])


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_same_input_same_bytes(options: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "other"):
        (tmp_path / name).mkdir()
        emitter.write(convolutions(), tmp_path / name / f"{name}.ort", **options)
    assert (tmp_path / "a/a.ort").read_bytes() == (tmp_path / "other/other.ort").read_bytes()
    assert listing(tmp_path / "a/a.ort") == listing(tmp_path / "other/other.ort")


def test_opset(tmp_path: Path) -> None:
    emitter.write(branches(), tmp_path / "m.ort", opset=13)
    assert listing(tmp_path / "m.ort") == ["ai.onnx;13;Exp,If,Neg"]
    with pytest.raises(UsageError, match="opset 8 cannot be written"):
        emitter.write(branches(), tmp_path / "n.ort", opset=8)


def test_optimizations_are_in_a_fixed_file_and_wait_in_a_runtime_file(tmp_path: Path) -> None:
    for style in ("fixed", "runtime"):
        emitter.write(convolutions(), tmp_path / f"{style}.ort", style=style, cpu="any")  # type: ignore[arg-type]
    assert listing(tmp_path / "fixed.ort") == ["com.microsoft;1;FusedConv"]
    root = contents.read(tmp_path / "runtime.ort")
    assert {kind for _, _, kind in contents.operators(contents.main_graph(root))} == {"Conv", "Relu"}


# --- the list of operators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("make", [convolutions, branches])
def test_the_list_is_that_of_onnx_runtimes_tool(make: Any, types: bool, tmp_path: Path) -> None:
    from onnxruntime.tools.ort_format_model import create_config_from_models

    path, theirs = tmp_path / "m.ort", tmp_path / "theirs.config"
    emitter.write(make(), path, types=types)
    create_config_from_models([path], theirs, types)
    own = [line for line in theirs.read_text().splitlines() if not line.startswith("#")]
    assert listing(path, types) == own
    assert len(list(tmp_path.glob("m.*"))) == 2


def test_the_list_of_a_runtime_file_has_both_forms(tmp_path: Path) -> None:
    emitter.write(convolutions(), tmp_path / "m.ort", style="runtime")
    assert listing(tmp_path / "m.ort") == ["ai.onnx;11;Conv", "ai.onnx;14;Relu", "com.microsoft;1;FusedConv"]


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "quick"}, "style is fixed or runtime, not 'quick'"),
        ({"cpu": "arm"}, "cpu is this or any, not 'arm'"),
        ({"style": "runtime", "cpu": "this"}, "for any CPU"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        emitter.write(convolutions(), tmp_path / "m.ort", **options)
    assert not list(tmp_path.iterdir())


def test_what_onnx_runtime_cannot_run(tmp_path: Path) -> None:
    graph = Graph("g")
    x = graph.input("x", TensorType(dtypes.BF16, (3,)))
    graph.set_outputs([Builder(graph)(ops.Erf(), x)], ["y"])
    with pytest.raises(UnsupportedError, match="ONNX Runtime, which writes ORT files, cannot run this model"):
        emitter.write(Module(graph), tmp_path / "m.ort")
    assert not list(tmp_path.iterdir())


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitter, "LIMIT", 2 * 32 * 32 * 9 * 4 - 1)
    with pytest.raises(UnsupportedError, match="exceed 2 GB"):
        emitter.write(convolutions(), tmp_path / "m.ort")
    assert not list(tmp_path.iterdir())


def test_weights_are_counted_once_and_in_every_graph() -> None:
    graph = Graph("g")
    b = Builder(graph)
    shared = b.constant(np.ones(8, np.float32))
    graph.set_outputs([b(ops.Add(), shared, shared)], ["y"])
    assert emitter.weights(graph) == 32


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(flat, "write", fail)
    with pytest.raises(UsageError if isinstance(error, OSError) else KeyboardInterrupt):
        emitter.write(convolutions(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.ort"]
    assert path.read_bytes() == b"before"


def test_without_onnx_runtime_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(api, "load", lambda *_, **__: pytest.fail("the model was read"))
    with pytest.raises(
        MissingDependencyError, match=r"write ORT files and is not installed\n.*\[onnxruntime\]"
    ):
        mmconvert.convert(digits.KERAS, tmp_path / "m.ort")
    with pytest.raises(MissingDependencyError):
        emitter.write(convolutions(), tmp_path / "m.ort")
    assert not list(tmp_path.iterdir())
