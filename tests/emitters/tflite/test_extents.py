"""Extents that are known only when the model runs are computed inside the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import tflite as emitter
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.tflite.files import kinds, round_trip, write

n, h, w = (Dim.symbol(name) for name in "nhw")

Build = Callable[[Builder, Value], Value]
SIZES = [(1, 6, 4), (3, 4, 8)]


def graph_of(build: Build, shape: tuple[Extent, ...] = (n, h, w)) -> Graph:
    graph = Graph("g")
    x = graph.input("x", TensorType(dtypes.F32, shape))
    graph.set_outputs([build(Builder(graph), x)], ["y"])
    return graph


def sliced(axis: int, start: Extent, size: Extent, step: int = 1) -> Build:
    op = ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(step,))
    return lambda b, x: b(op, x)


BUILDS: dict[str, Build] = {
    "flatten": lambda b, x: b(ops.Reshape(shape=(n, h * w)), x),
    "one_unknown": lambda b, x: b(ops.Reshape(shape=(n * h * w,)), x),
    "swap": lambda b, x: b(ops.Reshape(shape=(w, h, n)), x),
    "halve": lambda b, x: b(ops.Reshape(shape=(n, dims.floordiv(h, 2), 2, w)), x),
    "quarter": lambda b, x: b(ops.Reshape(shape=(n, h, dims.floordiv(w, 4), 4)), x),
    "unsqueeze": lambda b, x: b(ops.Unsqueeze(axes=(1, 3)), x),
    "squeeze": lambda b, x: b(ops.Squeeze(axes=(0, 3)), b(ops.Unsqueeze(axes=(0, 3)), x)),
    "expand": lambda b, x: b(ops.Expand(shape=(n, h, w)), b(ops.ReduceSum(axes=(1,), keepdims=True), x)),
    "tile": lambda b, x: b(ops.Tile(repeats=(1, 2, h)), x),
    "all_but_the_first": sliced(1, 1, h - 1),
    "the_last": sliced(2, w - 1, 1),
    "every_other": sliced(1, 0, dims.ceildiv(h, 2), 2),
    "backwards": sliced(1, h - 1, h, -1),
    "split": lambda b, x: b.multi(ops.Split(axis=1, sizes=(1, h - 1)), x)[1],
    "halves": lambda b, x: b.multi(ops.Split(axis=2, sizes=(dims.floordiv(w, 2),) * 2), x)[0],
    "pad": lambda b, x: b(ops.Pad(pads=((0, 0), (1, h), (0, 2))), x),
    "fill": lambda b, x: b(ops.Add(), x, b(ops.Fill(shape=(h, w), value=2.0, dtype=dtypes.F32))),
    "larger": lambda b, x: b(ops.Reshape(shape=(n * h, dims.maximum(w, w - 3))), x),
    "shape": lambda b, x: b(ops.Shape(), x),
    "triangle": lambda b, x: b(ops.Trilu(k=1, upper=False), x),
    "last_largest": lambda b, x: b(ops.ArgMax(axis=1, keepdims=False, select_last=True), x),
    "positions": lambda b, x: b(ops.GatherElements(axis=2), x, _places(b, x)),
    "non_zero": lambda b, x: b(ops.NonZero(count=Dim.symbol("found")), b(ops.Relu(), x)),
    "found_twice": lambda b, x: _doubled(b, b(ops.NonZero(count=Dim.symbol("found")), x)),
}


def _places(b: Builder, x: Value) -> Value:
    return b(ops.ArgMax(axis=2, keepdims=True), x)


def _doubled(b: Builder, places: Value) -> Value:
    found = Dim.symbol("found")
    return b(ops.Reshape(shape=(found * 3,)), b(ops.Expand(shape=(3, found)), places))


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_computed(name: str, size: tuple[int, ...], tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(4).uniform(-1, 1, size).astype(np.float32)}
    round_trip(graph_of(BUILDS[name]), feeds, tmp_path)


def test_one_unknown_extent_needs_no_arithmetic(tmp_path: Path) -> None:
    assert kinds(write(graph_of(BUILDS["one_unknown"]), tmp_path)) == ["RESHAPE"]
    assert kinds(write(graph_of(sliced(1, 1, h - 1)), tmp_path)) == ["SLICE"]


def test_extents_are_computed_once(tmp_path: Path) -> None:
    def build(b: Builder, x: Value) -> Value:
        y = b(ops.Reshape(shape=(n, h * w)), x)
        return b(ops.Reshape(shape=(n, h * w)), b(ops.Reshape(shape=(n, h, w)), b(ops.Neg(), y)))

    assert kinds(write(graph_of(build), tmp_path)).count("SHAPE") == 1


def test_images_resized_by_a_whole_factor(tmp_path: Path) -> None:
    op = ops.Resize(
        axes=(1, 2), sizes=(h * 2, w * 2), scales=(2.0, 2.0), mode="nearest", coordinates="half_pixel"
    )
    graph = graph_of(lambda b, x: b(op, x), (n, h, w, 2))
    feeds = {"x": np.random.default_rng(4).random((2, 3, 5, 2), np.float32)}
    assert kinds(round_trip(graph, feeds, tmp_path))[-1] == "RESIZE_NEAREST_NEIGHBOR"


def test_transposed_convolution(tmp_path: Path) -> None:
    op = ops.ConvTranspose(
        strides=(2, 2),
        dilations=(1, 1),
        padding=ops.conv.Explicit(((1, 1), (1, 1))),
        output_padding=(1, 1),
        layout=Layout.NHWC,
    )
    weight = np.linspace(-1, 1, 2 * 9 * 3, dtype=np.float32).reshape(2, 3, 3, 3)
    graph = graph_of(lambda b, x: b(op, x, weight), (n, h, w, 2))
    feeds = {"x": np.random.default_rng(4).random((2, 3, 5, 2), np.float32)}
    written = kinds(round_trip(graph, feeds, tmp_path))
    assert "TRANSPOSE_CONV" in written
    assert written[-1] == "SLICE"


def test_an_extent_that_no_tensor_has(tmp_path: Path) -> None:
    graph = Graph()
    fill = Builder(graph)(ops.Fill(shape=(n, 2), value=1.0, dtype=dtypes.F32), name="ones")
    graph.set_outputs([fill], ["y"])
    with pytest.raises(UnsupportedError) as caught:
        emitter.write(Module(graph), tmp_path / "model.tflite")
    assert str(caught.value.problems[0]) == "Fill: the extent n is not that of an input at ones"
