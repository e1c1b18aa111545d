"""What the file is called inside, and how new it is: names, extents, versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert import dtypes
from mmconvert.emitters import onnx as emitter
from mmconvert.errors import UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from tests.emitters.onnx.files import execute

n = Dim.symbol("n")
X = TensorType(dtypes.F32, (n, 3))


def branch(op: type[ops.Exp] | type[ops.Neg]) -> Graph:
    graph = Graph(op.__name__)
    x = graph.input("v", X)
    b = Builder(graph)
    graph.set_outputs([b(op(), b(ops.Reshape(shape=(3 * n,)), x))], ["w"])
    return graph


def module() -> Module:
    graph = Graph("net")
    flag, x = graph.input("flag", TensorType(dtypes.BOOL, ())), graph.input("x", X)
    op = ops.If(then_branch=branch(ops.Exp), else_branch=branch(ops.Neg))
    graph.set_outputs([Builder(graph)(op, flag, x)], ["y"])
    return Module(graph)


def test_names_and_extents(tmp_path: Path) -> None:
    path, source = tmp_path / "m.onnx", module()
    emitter.write(source, path, rename={"x": "image", "y": "scores"}, fix_dims={"n": 2})
    onnx.checker.check_model(onnx.load(path), full_check=True)
    proto = onnx.load(path).graph
    assert [i.name for i in proto.input] == ["flag", "image"]
    assert [d.dim_value for d in proto.input[1].type.tensor_type.shape.dim] == [2, 3]
    assert [d.dim_value for d in proto.output[0].type.tensor_type.shape.dim] == [6]
    x = np.ones((2, 3), np.float32)
    found = execute(path, {"flag": np.array(True), "image": x})
    np.testing.assert_allclose(found["scores"], np.exp(x).reshape(-1), rtol=1e-6)
    assert [v.name for v in source.graph.inputs] == ["flag", "x"]  # the module stays as it was


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rename": {"z": "a"}}, "no input or output called z"),
        ({"rename": {"x": "flag"}}, "the same name"),
        ({"fix_dims": {"m": 2}}, "no extent called m"),
        ({"ir_version": 3}, "IR version 3 cannot carry opset 17"),
        ({"ir_version": 99}, "choose one from 8 to"),
    ],
)
def test_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        emitter.write(module(), tmp_path / "m.onnx", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_version_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    emitter.write(module(), path)
    assert onnx.load(path).ir_version == 8
    emitter.write(module(), path, ir_version=10)
    assert onnx.load(path).ir_version == 10
