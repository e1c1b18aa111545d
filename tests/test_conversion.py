"""What is asked of a conversion besides the format: extents, names, parts, places of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import UsageError
from mmconvert.ir import store
from mmconvert.ir.model import Module
from mmconvert.ir.types import Array
from mmconvert.runtimes import litert, onnxruntime
from tests import digits
from tests.verification.graphs import graph_of

BRANCHES = """
    graph "net"(flag: bool[], x: f32[n,3], z: f32[m,3]) -> (y: f32[max(m,n),3], total: f32[n])
      %1 = Add(x, z)  # Add "sum" -> "sum"
      %2 = If(flag, %1) {then_branch=@4 else_branch=@5}  # If "if" -> "y"
      %3 = ReduceSum(x) {axes=(1) keepdims=False}  # ReduceSum "total" -> "total"
      return %2, %3

    graph @4 "then"(v: f32[max(m,n),3]) -> (w: f32[max(m,n),3])
      %6 = Exp(v)
      return %6

    graph @5 "else"(v: f32[max(m,n),3]) -> (w: f32[max(m,n),3])
      %7 = Neg(v)
      return %7
"""
RUNTIMES: dict[str, Any] = {"onnx": onnxruntime, "tflite": litert}


@pytest.fixture
def branches(tmp_path: Path) -> Path:
    store.save(Module(graph_of(BRANCHES)), tmp_path / "net.mmir")
    return tmp_path / "net.mmir"


def feed(n: int, m: int) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    x, z = (rng.standard_normal((rows, 3)).astype(np.float32) for rows in (n, m))
    return {"flag": np.array(True), "x": x, "z": z}


@pytest.mark.parametrize("format", ["onnx", "tflite", "mmir"])
def test_extents_and_names(format: str, branches: Path, tmp_path: Path) -> None:
    target = tmp_path / f"m.{format}"
    names = {"x": "left", "z": "x", "y": "result"}
    report = mmconvert.convert(branches, target, fix_dims={"n": 4, "z:0": 1}, rename=names)
    assert report.verdict is not None
    assert [o.name for o in report.verdict.outputs] == ["result", "total"]
    assert report.passed or (format == "mmir" and not report.verdict.was_run)
    given = feed(4, 1)
    named = {"flag": given["flag"], "left": given["x"], "x": given["z"]}
    if format == "mmir":
        found = mmconvert.run(target, named)
        types = [str(v.type) for v in mmconvert.load(target).graph.inputs]
        assert types == ["bool[]", "f32[4,3]", "f32[1,3]"]
    else:
        session = RUNTIMES[format].Session(target)
        assert set(session.inputs) == {"flag", "left", "x"}
        found = session.run(named)
    assert set(found) == {"result", "total"}
    np.testing.assert_allclose(found["result"], np.exp(given["x"] + given["z"]), rtol=1e-5)
    np.testing.assert_allclose(found["total"], given["x"].sum(axis=1), rtol=1e-5)


def test_the_file_is_specialised(branches: Path, tmp_path: Path) -> None:
    mmconvert.load(branches).save(tmp_path / "m.onnx", fix_dims={"n": 4, "m": 2 + 2})
    assert {v.name: str(v.type) for v in mmconvert.load(tmp_path / "m.onnx").graph.inputs} == {
        "flag": "bool[]",
        "x": "f32[4,3]",
        "z": "f32[4,3]",
    }


def test_inputs_go_by_the_names_of_the_source(branches: Path, tmp_path: Path) -> None:
    target, swap = tmp_path / "m.onnx", {"x": "z", "z": "x"}
    report = mmconvert.convert(branches, target, inputs=[feed(4, 1)], rename=swap, fix_dims={"n": 4})
    assert report.passed
    with pytest.raises(UsageError, match=r"the input 'z' is f32\[4,3\]"):
        mmconvert.convert(branches, target, inputs=[feed(3, 1)], rename=swap, fix_dims={"n": 4})


def test_extents_that_break_the_model(tmp_path: Path) -> None:
    store.save(
        Module(
            graph_of(
                """
                graph "g"(x: f32[n,4]) -> (y: f32[n//3,12])
                  %1 = Reshape(x) {shape=(n//3,12)}  # Reshape "rows" -> "y"
                  return %1
                """
            )
        ),
        tmp_path / "g.mmir",
    )
    assert mmconvert.convert(tmp_path / "g.mmir", tmp_path / "m.onnx", fix_dims={"n": 6}).passed
    with pytest.raises(UsageError, match="Reshape 'rows': the model does not work with n=4"):
        mmconvert.convert(tmp_path / "g.mmir", tmp_path / "n.onnx", fix_dims={"n": 4})
    assert not (tmp_path / "n.onnx").exists()


def test_options_are_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mmconvert.api.load", lambda *_, **__: pytest.fail("the model was read"))
    for options in ({"opset": 13}, {"external_data": True}):
        with pytest.raises(UsageError, match="writing TensorFlow Lite has no option"):
            mmconvert.convert(digits.KERAS, tmp_path / "m.tflite", **options)  # type: ignore[arg-type]


def test_the_size_counts_the_weights_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    whole = mmconvert.convert(digits.KERAS, path)
    assert whole.size == path.stat().st_size
    apart = mmconvert.convert(digits.KERAS, path, external_data=True)
    assert apart.passed
    assert apart.size == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert apart.size > path.stat().st_size
    assert mmconvert.convert(digits.KERAS, path).size == whole.size


@pytest.mark.parametrize("format", ["onnx", "tflite", "mmir"])
def test_parts(format: str, tmp_path: Path) -> None:
    target = tmp_path / f"part.{format}"
    report = mmconvert.extract(
        digits.KERAS,
        target,
        inputs=["stem_relu"],
        outputs=["pool"],
        fix_dims={"batch": 2},
        rename={"stem_relu": "features"},
    )
    assert report.passed or format == "mmir"
    seen: dict[str, Array] = {}
    model = mmconvert.load(digits.KERAS)
    x = {"image": digits.images(2)}
    model.run(x, trace=lambda node, outputs: seen.update({node.outputs[0].name: outputs[0]}))
    found = mmconvert.run(
        target, {"features": seen["stem_relu"]}, runtime=None if format == "mmir" else "native"
    )
    np.testing.assert_allclose(found["pool"], seen["pool"], rtol=1e-4, atol=1e-5)


def test_a_part_needs_a_place_to_cut(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say where to cut"):
        mmconvert.extract(digits.KERAS, tmp_path / "m.onnx")


def test_a_part_is_verified_on_arrays_of_the_user(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((3, 4, 4, 24)).astype(np.float32)
    cut = {"inputs": ["down_relu6"], "outputs": ["pool"], "rename": {"down_relu6": "x"}}
    report = mmconvert.extract(
        digits.KERAS,
        tmp_path / "m.onnx",
        feeds=[{"down_relu6": features}],
        **cut,  # type: ignore[arg-type]
    )
    assert report.passed
    assert report.verdict is not None
    assert report.verdict.inputs == 1


def test_files_in_their_own_runtime_take_no_options(tmp_path: Path) -> None:
    mmconvert.convert(digits.KERAS, tmp_path / "m.onnx")
    x = {"image": digits.images(1)}
    with pytest.raises(UsageError, match="fix: only for files that mmconvert reads"):
        mmconvert.run(tmp_path / "m.onnx", x, runtime="native", fix={"image": 1})
    with pytest.raises(UsageError, match="fix: only for files that mmconvert reads"):
        mmconvert.verify(tmp_path / "m.onnx", digits.KERAS, framework=True, fix={"image": 1})
