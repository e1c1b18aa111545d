from __future__ import annotations

import numpy as np
import pytest

from mmconvert.errors import UsageError
from mmconvert.interpreter import run
from mmconvert.ir import ops
from mmconvert.ir.check import check
from mmconvert.ir.dims import Dim, parse
from mmconvert.ir.ends import fix_dims
from mmconvert.ir.extract import extract, named_values
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from tests.verification.graphs import graph_of

NET = """
    graph "net"(image: f32[n,h,w,2], scale: f32[n,1]) -> (y: f32[n,k], z: f32[n,1])
      %w1: f32[4,3,3,2] = weight "kernel"
      %2 = Conv(image, %w1) {STRIDED}  # Conv "conv" -> "conv"
      %3 = Relu(%2)  # Activation "act" -> "act"
      %w4: f32[4,3,3,4] = weight "kernel2"
      %5 = Conv(%3, %w4) {STRIDED}  # Conv "down" -> ""
      %6 = Sigmoid(%5)  # Conv2D "down" -> "small"
      %7 = Reshape(%6) {shape=(n,SMALL)}  # Flatten "flat" -> ""
      %8 = Mul(%7, scale)  # Multiply "scaled" -> "y"
      %9 = Exp(scale)  # Exp "exp" -> "z"
      return %8, %9
"""
SIZE = "4*((w-1)//2//2+1)*((h-1)//2//2+1)"


SHIFTED = """
    graph "g"(x: f32[n,h], mask: f32[1,m]) -> (y: f32[n,h], tall: f32[h,m])
      %1 = Slice(x) {axes=(1) starts=(0) sizes=(h-3) steps=(1)}  # Slice "cut" -> "cut"
      %2 = Relu(%1)  # Relu "relu" -> "relu"
      %3 = Pad(%2) {pads=((0,0),(0,3))}  # Pad "pad" -> "pad"
      %4 = Exp(x)  # Exp "wide" -> "wide"
      %5 = Add(%3, %4)  # Add "add" -> "y"
      %6 = Expand(mask) {shape=(h,m)}  # Expand "tall" -> "tall"
      return %5, %6
"""

FOUND = """
    graph "g"(x: f32[2,3]) -> (where: i64[2,k], ones: f32[2,k])
      %1 = NonZero(x) {count=k}  # NonZero "where" -> "where"
      %2 = Cast(%1) {to=f32}  # Cast "cast" -> "cast"
      %c3: f32[] = 1.0
      %4 = Expand(%c3) {shape=(2,k)}  # Expand "ones" -> "ones"
      return %1, %4
"""


def net() -> Graph:
    flat = parse(SIZE)
    text = NET.replace("SMALL", str(flat)).replace("f32[n,k]", f"f32[n,{flat}]")
    return graph_of(
        text.replace("STRIDED", "strides=(2,2) dilations=(1,1) padding=((1,1),(1,1)) layout=NHWC")
    )


def inner(graph: Graph, feed: dict[str, Array]) -> dict[str, Array]:
    """Every value of a run, by its name."""
    found: dict[str, Array] = dict(feed)
    run(
        graph,
        feed,
        trace=lambda node, outputs: found.update(zip([v.name for v in node.outputs], outputs, strict=True)),
    )
    return found


FEED = {
    "image": np.random.default_rng(0).standard_normal((2, 9, 14, 2)).astype(np.float32),
    "scale": np.array([[2.0], [3.0]], np.float32),
}


@pytest.mark.parametrize(
    ("inputs", "outputs", "operators"),
    [
        (["image"], ["act"], 2),
        (["conv"], ["act"], 1),
        (["act"], ["small"], 2),
        (["conv", "scale"], ["y"], 5),
        (["small", "scale"], ["y"], 2),
        (["scale", "act"], ["z", "small"], 3),
        (["kernel", "image"], ["conv"], 1),
        (["act"], ["act"], 0),
        (None, ["act"], 2),
        (None, ["z"], 1),
        (["image", "scale"], None, 7),
    ],
)
def test_a_part_computes_what_the_whole_does(
    inputs: list[str] | None, outputs: list[str] | None, operators: int
) -> None:
    graph = net()
    before = str(graph)
    values = inner(graph, FEED)
    values |= {v.name: v.constant.numpy() for v in graph.constants() if v.constant is not None}
    part = extract(graph, inputs, outputs)
    check(part)
    assert str(graph) == before
    assert len(part) == operators
    if inputs is not None:
        assert [v.name for v in part.inputs] == inputs
    found = run(part, {v.name: values[v.name] for v in part.inputs})
    assert list(found) == (outputs or ["y", "z"])
    for name, array in found.items():
        np.testing.assert_array_equal(array, values[name])


def test_weights_are_shared() -> None:
    graph = net()
    part = extract(graph, ["act"], ["small"])
    (weight,) = part.constants()
    assert any(weight.constant is v.constant for v in graph.constants())


def test_only_the_inputs_that_are_needed_stay() -> None:
    assert [v.name for v in extract(net(), outputs=["z"]).inputs] == ["scale"]


def test_extents_that_nothing_tells_any_more_get_names() -> None:
    part = extract(net(), ["conv", "scale"], ["y"])
    assert [str(v.type) for v in part.inputs] == ["f32[n,conv_1,conv_2,4]", "f32[n,1]"]
    (flat,) = (node for node in part if isinstance(node.op, ops.Reshape))
    expected = parse("4*((conv_2-1)//2+1)*((conv_1-1)//2+1)")
    assert flat.op.shape == (Dim.symbol("n"), expected)


def test_an_extent_that_is_told_by_another_one() -> None:
    part = extract(graph_of(SHIFTED), ["relu", "wide"], ["y"])
    assert [str(v.type) for v in part.inputs] == ["f32[n,relu_1]", "f32[n,relu_1+3]"]
    other = extract(graph_of(SHIFTED), ["wide", "relu"], ["y"])
    assert [str(v.type) for v in other.inputs] == ["f32[n,h]", "f32[n,h-3]"]
    x, wide = np.ones((2, 4), np.float32), np.ones((2, 7), np.float32)
    np.testing.assert_array_equal(
        run(part, {"relu": x, "wide": wide})["y"], np.pad(x, ((0, 0), (0, 3))) + wide
    )
    with pytest.raises(UsageError, match="not of shape"):
        run(part, {"relu": x, "wide": wide[:, 1:]})
    assert str(extract(graph_of(SHIFTED), ["relu"], ["pad"]).outputs[0].type) == "f32[n,relu_1+3]"


def test_what_passes_by_a_cut_is_named() -> None:
    graph = graph_of(
        """
        graph "g"(x: f32[4]) -> (y: f32[4])
          %1 = Exp(x)  # Exp "skip" -> "skip"
          %2 = Relu(%1)  # Relu "body" -> "body"
          %3 = Neg(%1)  # Neg "other" -> ""
          %4 = Add(%2, %3)  # Add "sum" -> "sum"
          %5 = Mul(%4, %1)  # Mul "y" -> "y"
          return %5
        """
    )
    with pytest.raises(UsageError, match=r"x is read by Exp 'skip'\n.*--inputs body,other,skip\)"):
        extract(graph, ["body"])
    part = extract(graph, ["body", "other", "skip"])
    assert [v.name for v in part.inputs] == ["body", "other", "skip"]


def test_an_extent_of_an_input_that_is_gone() -> None:
    graph = graph_of(SHIFTED)
    with pytest.raises(UsageError, match=r"x tells the extent h to Expand 'tall'\n.*--fix-dims"):
        extract(graph, ["mask"], ["tall"])
    assert [v.name for v in extract(graph, None, ["tall"]).inputs] == ["x", "mask"]
    fixed = extract(fix_dims(graph, {"h": 5}), ["mask"], ["tall"])
    assert str(fixed.outputs[0].type) == "f32[5,m]"


def test_extents_that_only_the_run_tells() -> None:
    graph = graph_of(FOUND)
    x = np.array([[1, 0, 2], [0, 3, 0]], np.float32)
    values = inner(graph, {"x": x})
    for inputs in (None, ["x"], ["where"]):
        part = extract(graph, inputs, ["ones"])
        found = run(part, {v.name: values[v.name] for v in part.inputs})["ones"]
        np.testing.assert_array_equal(found, values["ones"])
        assert found.shape == (2, 3)


def test_names() -> None:
    values = named_values(net())
    assert values["down"] is values["small"] is values["%6"]
    assert values["flat"] is values["%7"]
    assert values["y"].producer is not None
    assert values["y"].producer.op.name == "Mul"
    assert values["kernel"].constant is not None
    assert "" not in values


def test_a_value_without_a_name() -> None:
    part = extract(net(), ["%7", "scale"], ["y"])
    assert [v.name for v in part.inputs] == ["value_7", "scale"]
    assert extract(net(), ["act"], ["%5"]).output_names == ["value_5"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["actt"], ["small"], "no value called 'actt'\n.*did you mean 'act'.*inspect MODEL --values"),
        (["act"], ["nonsense", "smal"], "no value called 'nonsense', 'smal'\n.*did you mean 'small'"),
        (
            ["act"],
            ["y"],
            r"more than these inputs: scale is read by Multiply 'scaled'\n.*--inputs act,scale\)",
        ),
        (["act"], ["conv"], "more than these inputs: image is read by Conv 'conv'"),
        (["act", "scale"], ["small"], "do not depend on scale"),
        (["act", "act"], ["small"], "an input is named twice"),
        (["small", "down"], ["y"], "an input is named twice"),
        (["act"], ["small", "small"], "an output is named twice"),
        (["act"], [], "needs an output"),
        ([], ["small"], "needs an input"),
    ],
)
def test_refused(inputs: list[str], outputs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        extract(net(), inputs, outputs)
