from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.check import check
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import (
    Add,
    Concat,
    Conv,
    MaxPool,
    Mul,
    Pad,
    ReduceMean,
    Relu,
    Reshape,
    Softmax,
    Transpose,
)
from mmconvert.ir.types import Layout, TensorType
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import assign_layout, moved_ends
from mmconvert.passes.layout.cut import MinimumCut
from tests.passes.helpers import apply, assert_same_function, graph_of, names

CONV = "{strides=(1,1) dilations=(1,1) padding=((1,1),(1,1)) layout=NCHW}"


def _assigned(text, target=Layout.NHWC, io="source"):
    before = graph_of(text)
    graph = copy_graph(before)
    pipeline.run(graph, (assign_layout(target, io), *pipeline.CLEAN))
    if io == "source":
        assert_same_function(before, graph)
    return graph


def test_transposes_stand_only_at_the_ends():
    graph = _assigned(
        f"""
        graph "g"(x: f32[n,3,8,8]) -> (y: f32[n,4,8,8])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Relu(%1)
          %w2: f32[4,4,3,3] = weight
          %3 = Conv(%2, %w2) {CONV}
          %c1: f32[4,1,1] = [1.0,2.0,3.0,4.0]
          %4 = Mul(%3, %c1)
          %5 = Add(%4, %2)
          return %5
        """
    )
    assert names(graph) == ["Transpose", "Conv", "Relu", "Conv", "Mul", "Add", "Transpose"]
    mul = next(n for n in graph if n.op.name == "Mul")
    assert mul.inputs[1].type.shape == (4,), "a constant per channel needs no leading axes in NHWC"


def test_the_target_layout_at_the_ends_needs_none():
    text = f"""
        graph "g"(x: f32[n,3,8,8]) -> (y: f32[n,4,8,8])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          return %1
        """
    graph = _assigned(text, io="target")
    assert names(graph) == ["Conv"]
    assert str(graph.inputs[0].type) == "f32[n,8,8,3]"
    assert moved_ends(graph_of(text), Layout.NHWC) == ({"x": (0, 2, 3, 1)}, {"y": (0, 2, 3, 1)})


def test_the_same_layout_needs_nothing():
    text = """
        graph "g"(x: f32[n,8,8,3]) -> (y: f32[n,192])
          %w1: f32[3,3,3,3] = weight
          %1 = Conv(x, %w1) {strides=(1,1) dilations=(1,1) padding=same layout=NHWC}
          %2 = Reshape(%1) {shape=(n,192)}
          return %2
        """
    graph, outcome = apply(assign_layout(Layout.NHWC), text)
    assert outcome.done == 0
    assert names(graph) == ["Conv", "Reshape"]


def test_transposes_of_the_source_disappear():
    """A layer norm over channels, as PyTorch exports it: permute, normalize, permute back."""
    graph = _assigned(
        f"""
        graph "g"(x: f32[n,3,8,8]) -> (y: f32[n,4])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Transpose(%1) {{perm=(0,2,3,1)}}
          %3 = LayerNorm(%2) {{axes=(3,) epsilon=0.001}}
          %4 = Transpose(%3) {{perm=(0,3,1,2)}}
          %w2: f32[4,4,3,3] = weight
          %5 = Conv(%4, %w2) {CONV}
          %6 = ReduceMean(%5) {{axes=(2,3) keepdims=False}}
          return %6
        """
    )
    assert names(graph) == ["Transpose", "Conv", "LayerNorm", "Conv", "ReduceMean"]


def test_unit_axes_move_for_free():
    """Squeeze and excite, and the classifier's flatten."""
    graph = _assigned(
        f"""
        graph "g"(x: f32[n,3,8,8]) -> (y: f32[n,4])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = ReduceMean(%1) {{axes=(2,3) keepdims=True}}
          %w2: f32[4,4,1,1] = weight
          %3 = Conv(%2, %w2) {{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NCHW}}
          %4 = Sigmoid(%3)
          %5 = Mul(%1, %4)
          %6 = ReduceMean(%5) {{axes=(2,3) keepdims=True}}
          %7 = Reshape(%6) {{shape=(n,4)}}
          return %7
        """
    )
    assert Counter(names(graph))["Transpose"] == 1


def test_a_flatten_across_channels_keeps_the_order():
    graph = _assigned(
        f"""
        graph "g"(x: f32[n,3,4,4]) -> (y: f32[n,64])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Reshape(%1) {{shape=(n,64)}}
          return %2
        """
    )
    assert names(graph) == ["Transpose", "Conv", "Transpose", "Reshape"]


def test_the_cut_runs_where_fewest_bytes_are():
    """Before the pool the value is 4 times as large as after it: the Transpose belongs after."""
    graph = _assigned(
        f"""
        graph "g"(x: f32[1,3,8,8]) -> (y: f32[1,64])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Relu(%1)
          %3 = ReduceMax(%2) {{axes=(2,) keepdims=True}}
          %4 = Tanh(%3)
          %c: i64[2] = [1,32]
          %5 = Reshape(%4) {{shape=(1,32)}}
          %6 = Concat(%5, %5) {{axis=1}}
          return %6
        """
    )
    after = names(graph)
    assert after.index("Transpose", 1) > after.index("ReduceMax")
    assert Counter(after)["Transpose"] == 2


def test_one_transpose_serves_several_users():
    graph = _assigned(
        f"""
        graph "g"(x: f32[1,3,4,4]) -> (a: f32[1,64], b: f32[4,16], c: f32[16,4])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Reshape(%1) {{shape=(1,64)}}
          %3 = Reshape(%1) {{shape=(4,16)}}
          %4 = Reshape(%1) {{shape=(16,4)}}
          return %2, %3, %4
        """
    )
    assert Counter(names(graph))["Transpose"] == 2


def test_an_operator_at_odds_with_its_region_is_wrapped():
    """A channels-first pool over a value that a channels-last convolution made, with no Transpose between."""
    for target in Layout:
        graph = _assigned(
            """
        graph "g"(x: f32[1,8,8,4]) -> (y: f32[1,8,4,2])
          %w1: f32[4,3,3,4] = weight
          %1 = Conv(x, %w1) {strides=(1,1) dilations=(1,1) padding=same layout=NHWC}
          %2 = MaxPool(%1) {kernel=(2,2) strides=(2,2) dilations=(1,1) padding=((0,0),(0,0)) layout=NCHW}
          return %2
        """,
            target,
        )
        assert all(getattr(n.op, "layout", target) is target for n in graph)


def test_operands_of_lower_rank_are_aligned():
    graph = _assigned(
        f"""
        graph "g"(x: f32[1,3,8,6], row: f32[6], bias: f32[4,1,1]) -> (y: f32[1,4,8,6])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %2 = Add(%1, row)
          %3 = Mul(bias, %2)
          %w2: f32[4,4,3,3] = weight
          %4 = Conv(%3, %w2) {CONV}
          return %4
        """
    )
    assert all(n.op.layout is Layout.NHWC for n in graph if n.op.name == "Conv")


@pytest.mark.parametrize("scale", ["f32[] = 0.5", "f32[4] = [0.5,0.25,0.5,1.0]"])
def test_quantization_follows(scale):
    graph = _assigned(
        f"""
        graph "g"(x: f32[1,3,8,8]) -> (y: f32[1,2,8,8])
          %w1: f32[4,3,3,3] = weight
          %1 = Conv(x, %w1) {CONV}
          %c1: {scale}
          %2 = Quantize(%1, %c1) {{axis=1 dtype=u8}}
          %3 = Dequantize(%2, %c1) {{axis=1}}
          %w2: f32[2,4,3,3] = weight
          %4 = Conv(%3, %w2) {CONV}
          return %4
        """
    )
    assert names(graph) == ["Transpose", "Conv", "Quantize", "Dequantize", "Conv", "Transpose"]


@pytest.mark.parametrize(("rank", "spatial"), [(3, (8,)), (5, (4, 4, 4))])
def test_other_ranks(rank, spatial):
    ones = (1,) * len(spatial)
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, 3, *spatial)))
    w = b.constant(np.random.default_rng(0).normal(size=(4, 3, *ones)).astype(np.float32))
    y = b(Conv(strides=ones, dilations=ones, padding=Explicit.zero(rank - 2), layout=Layout.NCHW), x, w)
    graph.set_outputs([b(Softmax(axis=1), y)], ["y"])
    before = copy_graph(graph)
    assign_layout(Layout.NHWC)(graph)
    check(graph)
    assert_same_function(before, graph)
    assert names(graph) == ["Transpose", "Conv", "Softmax", "Transpose"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_graph_stays_the_same_function(data):
    """Random graphs of convolutions, pools, elementwise operators, transposes, reshapes, in both layouts."""
    graph = Graph()
    b = Builder(graph)
    rng = np.random.default_rng(0)
    values = [graph.input("x", TensorType(dtypes.F32, (1, 4, 4, 4)))]
    for _ in range(data.draw(st.integers(1, 9))):
        x = data.draw(st.sampled_from(values))
        values.append(_step(b, data.draw, x, values, rng))
    graph.set_outputs([values[-1], data.draw(st.sampled_from(values[1:]))], ["a", "b"])
    before = copy_graph(graph)
    target = data.draw(st.sampled_from(list(Layout)))
    pipeline.run(graph, (assign_layout(target), *pipeline.CLEAN))
    assert all(getattr(n.op, "layout", target) is target for n in graph)
    assert_same_function(before, graph)


def _step(b, draw, x, values, rng):
    layout = draw(st.sampled_from(list(Layout)))
    kind = draw(
        st.sampled_from(
            ["conv", "pool", "relu", "add", "transpose", "reshape", "mul", "concat", "mean", "pad"]
        )
    )
    match kind:
        case "conv":
            w = b.constant(
                rng.normal(size=(4, 4, 1, 1) if layout is Layout.NCHW else (4, 1, 1, 4)).astype(np.float32)
            )
            return b(Conv(strides=(1, 1), dilations=(1, 1), padding=Explicit.zero(2), layout=layout), x, w)
        case "pool":
            op = MaxPool(
                kernel=(3, 3),
                strides=(1, 1),
                dilations=(1, 1),
                padding=Explicit(((1, 1), (1, 1))),
                layout=layout,
            )
            return b(op, x)
        case "add":
            return b(Add(), x, draw(st.sampled_from(values)))
        case "transpose":
            return b(Transpose(perm=(0, *draw(st.permutations(range(1, 4))))), x)
        case "reshape":
            return b(Reshape(shape=(1, 4, 4, 4)), b(Reshape(shape=(1, 64)), x))
        case "mul":
            shape = draw(st.sampled_from([(4,), (4, 1), (4, 1, 1), (1, 4, 1, 1), ()]))
            return b(Mul(), x, rng.normal(size=shape).astype(np.float32))
        case "concat":
            axis = draw(st.integers(1, 3))
            both = b(Concat(axis=axis), x, draw(st.sampled_from(values)))
            return b(Add(), x, b(ReduceMean(axes=(axis,), keepdims=True), both))
        case "mean":
            mean = b(ReduceMean(axes=(draw(st.integers(1, 3)),), keepdims=True), x)
            return b(Add(), x, mean)
        case "pad":
            before = draw(st.integers(-1, 1))
            return b(Pad(pads=((0, 0), (before, -before), (0, 0), (0, 0)), mode="constant", value=0.0), x)
        case _:
            return b(Relu(), x)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=14),
)
def test_the_cut_is_minimal(edges):
    cut = MinimumCut(0, 5)
    for a, b, capacity in edges:
        if a != b:
            cut.connect(a, b, capacity)
    side = cut.source_side()
    assert 0 in side
    assert 5 not in side

    def cost(chosen):
        return sum(c for a, b, c in edges if a != b and a in chosen and b not in chosen)

    every = [{0, *(n for n in range(1, 5) if mask >> n & 1)} for mask in range(0, 32, 2)]
    assert cost(side) == min(map(cost, every))
