"""What is common to all models: names, order, symbols, metadata, and problems collected."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmconvert.errors import InferenceError, InvalidModelError, UnsupportedError, UsageError
from mmconvert.ir.check import check
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.parsers.onnx import load

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def node(kind: str, inputs: str, outputs: str, name: str = "", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(
        kind, [i.strip("-") for i in inputs.split()], outputs.split(), name=name, **attributes
    )


def given(name: str, shape: list[object] | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: str = "y",
    constants: dict[str, object] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    made = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(
        nodes, "net", inputs, [onnx.ValueInfoProto(name=o) for o in outputs.split()], made
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="test")


def parse(proto: onnx.ModelProto, folder: Path) -> Module:
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    module = load(path)
    check(module.graph)
    return module


def graph_of(proto: onnx.ModelProto, folder: Path) -> Graph:
    return parse(proto, folder).graph


X = given("x", [2, 3])


def test_names_and_origins_are_kept(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "hidden", "first"), node("Relu", "hidden", "y")]
    graph = graph_of(model(nodes, [X], constants={"w": np.ones((3, 4), np.float32)}), tmp_path)
    matmul, relu = graph
    assert graph.name == "net"
    assert [v.name for v in graph.inputs] == ["x"]
    assert graph.output_names == ["y"]
    assert matmul.output.name == "hidden"
    assert matmul.operand(1).name == "w"
    assert (matmul.name, str(matmul.origin), matmul.origin.file) == ("first", "MatMul 'first'", "m.onnx")
    assert str(relu.origin) == "Relu 'y'", "a node without a name is called by its output"


def test_inner_nodes_of_a_rule_share_its_origin(tmp_path: Path) -> None:
    graph = graph_of(model([node("Mean", "x x", "y", "mean")], [X]), tmp_path)
    assert [n.op.name for n in graph] == ["Add", "Div"]
    assert {n.origin.name for n in graph} == {"mean"}
    assert graph.outputs[0].name == "y"


def test_metadata(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [X])
    proto.producer_version = "1.2"
    helper.set_model_props(proto, {"author": "me"})
    metadata = parse(proto, tmp_path).metadata
    assert (metadata.format, metadata.producer, metadata.opset) == ("onnx", "test 1.2", 17)
    assert metadata.properties == {"author": "me"}


def test_symbols(tmp_path: Path) -> None:
    inputs = [
        given("a/b", ["batch size", None, "?", "N+1"]),
        given("b", ["batch size", "batch_size", "7", -1]),
    ]
    graph = graph_of(model([node("Relu", "a/b", "y")], inputs), tmp_path)
    assert [str(v.type) for v in graph.inputs] == [
        "f32[batch_size,a_b_1,a_b_2,N_1]",
        "f32[batch_size,batch_size_2,b_2,b_3]",
    ]


def test_initializers_that_are_inputs_too_are_constants(tmp_path: Path) -> None:
    proto = model([node("Add", "x w", "y")], [X, given("w", [3])], constants={"w": np.zeros(3, np.float32)})
    graph = graph_of(proto, tmp_path)
    assert [v.name for v in graph.inputs] == ["x"]


def test_outputs_may_be_inputs_constants_or_twice_the_same_value(tmp_path: Path) -> None:
    nodes = [node("Identity", "x", "y")]
    graph = graph_of(model(nodes, [X], "x w y", constants={"w": np.zeros(3, np.float32)}), tmp_path)
    assert graph.output_names == ["x", "w", "y"]
    assert graph.outputs[0] is graph.inputs[0]
    assert graph.outputs[1].constant is not None


def test_nodes_in_any_order(tmp_path: Path) -> None:
    nodes = [node("Relu", "b", "y"), node("Abs", "a", "b"), node("Neg", "x", "a")]
    assert [n.op.name for n in graph_of(model(nodes, [X]), tmp_path)] == ["Neg", "Abs", "Relu"]


def test_dead_nodes_are_left_out_and_may_be_anything(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("TfIdfVectorizer", "x x", "z")]
    assert [n.op.name for n in graph_of(model(nodes, [X]), tmp_path)] == ["Relu"]


def test_optional_outputs_may_have_no_name(tmp_path: Path) -> None:
    proto = model([node("TopK", "x k", "y", "t", axis=1)], [X], constants={"k": np.array([2])})
    proto.graph.node[0].output.insert(0, "")
    (topk,) = graph_of(proto, tmp_path)
    assert [v.name for v in topk.outputs] == ["", "y"]


def test_large_constants_are_not_copied(tmp_path: Path) -> None:
    data = np.arange(1 << 14, dtype=np.float32)
    nodes = [node("Constant", "", "w", value=numpy_helper.from_array(data)), node("Add", "x w", "y")]
    graph = graph_of(model(nodes, [given("x", [1 << 14])]), tmp_path)
    values = next(iter(graph.constants())).constant
    assert values is not None
    assert np.array_equal(values.numpy(), data)
    base = values.numpy()
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, memoryview), "a view of the file"


# --- what cannot be represented -----------------------------------------------------------------------------


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    nodes = [
        node("TfIdfVectorizer", "x x", "a", "nms0"),
        node("TfIdfVectorizer", "x x", "b", "nms1"),
        node("Relu", "b", "c", "after"),
        node("Conv", "x w", "d", "conv", auto_pad="SOME"),
        node("Conv", "x w", "e", "conv1", other=1),
        helper.make_node("CropAndResize", ["x"], ["f"], name="cropped", domain="com.microsoft"),
        node("Sum", "a c d e f", "y"),
    ]
    proto = model(nodes, [given("x", [1, 3, 8, 8])], constants={"w": np.ones((4, 3, 3, 3), np.float32)})
    with pytest.raises(UnsupportedError) as caught:
        parse(proto, tmp_path)
    found = {p.what: p for p in caught.value.problems}
    assert set(found) == {
        "operator TfIdfVectorizer",
        "operator com.microsoft.CropAndResize",
        "Conv: auto_pad='SOME'",
        "Conv: attributes not understood: other",
    }
    assert found["operator TfIdfVectorizer"].where == (
        "TfIdfVectorizer 'nms0'",
        "TfIdfVectorizer 'nms1'",
    )
    assert "optimisations for one runtime" in found["operator com.microsoft.CropAndResize"].hint
    assert all(p.hint for what, p in found.items() if what.startswith("operator"))
    text = str(caught.value)
    assert text.startswith("m.onnx: 4 things are not supported")
    assert "operator TfIdfVectorizer (2x) at TfIdfVectorizer 'nms0', TfIdfVectorizer 'nms1'" in text


def test_a_model_without_an_operator_set(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [X])
    del proto.opset_import[:]
    assert parse(proto, tmp_path).metadata.opset == 1
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    with pytest.raises(UnsupportedError, match="operator Relu of operator set 0"):
        parse(proto, tmp_path)


def test_a_newer_operator_set_is_read_with_a_warning(tmp_path: Path) -> None:
    module = parse(model([node("Relu", "x", "y")], [X], opset=99), tmp_path)
    assert module.warnings == ["operator set 99 is newer than 28, the newest that is known"]


def test_an_operator_older_than_its_rules(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="operator Resize of operator set 7"):
        parse(model([node("Resize", "x", "y")], [X], opset=7), tmp_path)


def test_the_domain_ai_onnx_is_the_default_one(tmp_path: Path) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")], [X])
    proto.opset_import[0].domain = "ai.onnx"
    assert len(graph_of(proto, tmp_path)) == 1


def test_inputs_that_are_no_tensors_of_known_rank(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("s", FLOAT, [2])
    nodes = [node("Relu", "x", "y")]
    for bad, message in [
        (given("x", None), r"an input of unknown rank at input 'x'\n    hint: say its shape"),
        (given("x", [2], TensorProto.STRING), "tensors of string elements are not supported at input 'x'"),
        (sequence, "inputs of sequence type are not supported at input 's'"),
    ]:
        with pytest.raises(UnsupportedError, match=message):
            parse(model(nodes, [bad] if bad.name == "x" else [X, bad]), tmp_path)


def test_shapes_that_the_file_leaves_open(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    bare = model([node("Relu", "x", "y")], [given("x", None)])
    path.write_bytes(bare.SerializeToString())
    assert str(load(path, shapes={"x": (2, None)}).graph.outputs[0].type) == "f32[2,x_1]"
    path.write_bytes(model([node("Relu", "x", "y")], [given("x", ["n", 3])]).SerializeToString())
    assert str(load(path, shapes={"x": (5, None)}).graph.outputs[0].type) == "f32[5,3]"
    for shapes, message in [
        ({"x": (5, 4)}, r"the input 'x' is \[n,3\], which the shape \[5, 4\] does not fit"),
        ({"x": (5,)}, "does not fit"),
        ({"x": (-5, 3)}, "is negative"),
        ({"other": (5, 3)}, "no input called other"),
    ]:
        with pytest.raises(UsageError, match=message):
            load(path, shapes=shapes)


def test_initializers_of_unsupported_types(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y"), node("Identity", "s", "z")], [X], "y z")
    proto.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], [b"text"]))
    with pytest.raises(UnsupportedError, match="tensors of string elements are not supported at tensor 's'"):
        parse(proto, tmp_path)


def test_outputs_that_a_rule_does_not_make(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Relu: its output 1 is not supported"):
        parse(model([node("Relu", "x", "y z")], [X]), tmp_path)


def test_attributes_that_refer_to_a_function(tmp_path: Path) -> None:
    proto = model([node("LeakyRelu", "x", "y", alpha=0.5)], [X])
    proto.graph.node[0].attribute[0].ref_attr_name = "outer"
    with pytest.raises(UnsupportedError, match="alpha refers to an attribute of a function"):
        parse(proto, tmp_path)


# --- what is not valid --------------------------------------------------------------------------------------

RELU = [node("Relu", "x", "y")]
INVALID = {
    "undefined_input": (model([node("Relu", "gone", "y", "r")], [X]), "Relu 'r': the input 'gone' is not"),
    "undefined_output": (model(RELU, [X], "z"), "the output 'z' is not made by any node"),
    "cycle": (
        model([node("Add", "x b", "a", "one"), node("Abs", "a", "b"), node("Neg", "b", "y")], [X]),
        "Add 'one': this node waits for its own output",
    ),
    "made_twice": (model([*RELU, node("Abs", "x", "y", "again")], [X]), "Abs 'again': the name 'y' is given"),
    "made_and_given": (model([node("Relu", "x", "x")], [X], "x"), "the name 'x' is given twice"),
    "two_inputs": (model(RELU, [X, X]), "two inputs are called 'x'"),
    "two_outputs": (model(RELU, [X], "y y"), "two outputs are called 'y'"),
    "no_outputs": (model(RELU, [X], ""), "the graph has no outputs"),
    "nameless_input": (model(RELU, [X, given("", [1])]), "an input has no name"),
    "missing_operand": (model([node("Add", "x", "y", "a")], [X]), "Add 'a': operand 1 is missing"),
    "negative_extent": (model(RELU, [given("x", [2, -3])]), "input 'x': axis 1 cannot have the extent -3"),
    "too_many_axes": (model(RELU, [given("x", [1] * 40)]), "input 'x': it has more than 32 axes"),
    "no_type": (model(RELU, [onnx.ValueInfoProto(name="x")]), "input 'x': it has no type"),
    "no_such_type": (model(RELU, [given("x", [1], 77)]), "input 'x': there is no element type 77"),
    "wrong_attribute": (model([node("LeakyRelu", "x", "y", "l", alpha=2)], [X]), "alpha has the wrong type"),
    "large_extent": (model(RELU, [given("x", [1 << 50])]), "cannot have the extent"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_models(name: str, tmp_path: Path) -> None:
    proto, message = INVALID[name]
    with pytest.raises(InvalidModelError, match=message):
        parse(proto, tmp_path)


def test_an_attribute_that_is_there_twice(tmp_path: Path) -> None:
    proto = model([node("LeakyRelu", "x", "y", "l", alpha=0.5)], [X])
    proto.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.7))
    with pytest.raises(InvalidModelError, match="LeakyRelu 'l': the attribute alpha is there twice"):
        parse(proto, tmp_path)


def test_two_initializers_of_one_name(tmp_path: Path) -> None:
    proto = model([node("Add", "x w", "y")], [X], constants={"w": np.zeros(3, np.float32)})
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    with pytest.raises(InvalidModelError, match="tensor 'w': two initializers have this name"):
        parse(proto, tmp_path)


def test_shapes_that_do_not_fit_name_the_node(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h", "bad/MatMul"), node("Relu", "h", "y")]
    proto = model(nodes, [X], constants={"w": np.ones((4, 4), np.float32)})
    with pytest.raises(InferenceError, match="MatMul 'bad/MatMul': MatMul: "):
        parse(proto, tmp_path)


# --- bounds -------------------------------------------------------------------------------------------------


def test_nothing_grows_without_end(tmp_path: Path) -> None:
    """Numbers that are squared, and formulas that are doubled, at every node."""
    started = time.monotonic()
    nodes = [node("Mul", f"v{i} v{i}", f"v{i + 1}") for i in range(64)]
    graph_of(model([*nodes, node("Identity", "v64", "y")], [], constants={"v0": np.array([3])}), tmp_path)
    nodes = []
    for i in range(64):
        nodes += [node("Add", f"v{i} z", f"a{i}"), node("Concat", f"a{i} v{i}", f"v{i + 1}", axis=0)]
    proto = model([*nodes, node("Relu", "v64", "y")], [given("v0", ["a"]), given("z", ["b"])])
    with pytest.raises(InferenceError, match="grows beyond all bounds"):
        parse(proto, tmp_path)
    assert time.monotonic() - started < 5


def test_large_results_are_not_computed(tmp_path: Path) -> None:
    nodes = [
        node("ConstantOfShape", "n", "ones"),
        node("Cast", "ones", "shape", to=INT64),
        node("Reshape", "x shape", "y"),
    ]
    with pytest.raises(UnsupportedError, match="Reshape: a shape computed while the model runs"):
        parse(model(nodes, [X], constants={"n": np.array([1 << 40])}), tmp_path)


def test_deep_chains_of_constants(tmp_path: Path) -> None:
    nodes = [node("Sqrt", f"v{i}", f"v{i + 1}") for i in range(5000)]
    nodes += [node("Cast", "v5000", "shape", to=INT64), node("Expand", "x shape", "y")]
    proto = model(nodes, [X], constants={"v0": np.ones(2, np.float32)})
    assert graph_of(proto, tmp_path).outputs[0].type.shape == (2, 3)


def test_constants_that_cannot_be_computed(tmp_path: Path) -> None:
    nodes = [node("Gather", "f i", "g", "bad"), node("Cast", "g", "s", to=INT64), node("Expand", "x s", "y")]
    proto = model(nodes, [X], constants={"f": np.ones(2, np.float32), "i": np.array([9])})
    with pytest.raises(InvalidModelError, match="9"):
        parse(proto, tmp_path)
