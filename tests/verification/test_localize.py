"""Faults are put into emitted files; the verdict has to name the operator that they were put into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.localize import first_divergence
from mmconvert.verification.verdict import Divergence, Verdict
from tests.verification.graphs import MLP, altered, graph_of


def corrupt(path: Path, node_type: str, which: int, input: int, factor: float = 1.01) -> None:
    """Scales a weight of the emitted file."""
    model = onnx.load(path)
    node = [n for n in model.graph.node if n.op_type == node_type][which]
    weight = next(w for w in model.graph.initializer if w.name == node.input[input])
    values = onnx.numpy_helper.to_array(weight) * np.float32(factor)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)


def diverging(source: Path, target: Path) -> Divergence:
    verdict = mmconvert.verify(source, target)
    assert not verdict.passed
    assert verdict.first_divergence is not None
    return verdict.first_divergence


# --- real files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node_type", "which", "input", "operator", "place"),
    [
        ("Conv", 0, 1, "Conv", "Conv2D 'stem_conv'"),
        ("Conv", 1, 2, "Conv", "DepthwiseConv2D 'down_depthwise'"),
        ("Conv", 2, 1, "Conv", "Conv2D 'expand_pointwise'"),
        ("Conv", 4, 1, "Conv", "SeparableConv2D 'mix_separable'"),
        ("Gemm", 0, 1, "Gemm", "Dense 'probabilities'"),
        ("Gemm", 0, 2, "Gemm", "Dense 'probabilities'"),
    ],
)
def test_one_wrong_weight(
    node_type: str, which: int, input: int, operator: str, place: str, samples: Path, tmp_path: Path
) -> None:
    target = tmp_path / "digits.onnx"
    target.write_bytes((samples / "digits.onnx").read_bytes())
    corrupt(target, node_type, which, input)
    found = diverging(samples / "digits.keras", target)
    assert place in (found.place, *found.fused)
    assert found.place == place
    assert found.operator in (operator, "MatMul")
    assert not found.error.within(found.budget)
    assert str(found).startswith(f"{found.operator} at {place} (error ")


def test_a_wrong_attribute(samples: Path, tmp_path: Path) -> None:
    model = onnx.load(samples / "digits.onnx")
    pool = next(n for n in model.graph.node if n.op_type == "MaxPool")
    next(a for a in pool.attribute if a.name == "pads").ints[:] = [1, 1, 0, 0]
    onnx.save(model, tmp_path / "digits.onnx")
    found = diverging(samples / "digits.keras", tmp_path / "digits.onnx")
    assert (found.operator, found.place) == ("MaxPool", "MaxPooling2D 'pool'")
    assert "kernel=(2,2)" in found.attributes


def test_with_fused_operators_named(samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "digits.onnx"
    target.write_bytes((samples / "digits.onnx").read_bytes())
    corrupt(target, "Conv", 0, 1)
    assert diverging(samples / "digits.keras", target).fused == ("BatchNormalization 'stem_bn'",)


def test_between_two_files_of_one_format(samples: Path, tmp_path: Path) -> None:
    target = tmp_path / "digits.onnx"
    target.write_bytes((samples / "digits.onnx").read_bytes())
    corrupt(target, "Conv", 3, 1)
    found = diverging(samples / "digits.onnx", target)
    assert found.operator == "Conv"
    assert "mix_separable" in found.place
    assert not found.fused


def test_in_a_tflite_file(samples: Path, tmp_path: Path) -> None:
    """The source is what is off here: whichever side is wrong, it is the same operator."""
    source = tmp_path / "digits.onnx"
    source.write_bytes((samples / "digits.onnx").read_bytes())
    corrupt(source, "Conv", 2, 1)
    found = diverging(source, samples / "digits.tflite")
    assert found.operator == "Conv"
    assert "expand" in found.place
    assert found.value


# --- graphs ------------------------------------------------------------------------------------------------


def divergence(graph: Graph, wrong: Graph) -> Divergence | None:
    return judge(observe(graph, generate(graph)), altered(wrong)).first_divergence


@pytest.mark.parametrize(
    ("right", "wrong", "operator"),
    [
        ("%1 = MatMul(x, %w0)", "%9 = Neg(x)\n      %1 = MatMul(%9, %w0)", "MatMul"),
        ("Relu(%1)", "LeakyRelu(%1) {alpha=0.1}", "Relu"),
        ("Softmax(%3) {axis=1}", "Softmax(%3) {axis=0}", "Softmax"),
    ],
)
def test_a_wrong_operator(right: str, wrong: str, operator: str) -> None:
    found = divergence(graph_of(MLP), graph_of(MLP.replace(right, wrong)))
    assert found is not None
    assert found.operator == operator
    assert not found.fused


def test_values_under_other_names() -> None:
    wrong = (
        MLP.replace('-> "act"', '-> "something"').replace('-> "hidden"', '-> ""').replace("axis=1", "axis=0")
    )
    found = divergence(graph_of(MLP), graph_of(wrong))
    assert found is not None
    assert found.operator == "Softmax"


def test_an_accident_of_names() -> None:
    """The target's "act" is another value, and the source's is there under another name."""
    wrong = MLP.replace('"act"', '"x1"').replace('"hidden"', '"act"').replace("axis=1", "axis=0")
    found = divergence(graph_of(MLP), graph_of(wrong))
    assert found is not None
    assert found.operator == "Softmax"


def test_values_in_the_other_layout_and_flattened_in_its_order() -> None:
    def graph(last: str) -> Graph:
        return graph_of(
            f"""
            graph "image"(x: f32[1,4,4,3]) -> (y: f32[1,48])
              %1 = Relu(x)  # - "act" -> "act"
              %2 = Reshape(%1) {{shape=(1,48)}}  # - "flatten" -> "flatten"
              %3 = {last}(%2)  # - "last" -> "y"
              return %3
            """
        )

    source = graph("Exp")
    (feed,) = generate(source, count=1)
    inner = altered(source).intermediates(feed)
    nchw = inner["act"].transpose(0, 3, 1, 2)
    target = {"act": nchw, "flatten": nchw.reshape(1, 48), "y": inner["y"] + 1}
    found = first_divergence(source, feed, target, 4)
    assert found is not None
    assert (found.operator, found.value) == ("Exp", "y")


def test_constants_that_were_folded_are_not_suspected() -> None:
    graph = graph_of(
        """
        graph "folded"(x: f32[4]) -> (y: f32[4])
          %c0: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = Exp(%c0)  # - "scale" -> "scale"
          %2 = Mul(x, %1)  # - "mul" -> "y"
          return %2
        """
    )
    (feed,) = generate(graph, count=1)
    found = first_divergence(graph, feed, {"y": np.zeros(4, np.float32)}, 4)
    assert found is not None
    assert found.operator == "Mul"


def test_an_operator_with_several_outputs() -> None:
    graph = graph_of(
        """
        graph "split"(x: f32[4]) -> (y: f32[2], z: f32[2])
          %1, %2 = Split(x) {axis=0 sizes=(2,2)}  # - "split" -> "y" "z"
          return %1, %2
        """
    )
    (feed,) = generate(graph, count=1)
    swapped = {"y": feed["x"][2:], "z": feed["x"][2:]}
    found = first_divergence(graph, feed, swapped, 4)
    assert found is not None
    assert (found.operator, found.value) == ("Split", "y")


def test_where_the_target_shows_nothing_inside() -> None:
    graph = graph_of(MLP)
    (feed,) = generate(graph, count=1)
    wrong: dict[str, Array] = {"y": np.zeros((1, 4), np.float32)}
    found = first_divergence(graph, feed, wrong, 4)
    assert found is not None
    assert found.operator == "MatMul"
    assert found.fused == ("Relu 'act'", "Dense 'second'", "Softmax 'out'")


def test_json(samples: Path) -> None:
    verdict = Verdict(
        "executed", first_divergence=divergence(graph_of(MLP), graph_of(MLP.replace("axis=1", "axis=0")))
    )
    found = verdict.to_json()["first_divergence"]
    assert found["operator"] == "Softmax"
    assert found["attributes"] == "Softmax {axis=1}"
    assert found["error"]["maximum"] > found["budget"]["maximum"]
