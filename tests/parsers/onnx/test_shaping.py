from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, run_oracle, x
from tests.parsers.onnx.evaluate import assert_close, evaluate

X = x(2, 3, 4)
EMPTY = fixed(np.empty(0, np.int64))

CASES = [
    *case("Reshape", X, fixed([6, 4]), opset=(7, 13, 14, 19, 21)),
    *case("Reshape", X, fixed([0, -1])),
    *case("Reshape", X, fixed([-1])),
    *case("Reshape", X, fixed([4, 0, 2, 1])),
    *case("Reshape", np.zeros((0, 3), np.float32), fixed([3, 0]), allowzero=1),
    *case("Reshape", x(1, 1), EMPTY),
    *(c for axis in range(4) for c in case("Flatten", X, opset=(7, 13), axis=axis)),
    *case("Flatten", X, opset=(7, 9, 21)),
    *case("Flatten", X, opset=11, axis=-1),
    *case("Transpose", X, opset=(7, 13)),
    *case("Transpose", X, perm=[1, 0, 2]),
    *case("Squeeze", x(1, 3, 1, 4), opset=(7, 11), axes=[0, 2]),
    *case("Squeeze", x(1, 3, 1, 4), opset=11, axes=[-2]),
    *case("Squeeze", x(1, 3, 1, 4), opset=(7, 11, 13)),
    *case("Squeeze", x(1, 3, 1, 4), fixed([2]), opset=(13, 21)),
    *case("Unsqueeze", X, opset=(7, 11), axes=[0, 3]),
    *case("Unsqueeze", X, opset=11, axes=[-1]),
    *case("Unsqueeze", X, fixed([3, 0]), opset=13),
    *case("Concat", X, x(2, 1, 4), X, opset=(7, 11, 13), axis=1),
    *case("Concat", X, X, opset=13, axis=-1),
    *case("Concat", X, axis=0),
    *case("Split", X, opset=(7, 11), axis=1, outputs=3),
    *case("Split", X, opset=(7, 11), axis=2, split=[1, 3], outputs=2),
    *case("Split", x(4, 2), opset=(7, 13), outputs=2),
    *case("Split", X, fixed([1, 3]), opset=(13, 18), axis=-1, outputs=2),
    *case("Split", x(7, 2), opset=18, num_outputs=3, outputs=3),
    *case("Split", x(6, 2), opset=18, num_outputs=2, outputs=2),
    *case("Tile", X, fixed([1, 2, 3]), opset=(7, 13)),
    *case("Expand", x(3, 1), fixed([2, 1, 4]), opset=(8, 13)),
    *case("Expand", x(3, 4), fixed([1, 1])),
    *case("DepthToSpace", x(2, 8, 2, 3), blocksize=2, opset=(7, 11, 13)),
    *case("DepthToSpace", x(2, 8, 2, 3), blocksize=2, mode="CRD", opset=(11, 13)),
    *case("SpaceToDepth", x(2, 2, 4, 6), blocksize=2, opset=(7, 13)),
    *case("SpaceToDepth", x(2, 3, 4, 6), blocksize=2, mode="CRD", opset=28, oracle="reference"),
    *case("Shape", X, opset=(7, 13, 15)),
    *(
        c
        for limits in ({"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1})
        for c in case("Shape", X, opset=15, **limits)
    ),
    *case("Size", X, opset=(7, 13)),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("Reshape", (X, fixed([5, -1])), {}, r"cannot take the shape \[5,-1\]"),
        ("Reshape", (X, fixed([-1, -1])), {}, "two extents of the shape are -1"),
        ("Reshape", (X, fixed([-2, 3])), {}, r"cannot take the shape \[-2,3\]"),
        ("Reshape", (X, fixed([2, 3, 4, 0])), {}, "cannot take the shape"),
        ("Reshape", (X, fixed([5, 5])), {}, "Reshape 'n'"),
        ("Reshape", (X, fixed([0.5])), {}, "a shape must be a list of integers"),
        ("Reshape", (X,), {}, "operand 1 is missing"),
        ("Transpose", (X,), {"perm": [0, 0, 1]}, "an axis is named twice"),
        ("Split", (x(7, 2),), {"outputs": 2, "opset": 13}, "an axis of 7 does not split into 2 equal parts"),
        (
            "Split",
            (x(2, 2),),
            {"outputs": 4, "num_outputs": 4, "opset": 18},
            "does not split into 4 parts of 1",
        ),
        (
            "Split",
            (x(2, 2),),
            {"outputs": 2, "num_outputs": 3, "opset": 18},
            "num_outputs=3, and there are 2",
        ),
        ("Split", (x(7, 2), fixed([3, 4])), {"outputs": 3}, "2 sizes for 3 outputs"),
        ("Expand", (X, fixed([-2])), {}, "an extent is negative"),
        ("DepthToSpace", (x(1, 4, 2, 2),), {"blocksize": 0}, "blocksize=0 must be at least 1"),
        ("Concat", (X, X), {}, "the attribute axis is missing"),
    ],
)
def test_invalid(
    kind: str, operands: tuple[object, ...], attributes: dict[str, int], message: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, **{"oracle": "reference", **attributes})  # type: ignore[arg-type]
    with pytest.raises(InvalidModelError, match=message):
        check_case(param.values[0], tmp_path)


def dynamic(
    folder: Path, shape: list[object], *nodes: onnx.NodeProto, **constants: object
) -> tuple[Graph, onnx.ModelProto]:
    """A model over ``x`` of a symbolic shape that makes ``y``."""
    made = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    info = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(list(nodes), "g", [info], [onnx.ValueInfoProto(name="y")], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return load(folder / "m.onnx").graph, onnx.shape_inference.infer_shapes(model)


def node(kind: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


def test_symbolic_shapes_are_followed(tmp_path: Path) -> None:
    """The usual way of exporters to write x.view(x.size(0), -1, 4)."""
    graph, model = dynamic(
        tmp_path,
        ["batch size", 3, "h", 4],
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n zeros", "n1"),
        node("Concat", "n1 rest", "shape", axis=0),
        node("Reshape", "x shape", "y"),
        zero=np.int64(0),
        zeros=np.array([0]),
        rest=np.array([-1, 4]),
    )
    assert str(graph.outputs[0].type) == "f32[batch_size,3*h,4]"
    assert [n.op.name for n in graph] == ["Reshape"], "what only computed the shape is gone"
    feed = {"x": x(2, 3, 5, 4)}
    assert_close(evaluate(graph, feed)[0], run_oracle(model, feed)[0])


def test_expand_to_a_symbolic_shape(tmp_path: Path) -> None:
    graph, model = dynamic(
        tmp_path,
        ["n", 3],
        node("Shape", "x", "s"),
        node("ReduceSum", "x axes", "r"),
        node("Expand", "r s", "y"),
        axes=np.array([0]),
    )
    assert str(graph.outputs[0].type) == "f32[n,3]"
    feed = {"x": x(4, 3)}
    assert_close(evaluate(graph, feed)[0], run_oracle(model, feed)[0])


def test_size_and_split_of_symbolic_axes(tmp_path: Path) -> None:
    graph, model = dynamic(tmp_path, ["n", 3], node("Size", "x", "y"))
    feed = {"x": x(4, 3)}
    assert_close(evaluate(graph, feed)[0], run_oracle(model, feed)[0])
    graph, _ = dynamic(tmp_path, ["n", 6], helper.make_node("Split", ["x"], ["y", "z"], axis=0))
    assert str(graph.outputs[0].type) == "f32[(n+1)//2,6]"


def test_a_shape_computed_from_constants(tmp_path: Path) -> None:
    """No operator of this chain can be followed symbolically; it is evaluated."""
    graph, _ = dynamic(
        tmp_path,
        [2, 6],
        node("Sqrt", "f", "r"),
        node("Cast", "r", "i", to=7),
        node("Reshape", "x i", "y"),
        f=np.array([9.0, 16.0], np.float32),
    )
    assert graph.outputs[0].type.shape == (3, 4)


def test_a_shape_computed_from_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Reshape: a shape computed while the model runs") as caught:
        dynamic(tmp_path, ["n"], node("Cast", "x", "s", to=7), node("Reshape", "x s", "y"))
    assert "export it with fixed sizes" in str(caught.value)


@pytest.mark.parametrize(
    ("made", "message"),
    [(node("ConvTranspose", "x w", "y", output_shape=[9]), "output_shape for an input of unknown size")],
)
def test_what_needs_known_extents(made: onnx.NodeProto, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        dynamic(tmp_path, [1, 2, "n"], made, v=np.array([1, 2, 3]), w=np.ones((2, 1, 2), np.float32))


def test_one_number_where_one_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="k must be one number"):
        dynamic(tmp_path, [9], node("TopK", "x v", "y"), v=np.array([1, 2]))


def test_squeeze_without_axes_needs_known_extents(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"Squeeze: without axes, of f32\[n,1\]"):
        dynamic(tmp_path, ["n", 1], node("Squeeze", "x", "y"))
