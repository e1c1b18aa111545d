from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert import dtypes
from mmconvert.emitters import onnx as emitter
from mmconvert.emitters.onnx.constraints import obstacle
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Graph, Node, Origin, Value
from mmconvert.ir.model import Module
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.onnx.files import execute, kinds, write

X = np.array([[-1.5, 2.0, 3.0]], np.float32)


def one_input() -> tuple[Graph, Builder, Value]:
    graph = Graph("g")
    return graph, Builder(graph), graph.input("x", TensorType(dtypes.F32, (1, 3)))


def named(path: Path) -> list[tuple[str, list[str], list[str]]]:
    return [(n.name, list(n.input), list(n.output)) for n in onnx.load(path).graph.node]


def test_names_of_the_source_are_kept(tmp_path: Path) -> None:
    graph, b, x = one_input()
    hidden = b(ops.Relu(), x, name="block/relu:0")
    hidden.name = "hidden tensor"
    graph.set_outputs([b(ops.Mul(), hidden, b.constant(X, name="gain"), name="scale")], ["probabilities"])
    assert named(write(graph, tmp_path)) == [
        ("block/relu:0", ["x"], ["hidden tensor"]),
        ("scale", ["hidden tensor", "gain"], ["probabilities"]),
    ]


def test_names_are_made_unique_and_never_empty(tmp_path: Path) -> None:
    graph, b, x = one_input()
    y = b(ops.Add(), b(ops.Relu(), x), b.constant(X, name="y"))
    for value in (y, y.producer.inputs[0]):
        value.name = "same"
    graph.set_outputs([b(ops.Add(), y, b.constant(2 * X, name="y"), name="last")], ["y"])
    assert named(write(graph, tmp_path)) == [
        ("Relu", ["x"], ["same"]),
        ("Add", ["same", "y_1"], ["same_1"]),
        ("last", ["same_1", "y_2"], ["y"]),
    ]


def test_outputs_that_are_inputs_constants_or_one_another(tmp_path: Path) -> None:
    graph, b, x = one_input()
    y = b(ops.Relu(), x)
    graph.set_outputs([x, x, y, y, b.constant(X, name="c")], ["x", "copy", "y", "again", "c"])
    found = execute(write(graph, tmp_path), {"x": X})
    relu = np.maximum(X, 0)
    for name, wanted in {"x": X, "copy": X, "y": relu, "again": relu, "c": X}.items():
        np.testing.assert_array_equal(found[name], wanted)


def test_an_output_named_like_another_input(tmp_path: Path) -> None:
    graph, b, x = one_input()
    graph.set_outputs([b(ops.Relu(), x)], ["x"])
    path = write(graph, tmp_path)
    assert [o.name for o in onnx.load(path).graph.output] == ["x_1"]


def test_values_inside_have_types(tmp_path: Path) -> None:
    graph, b, x = one_input()
    graph.set_outputs([b(ops.ReduceSum(axes=(0, 1), keepdims=False), b(ops.Relu(), x, name="r"))], ["y"])
    proto = onnx.load(write(graph, tmp_path)).graph
    assert [
        (i.name, i.type.tensor_type.elem_type, len(i.type.tensor_type.shape.dim)) for i in proto.value_info
    ] == [("r", onnx.TensorProto.FLOAT, 2)]
    assert proto.output[0].type.tensor_type.HasField("shape")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    graph = Graph("g")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (1, 8, 8, 3)))
    pool = ops.MaxPool(kernel=(2, 2), strides=(2, 2), dilations=(1, 1), padding=Same(), layout=Layout.NHWC)
    for place in ("pool1", "pool2"):
        with b.at(Origin(place, "Pool")):
            x = b(pool, x)
    graph.set_outputs([b(ops.Gelu(), x, name="act")], ["y"])
    with pytest.raises(UnsupportedError) as caught:
        emitter.write(Module(graph), tmp_path / "m.onnx", opset=17)
    assert str(caught.value).splitlines() == [
        "ONNX opset 17 cannot express this model",
        "  - MaxPool: ONNX has the layout NCHW only, not NHWC (2x) at Pool 'pool1', Pool 'pool2'",
        "  - Gelu: ONNX has no such operator before opset 20 at act",
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [8, 1000])
def test_an_opset_that_cannot_be_written(opset: int, tmp_path: Path) -> None:
    graph, _, x = one_input()
    graph.set_outputs([x], ["y"])
    with pytest.raises(UsageError, match=rf"opset {opset} cannot be written\n  hint: choose one from 9 to "):
        emitter.write(Module(graph), tmp_path / "m.onnx", opset=opset)


INT4 = dtypes.BY_NAME["i4"]
NORM = ops.LayerNorm(axes=(1,), epsilon=1e-5)


def node(op: Op, x: str) -> Node[Op]:
    dtype, _, shape = x.partition(":")
    graph = Graph("g")
    extents = tuple(int(e) for e in shape.split(","))
    return graph.add(op, [graph.input("x", TensorType(dtypes.BY_NAME[dtype], extents))])


@pytest.mark.parametrize(
    ("op", "x", "opset", "reason"),
    [
        (ops.Relu(), "f32:2", 13, None),
        (ops.Relu(), "i32:2", 13, "ONNX Relu does not take tensor(int32) at opset 13"),
        (ops.Relu(), "i32:2", 14, None),
        (ops.Log1p(), "f32:2", 21, "ONNX has no such operator"),
        (ops.Mish(), "f32:2", 17, "ONNX has no such operator before opset 18"),
        (ops.Softplus(beta=2.0), "f32:2", 17, "ONNX has it without beta only"),
        (ops.Cast(to=INT4), "f32:2", 17, "ONNX Cast does not take tensor(int4) at opset 17"),
        (ops.Cast(to=INT4), "f32:2", 21, None),
        (NORM, "f32:2,3,4", 17, "ONNX normalises the last axes only, not (1,)"),
        (NORM, "f32:2,3", 16, "ONNX has no such operator before opset 17"),
        (NORM, "f32:2,3", 17, None),
    ],
)
def test_obstacles_name_the_reason(op: Op, x: str, opset: int, reason: str | None) -> None:
    assert obstacle(node(op, x), opset=opset) == reason


def test_an_obstacle_is_found_without_the_rest_of_the_graph(tmp_path: Path) -> None:
    graph, b, x = one_input()
    y = b(ops.Softplus(beta=3.0), b(ops.Relu(), x))
    graph.set_outputs([y], ["y"])
    assert obstacle(y.producer) is not None
    assert kinds(write(graph, tmp_path))[0] == "Relu"


def test_constants_of_rules_are_shared(tmp_path: Path) -> None:
    graph, b, x = one_input()
    for _ in range(3):
        x = b(ops.Clip(low=0.0, high=6.0), x)
    graph.set_outputs([x], ["y"])
    assert [t.name for t in onnx.load(write(graph, tmp_path)).graph.initializer] == ["bound", "bound_1"]
