"""What is written beyond single operators: wiring, names, types, unknown extents, files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.emitters import mmir
from mmconvert.emitters import ncnn as emitter
from mmconvert.emitters.ncnn import saving
from mmconvert.emitters.ncnn.blob import merged, swaps
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.ncnnlib import files
from mmconvert.parsers import ncnn as parser
from mmconvert.runtimes.ncnn import Session
from tests.emitters.ncnn.files import kinds, round_trip, write

H, W = Dim.symbol("h"), Dim.symbol("w")
RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def graph_of(build: Callable[[Builder, Value], list[Value]], *shape: Extent) -> Graph:
    graph = Graph("net")
    x = graph.input("x", TensorType(dtypes.F32, shape))
    outputs = build(Builder(graph), x)
    graph.set_outputs(outputs, [f"y{i}" for i in range(len(outputs))])
    return graph


def conv(filters: int, channels: int, size: int = 3, **rest: object) -> tuple[ops.Conv, np.ndarray]:
    options = {"strides": (1, 1), "dilations": (1, 1), "padding": Same(), "layout": Layout.NCHW, **rest}
    return ops.Conv(**options), floats(filters, channels, size, size)  # type: ignore[arg-type]


# --- wiring --------------------------------------------------------------------------------------------


def test_what_is_read_twice_is_split(tmp_path: Path) -> None:
    graph = graph_of(
        lambda b, x: [b(ops.Add(), b(ops.Relu(), x), b(ops.Tanh(), x)), b(ops.Exp(), x)], 1, 3, 4, 5
    )
    path = round_trip(graph, {"x": floats(1, 3, 4, 5)}, tmp_path)
    layers = [stored.layer for stored in files.read(path).layers]
    assert [layer.kind for layer in layers].count("Split") == 1
    read = [name for layer in layers for name in layer.inputs]
    assert len(read) == len(set(read))


def test_outputs_that_are_inputs_constants_and_one_another(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        y = b(ops.Relu(), x)
        return [x, y, y, b(ops.Exp(), y), b.constant(floats(2, 3))]

    round_trip(graph_of(build, 1, 3, 4), {"x": floats(1, 3, 4)}, tmp_path)


def test_an_input_that_nobody_reads(tmp_path: Path) -> None:
    graph = graph_of(lambda b, x: [b(ops.Relu(), x)], 1, 3, 4)
    graph.input("unused", TensorType(dtypes.F32, (2, 2)))
    round_trip(graph, {"x": floats(1, 3, 4), "unused": floats(2, 2)}, tmp_path)


def test_names_with_spaces_and_the_same_name_twice(tmp_path: Path) -> None:
    graph = Graph("net")
    b = Builder(graph)
    x = graph.input("my input", TensorType(dtypes.F32, (1, 4)))
    y = b(ops.Relu(), x, name="same")
    z = b(ops.Exp(), b(ops.Tanh(), y, name="same"), name="same")
    graph.set_outputs([z], ["n" * 400])
    session = Session(write(graph, tmp_path))
    assert session.inputs == ["my_input"]
    assert len(session.outputs[0]) <= 255


# --- fusion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        ops.Relu(),
        ops.LeakyRelu(alpha=0.1),
        ops.Clip(low=-0.5, high=0.5),
        ops.Sigmoid(),
        ops.Mish(),
        ops.HardSwish(),
    ],
)
def test_bias_and_activation_are_part_of_the_layer(act: ops.Relu, tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        op, weight = conv(4, 3)
        picture = b(act, b(ops.Add(), b(op, x, weight), floats(4, 1, 1)))
        rows = b(ops.Reshape(shape=(1, 4 * 30)), picture)
        dense = b(ops.Add(), b(ops.MatMul(), rows, floats(120, 5)), floats(5))
        return [b(act, dense)]

    path = round_trip(graph_of(build, 1, 3, 5, 6), {"x": floats(1, 3, 5, 6)}, tmp_path)
    assert kinds(path) == ["Input", "Convolution", "Reshape", "InnerProduct"]


# --- extents that are unknown ----------------------------------------------------------------------------


@pytest.mark.parametrize("extents", [(8, 6), (9, 13)])
def test_pictures_of_any_size(extents: tuple[int, int], tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        down, weight = conv(6, 3, strides=(2, 2))
        y = b(ops.Relu(), b(down, x, weight))
        high, wide = y.type.shape[2:]
        up = b(
            ops.Resize(axes=(2, 3), sizes=(high * 2, wide * 2), mode="linear", coordinates="half_pixel"), y
        )
        rows = b(ops.Transpose(perm=(0, 2, 1)), b(ops.Reshape(shape=(1, 6, high * wide)), y))
        back = b(ops.Reshape(shape=(1, high, wide, 6)), b(ops.Softmax(axis=2), rows))
        cut = b(ops.Slice(axes=(2, 3), starts=(1, 0), sizes=(high - 1, wide), steps=(1, 1)), y)
        pooled = b(
            ops.MaxPool(kernel=(3, 3), strides=(2, 2), dilations=(1, 1), padding=Same(), layout=Layout.NCHW),
            y,
        )
        return [up, back, cut, pooled]

    round_trip(graph_of(build, 1, 3, H, W), {"x": floats(1, 3, *extents)}, tmp_path)


def test_an_open_batch_is_one_picture(tmp_path: Path) -> None:
    graph = graph_of(lambda b, x: [b(ops.Relu(), x)], Dim.symbol("n"), 3, H, W)
    assert emitter.settled_dims(graph) == {"n": 1}
    mmir.write(Module(graph), tmp_path / "m.mmir")
    report = mmconvert.convert(tmp_path / "m.mmir", tmp_path / "m.param")
    assert report.passed
    assert "no batch axis: n is 1" in report.warnings[0]


def test_a_mean_over_padding_that_ncnn_would_count_is_not_its_pooling(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        pool = ops.AveragePool(
            kernel=(2, 2), strides=(2, 2), dilations=(1, 1), padding=Same(), layout=Layout.NCHW
        )
        return [b(pool, x)]

    with pytest.raises(UnsupportedError, match="unknown extents"):
        write(graph_of(build, 1, 3, H, W), tmp_path)


# --- more than four axes, and batches --------------------------------------------------------------------


@pytest.mark.parametrize("perm", [(0, 2, 4, 1, 3), (4, 3, 2, 1, 0), (1, 0, 3, 2, 4), (0, 1, 2, 4, 3)])
def test_transpositions_of_five_axes(perm: tuple[int, ...], tmp_path: Path) -> None:
    graph = graph_of(lambda b, x: [b(ops.Transpose(perm=perm), x)], 2, 3, 4, 5, 6)
    round_trip(graph, {"x": floats(2, 3, 4, 5, 6)}, tmp_path)


def test_a_transposition_is_a_row_of_exchanges() -> None:
    for perm in [(3, 1, 4, 0, 2), (4, 3, 2, 1, 0), (1, 2, 3, 4, 0)]:
        current = list(range(5))
        for start, middle, end in swaps(perm):
            current[start:end] = current[middle:end] + current[start:middle]
        assert tuple(current) == perm
    assert merged((1, 3, 4, 1, 5), (0, 4, 1, 2, 3)) == ((12, 5), (1, 0))


def test_windows_of_a_picture_as_transformers_cut_them(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        cut = b(ops.Reshape(shape=(1, 2, 4, 3, 4, 6)), x)
        return [b(ops.Reshape(shape=(6, 16, 6)), b(ops.Transpose(perm=(0, 1, 3, 2, 4, 5)), cut))]

    round_trip(graph_of(build, 1, 8, 12, 6), {"x": floats(1, 8, 12, 6)}, tmp_path)


def test_a_batch_of_pictures_is_a_stack(tmp_path: Path) -> None:
    op, weight = conv(4, 3)
    graph = graph_of(lambda b, x: [b(op, x, weight)], 5, 3, 6, 7)
    assert "Convolution3D" in kinds(round_trip(graph, {"x": floats(5, 3, 6, 7)}, tmp_path))


# --- integers --------------------------------------------------------------------------------------------


def lookup(*, twice: bool) -> Graph:
    graph = Graph("net")
    b = Builder(graph)
    ids = graph.input("ids", TensorType(dtypes.I64, (1, 5)))
    rows = b(ops.Gather(axis=0), b.constant(floats(11, 4)), ids)
    if twice:
        rows = b(ops.Mul(), rows, b(ops.Unsqueeze(axes=(2,)), b(ops.Cast(to=dtypes.F32), ids)))
    graph.set_outputs([rows], ["rows"])
    return graph


@pytest.mark.parametrize(("twice", "kind"), [(False, "Embed"), (True, "MatMul")])
def test_tables(twice: bool, kind: str, tmp_path: Path) -> None:
    feeds = {"ids": np.array([[3, 0, 10, 7, 3]], np.int64)}
    path = round_trip(lookup(twice=twice), feeds, tmp_path)
    assert kind in kinds(path)
    module = Module(lookup(twice=twice))
    emitter.write(module, path)
    assert bool(module.warnings) == twice


def test_integers_that_float32_does_not_hold(tmp_path: Path) -> None:
    session = Session(write(lookup(twice=True), tmp_path))
    with pytest.raises(UsageError, match="beyond"):
        session.run({"ids": np.array([[1 << 25, 0, 0, 0, 0]], np.int64)})


# --- files -----------------------------------------------------------------------------------------------


def small() -> Graph:
    op, weight = conv(4, 3)
    return graph_of(lambda b, x: [b(op, x, weight)], 1, 3, 5, 6)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    op, weight = conv(4, 3)
    written = []
    for _ in range(2):
        path = write(graph_of(lambda b, x: [b(ops.Relu(), b(op, x, weight))], 1, 3, 5, 6), tmp_path)
        written.append((path.read_bytes(), path.with_suffix(".bin").read_bytes()))
    assert written[0] == written[1]


def test_what_cannot_be_expressed_leaves_what_was_there(tmp_path: Path) -> None:
    path = write(small(), tmp_path)
    before = sorted((entry.name, entry.read_bytes()) for entry in tmp_path.iterdir())
    graph = graph_of(lambda b, x: [b(ops.Det(), x), b(ops.Inverse(), x)], 2, 3, 3)
    with pytest.raises(UnsupportedError) as caught:
        emitter.write(Module(graph), path)
    assert len(caught.value.problems) == 2
    assert sorted((entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()) == before


def test_a_file_that_does_not_load_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, path: Path, weights: Path) -> None:
        assert name == "ncnn"
        assert files.read(path, weights).layers
        raise InvalidModelError("refused")

    monkeypatch.setattr(saving, "rehearse", refuse)
    with pytest.raises(InvalidModelError, match="refused"):
        write(small(), tmp_path)
    assert not os.listdir(tmp_path)  # noqa: PTH208 - hidden files count


def test_binary_records(tmp_path: Path) -> None:
    graph = small()
    feeds = {"x": floats(1, 3, 5, 6)}
    wanted = run(graph, feeds)["y0"]
    path = write(graph, tmp_path, binary=True)
    session = Session(path)
    (found,) = session.run({session.inputs[0]: feeds["x"]}).values()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    (again,) = run(parser.load(path).graph, {session.inputs[0]: feeds["x"]}).values()
    np.testing.assert_allclose(again, wanted, atol=1e-5)


def test_float16_weights_take_half_the_room(tmp_path: Path) -> None:
    graph = graph_of(lambda b, x: [b(ops.MatMul(), x, floats(64, 32))], 3, 64)
    mmir.write(Module(graph), tmp_path / "m.mmir")
    sizes = {}
    for precision in (None, "fp16"):
        report = mmconvert.convert(tmp_path / "m.mmir", tmp_path / "m.param", precision=precision)
        assert report.passed
        sizes[precision] = (tmp_path / "m.bin").stat().st_size
    assert sizes == {None: 4 + 4 * 64 * 32, "fp16": 4 + 2 * 64 * 32}


def test_uneven_padding(tmp_path: Path) -> None:
    op = ops.Conv(strides=(1, 1), dilations=(1, 1), padding=Explicit(((1, 0), (0, 2))), layout=Layout.NCHW)
    graph = graph_of(lambda b, x: [b(op, x, floats(4, 3, 2, 2))], 1, 3, 5, 6)
    round_trip(graph, {"x": floats(1, 3, 5, 6)}, tmp_path)


# --- layers that do more at once -------------------------------------------------------------------------


def dense(b: Builder, x: Value, inputs: int, outputs: int) -> Value:
    return b(ops.Add(), b(ops.MatMul(), x, floats(inputs, outputs)), floats(outputs))


def heads(b: Builder, x: Value) -> Value:
    return b(ops.Transpose(perm=(0, 2, 1, 3)), b(ops.Reshape(shape=(1, x.type.shape[1], 2, 4)), x))


def attention(b: Builder, query: Value, key: Value, *masks: Value) -> Value:
    parts = [heads(b, dense(b, x, 6, 8)) for x in (query, key, key)]
    mixed = b(ops.ScaledDotProductAttention(scale=0.3), *parts, *masks)
    turned = b(ops.Transpose(perm=(0, 2, 1, 3)), mixed)
    return dense(b, b(ops.Reshape(shape=(1, query.type.shape[1], 8)), turned), 8, 6)


def test_attention_with_its_projections_is_a_layer(tmp_path: Path) -> None:
    graph = graph_of(lambda b, x: [attention(b, x, x)], 1, 5, 6)
    path = round_trip(graph, {"x": floats(1, 5, 6)}, tmp_path)
    assert kinds(path) == ["Input", "MultiHeadAttention"]


def test_attention_over_another_sequence_with_a_mask(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        other = graph.input("other", TensorType(dtypes.F32, (1, 7, 6)))
        mask = graph.input("mask", TensorType(dtypes.F32, (1, 1, 5, 7)))
        return [attention(b, x, other, mask)]

    graph = Graph("net")
    x = graph.input("x", TensorType(dtypes.F32, (1, 5, 6)))
    graph.set_outputs(build(Builder(graph), x), ["y"])
    feeds = {"x": floats(1, 5, 6), "other": floats(1, 7, 6), "mask": floats(1, 1, 5, 7)}
    made = kinds(round_trip(graph, feeds, tmp_path))
    assert [kind for kind in made if kind not in ("Input", "Reshape")] == ["MultiHeadAttention"]


def test_attention_whose_heads_are_read_elsewhere_stands_alone(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        query = heads(b, dense(b, x, 6, 8))
        parts = [query, *(heads(b, dense(b, x, 6, 8)) for _ in range(2))]
        mixed = b(ops.ScaledDotProductAttention(scale=0.3), *parts)
        joined = b(ops.Reshape(shape=(1, 5, 8)), b(ops.Transpose(perm=(0, 2, 1, 3)), mixed))
        return [dense(b, joined, 8, 6), query]

    path = round_trip(graph_of(build, 1, 5, 6), {"x": floats(1, 5, 6)}, tmp_path)
    assert "SDPA" in kinds(path)
    assert "MultiHeadAttention" not in kinds(path)


def test_squeeze_and_excitation_works_on_vectors(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        mean = b(ops.ReduceMean(axes=(2, 3), keepdims=True), x)
        down, weight = conv(2, 4, 1)
        gate = b(ops.Silu(), b(down, mean, weight))
        up, weight = conv(4, 2, 1)
        return [b(ops.Mul(), b(ops.Sigmoid(), b(up, gate, weight)), x)]

    path = round_trip(graph_of(build, 1, 4, 5, 6), {"x": floats(1, 4, 5, 6)}, tmp_path)
    wanted = ["Input", "Split", "Pooling", "InnerProduct", "Swish", "InnerProduct", "BinaryOp"]
    assert kinds(path) == wanted


@pytest.mark.parametrize("extents", [(4, 4, 4), (4, 5, 4), (1, 4, 4)])
def test_vectors_go_along_the_channels(extents: tuple[int, ...], tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        return [b(ops.Sub(), x, b(ops.ReduceMax(axes=(2, 3), keepdims=True), x))]

    round_trip(graph_of(build, 1, *extents), {"x": floats(1, *extents)}, tmp_path)


def test_states_that_nobody_asks_for_are_no_outputs(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> list[Value]:
        op = ops.RNN(hidden_size=4, direction="forward", activations=("Tanh",), alphas=(0.0,), betas=(0.0,))
        return [b.multi(op, x, floats(1, 4, 3), floats(1, 4, 4), floats(1, 8))[0]]

    path = round_trip(graph_of(build, 5, 1, 3), {"x": floats(5, 1, 3)}, tmp_path)
    assert "RNN" in kinds(path)
    assert all(len(stored.layer.outputs) == 1 for stored in files.read(path).layers)
