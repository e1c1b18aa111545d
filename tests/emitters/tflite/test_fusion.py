"""What is written as part of an operator: activations, biases, transpositions, dropped axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters.tflite.fusion import plan
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.tflite.files import kinds, round_trip

Build = Callable[[Builder, Value], Value]

IMAGE = (1, 6, 6, 4)
ACTIVATIONS: list[Op] = [ops.Relu(), ops.Clip(low=0.0, high=6.0), ops.Clip(low=-1.0, high=1.0)]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-3, 3, shape).astype(np.float32)


def graph_of(build: Build, shape: tuple[int, ...] = IMAGE) -> tuple[Graph, dict[str, np.ndarray]]:
    graph = Graph("g")
    x = graph.input("x", TensorType(dtypes.F32, shape))
    graph.set_outputs([build(Builder(graph), x)], ["y"])
    return graph, {"x": noise(*shape)}


def conv(**changes: object) -> ops.Conv:
    fields = {
        "strides": (1, 1),
        "dilations": (1, 1),
        "padding": Explicit.zero(2),
        "groups": 1,
        "layout": Layout.NHWC,
    }
    return ops.Conv(**(fields | changes))


def window(cls: type[Op], **changes: object) -> Op:
    fields = {
        "kernel": (2, 2),
        "strides": (2, 2),
        "dilations": (1, 1),
        "padding": Explicit.zero(2),
        "layout": Layout.NHWC,
    }
    return cls(**(fields | changes))


TRANSPOSED = ops.ConvTranspose(
    strides=(2, 2), dilations=(1, 1), padding=Same(), output_padding=(0, 0), layout=Layout.NHWC
)

PRODUCERS: dict[str, Build] = {
    "CONV_2D": lambda b, x: b(conv(), x, noise(5, 3, 3, 4)),
    "DEPTHWISE_CONV_2D": lambda b, x: b(conv(groups=4), x, noise(4, 3, 3, 1), noise(4)),
    "TRANSPOSE_CONV": lambda b, x: b(TRANSPOSED, x, noise(4, 3, 3, 2)),
    "FULLY_CONNECTED": lambda b, x: b(ops.MatMul(), x, noise(4, 3)),
    "ADD": lambda b, x: b(ops.Add(), x, noise(6, 4)),
    "SUB": lambda b, x: b(ops.Sub(), x, noise(4)),
    "MUL": lambda b, x: b(ops.Mul(), x, noise(1)),
    "DIV": lambda b, x: b(ops.Div(), noise(*IMAGE), x),
    "MAX_POOL_2D": lambda b, x: b(window(ops.MaxPool), x),
    "AVERAGE_POOL_2D": lambda b, x: b(window(ops.AveragePool), x),
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=["relu", "relu6", "relu_n1_to_1"])
@pytest.mark.parametrize("kind", PRODUCERS)
def test_an_activation_is_part_of_what_it_follows(kind: str, activation: Op, tmp_path: Path) -> None:
    graph, feeds = graph_of(lambda b, x: b(activation, PRODUCERS[kind](b, x)))
    for delegate in (True, False):
        path = round_trip(graph, feeds, tmp_path, delegate=delegate)
        assert kinds(path) == [kind]


def test_it_is_the_last_of_several_operators_that_has_the_activation(tmp_path: Path) -> None:
    pool = window(ops.AveragePool, kernel=(3, 3), padding=Explicit(((1, 0), (1, 0))))
    graph, feeds = graph_of(lambda b, x: b(ops.Clip(low=0.0, high=6.0), b(pool, x)))
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["PAD", "AVERAGE_POOL_2D", "MUL"]


def test_nothing_is_absorbed_that_others_read(tmp_path: Path) -> None:
    graph, feeds = graph_of(lambda b, x: _twice(b, b(ops.Add(), x, 1.0)))
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["ADD", "RELU", "MUL"]


def _twice(b: Builder, x: Value) -> Value:
    return b(ops.Mul(), x, b(ops.Relu(), x))


def test_a_graph_output_stays_what_it_is(tmp_path: Path) -> None:
    graph, feeds = graph_of(lambda b, x: b(ops.Add(), x, 1.0))
    total = graph.outputs[0]
    graph.set_outputs([total, Builder(graph)(ops.Relu(), total)], ["sum", "y"])
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["ADD", "RELU"]


def test_integers_keep_their_activation(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.I32, (4,)))
    graph.set_outputs([b(ops.Relu(), b(ops.Add(), x, 1))], ["y"])
    feeds = {"x": np.array([-3, -1, 0, 5], np.int32)}
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["ADD", "MAXIMUM"]


@pytest.mark.parametrize("first", [True, False])
def test_an_added_vector_is_a_bias(first: bool, tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> Value:
        product = b(ops.MatMul(), x, noise(4, 3))
        vector = b.constant(noise(3))
        return b(ops.Relu(), b(ops.Add(), *((vector, product) if first else (product, vector))))

    graph, feeds = graph_of(build)
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["FULLY_CONNECTED"]


def test_a_bias_lies_over_the_last_axis_alone(tmp_path: Path) -> None:
    graph, feeds = graph_of(lambda b, x: b(ops.Add(), b(ops.MatMul(), x, noise(4, 6)), noise(6, 1)))
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["FULLY_CONNECTED", "ADD"]


def test_channels_first_have_no_bias_over_the_last_axis(tmp_path: Path) -> None:
    build = conv(layout=Layout.NCHW)
    graph, feeds = graph_of(lambda b, x: b(ops.Add(), b(build, x, noise(4, 6, 3, 3)), noise(2)), (1, 6, 6, 4))
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["TRANSPOSE", "CONV_2D", "TRANSPOSE", "ADD"]


@pytest.mark.parametrize(
    ("c", "transpose_b", "expected"),
    [
        ((3,), False, ["FULLY_CONNECTED"]),
        ((1, 3), True, ["FULLY_CONNECTED"]),
        ((5, 1), True, ["FULLY_CONNECTED", "ADD"]),
    ],
)
def test_gemm(c: tuple[int, ...], transpose_b: bool, expected: list[str], tmp_path: Path) -> None:
    op = ops.Gemm(alpha=0.5, beta=2.0, transpose_b=transpose_b)
    weight = noise(3, 4) if transpose_b else noise(4, 3)
    graph, feeds = graph_of(lambda b, x: b(ops.Relu(), b(op, x, weight, noise(*c))), (5, 4))
    assert kinds(round_trip(graph, feeds, tmp_path)) == expected


def test_a_transposed_operand_is_read_as_it_was(tmp_path: Path) -> None:
    def scores(b: Builder, x: Value) -> Value:
        keys = b(ops.Transpose(perm=(0, 1, 3, 2)), b(ops.Neg(), x))
        return b(ops.MatMul(), x, keys)

    graph, feeds = graph_of(scores)
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["NEG", "BATCH_MATMUL"]


def test_another_transposition_stays(tmp_path: Path) -> None:
    graph, feeds = graph_of(
        lambda b, x: b(ops.MatMul(), x, b(ops.Transpose(perm=(0, 2, 3, 1)), b(ops.Neg(), x)))
    )
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["NEG", "TRANSPOSE", "BATCH_MATMUL"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (ops.Reshape(shape=(1, 4)), ["MEAN"]),
        (ops.Squeeze(axes=(1, 2)), ["MEAN"]),
        (ops.Reshape(shape=(2, 2)), ["MEAN", "RESHAPE"]),
    ],
)
def test_axes_that_are_dropped_are_not_kept(after: Op, expected: list[str], tmp_path: Path) -> None:
    mean = ops.ReduceMean(axes=(1, 2), keepdims=True)
    graph, feeds = graph_of(lambda b, x: b(after, b(mean, x)))
    assert kinds(round_trip(graph, feeds, tmp_path)) == expected


def test_the_plan_of_a_dilated_pool_takes_nothing() -> None:
    pool = window(ops.MaxPool, dilations=(2, 2))
    graph, _ = graph_of(lambda b, x: b(ops.Relu(), b(pool, x)))
    assert not plan(graph).absorbed


def test_depthwise_convolutions_always_have_a_bias(tmp_path: Path) -> None:
    graph, feeds = graph_of(lambda b, x: b(conv(groups=4), x, noise(8, 3, 3, 1)))
    for delegate in (True, False):
        assert kinds(round_trip(graph, feeds, tmp_path, delegate=delegate)) == ["DEPTHWISE_CONV_2D"]
