"""Which opset is written, what old ones look like, and what an error says about newer ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert import registry
from mmconvert.api import Model, save
from mmconvert.dtypes import BY_NAME
from mmconvert.emitters import onnx as emitter
from mmconvert.errors import UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.op import Op
from mmconvert.ir.types import Extent, TensorType
from mmconvert.lowering import lower
from tests.emitters.onnx.files import execute, kinds, write


def unary(op: Op, dtype: str = "f32", shape: tuple[Extent, ...] = (2, 3)) -> Graph:
    graph = Graph("g")
    x = graph.input("x", TensorType(BY_NAME[dtype], shape))
    graph.set_outputs([Builder(graph)(op, x)], ["y"])
    return graph


def both(*names: str) -> Graph:
    """A graph of operators that take two matrices of i32."""
    graph = Graph("g")
    x = graph.input("x", TensorType(BY_NAME["i32"], (2, 2)))
    b = Builder(graph)
    for name in names:
        x = b(getattr(ops, name)(), x, x)
    graph.set_outputs([x], ["y"])
    return graph


def written(graph: Graph, path: Path, opset: int | None) -> Module:
    module = Module(graph)
    options = {} if opset is None else {"opset": opset}
    lower(graph, registry.find("onnx"), **options)
    emitter.write(module, path, **options)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return module


def test_the_default_is_kept_where_it_serves(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    module = written(unary(ops.Gelu()), path, None)
    assert onnx.load(path).opset_import[0].version == emitter.DEFAULT_OPSET
    assert not module.warnings


def test_the_default_rises_to_what_the_model_needs(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    module = written(both("BitwiseAnd"), path, None)
    assert onnx.load(path).opset_import[0].version == 18
    (warning,) = module.warnings
    assert warning.startswith("ONNX opset 18 is written, as opset 17 lacks something: BitwiseAnd: ")


def test_an_opset_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        save(Model(both("BitwiseAnd", "Pow")), tmp_path / "m.onnx", opset=11)
    assert str(caught.value).splitlines() == [
        "ONNX opset 11 cannot express this model",
        "  hint: choose --opset 18 or newer",
        "  - BitwiseAnd: ONNX has no such operator before opset 18 at BitwiseAnd",
        "  - Pow: ONNX has powers of integers since opset 12 at Pow",
    ]
    assert not list(tmp_path.iterdir())


def test_what_no_opset_has_comes_without_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Inverse: ONNX has no such operator") as caught:
        save(Model(unary(ops.Inverse(), shape=(2, 2))), tmp_path / "m.onnx", opset=11)
    assert not caught.value.hint


def test_branches_count(tmp_path: Path) -> None:
    graph = Graph("g")
    flag, x = (graph.input(n, TensorType(BY_NAME[t], ())) for n, t in (("flag", "bool"), ("x", "i32")))
    bodies = []
    for op in (ops.BitwiseAnd(), ops.BitwiseOr()):
        body = Graph(op.name)
        v = body.input("v", TensorType(BY_NAME["i32"], ()))
        body.set_outputs([Builder(body)(op, v, v)], ["w"])
        bodies.append(body)
    graph.set_outputs([Builder(graph)(ops.If(then_branch=bodies[0], else_branch=bodies[1]), flag, x)], ["y"])
    path = tmp_path / "m.onnx"
    written(graph, path, None)
    assert onnx.load(path).opset_import[0].version == 18


def test_operands_become_attributes_and_leave_no_weight(tmp_path: Path) -> None:
    path = write(unary(ops.ReduceSum(axes=(1,), keepdims=False)), tmp_path, 9)
    (node,) = onnx.load(path).graph.node
    assert list(node.input) == ["x"]
    assert {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} == {
        "axes": [1],
        "keepdims": 0,
    }
    assert not onnx.load(path).graph.initializer


@pytest.mark.parametrize("opset", [9, 10])
def test_extents_that_are_unknown(opset: int, tmp_path: Path) -> None:
    n = Dim.symbol("n")
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    path = write(unary(ops.Reverse(axes=(0,)), shape=(n, 3)), tmp_path, opset)
    np.testing.assert_array_equal(execute(path, {"x": x})["y"], x[::-1])
    assert onnx.load(path).graph.output[0].type.tensor_type.shape.dim[0].dim_param == "n"


@pytest.mark.parametrize(("opset", "kind"), [(9, "Upsample"), (10, "Resize"), (11, "Resize")])
def test_whole_scales_of_unknown_extents(opset: int, kind: str, tmp_path: Path) -> None:
    h = Dim.symbol("h")
    op = ops.Resize(axes=(2, 3), sizes=(2 * h, 6), mode="nearest", coordinates="half_pixel")
    path = write(unary(op, shape=(1, 1, h, 3)), tmp_path, opset)
    assert kinds(path)[-1] == kind
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(execute(path, {"x": x})["y"], x.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize("opset", [9, 10])
def test_floats_are_equal_or_not(opset: int, tmp_path: Path) -> None:
    graph = Graph("g")
    a, b = (graph.input(n, TensorType(BY_NAME["f32"], (5,))) for n in "ab")
    graph.set_outputs([Builder(graph)(ops.Equal(), a, b)], ["y"])
    left, right = np.array([[1, 2, np.nan, np.inf, np.inf], [1, 3, np.nan, np.inf, -np.inf]], np.float32)
    found = execute(write(graph, tmp_path, opset), {"a": left, "b": right})
    np.testing.assert_array_equal(found["y"], left == right)


def test_halves_round_to_the_even_number(tmp_path: Path) -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, 8388609, 1e30], np.float32)
    found = execute(write(unary(ops.Round(), shape=(9,)), tmp_path, 9), {"x": x})
    np.testing.assert_array_equal(found["y"], np.rint(x))
