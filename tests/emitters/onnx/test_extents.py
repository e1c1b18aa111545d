from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.emitters import onnx as emitter
from mmconvert.errors import UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.onnx.files import execute, kinds, write

n, h, w = (Dim.symbol(name) for name in "nhw")

Build = Callable[[Builder, Value], Value]


def symbolic_graph() -> Graph:
    """Extents of every kind: copied, computed, and through windows."""
    graph = Graph("symbolic")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (n, 3, h, w)))
    weight = np.linspace(-1, 1, 4 * 3 * 9, dtype=np.float32).reshape(4, 3, 3, 3)
    y = b(
        ops.Conv(strides=(2, 2), dilations=(1, 1), padding=Explicit(((1, 1), (1, 1))), layout=Layout.NCHW),
        x,
        weight,
        name="conv",
    )
    _, c, rows, columns = y.type.shape
    tokens = b(ops.Transpose(perm=(0, 2, 1)), b(ops.Reshape(shape=(n, c, rows * columns)), y))
    table = b(ops.Fill(shape=(rows * columns, c), value=0.5, dtype=dtypes.F32))
    z = b(ops.Add(), tokens, table)
    graph.set_outputs([b(ops.Reshape(shape=(n * rows, columns, c)), z)], ["y"])
    return graph


def build(function: Build, shape: tuple[dims.Extent, ...] = (n, 3, h, w)) -> Graph:
    graph = Graph("g")
    x = graph.input("x", TensorType(dtypes.F32, shape))
    graph.set_outputs([function(Builder(graph), x)], ["y"])
    return graph


def halved(b: Builder, x: Value) -> Value:
    """Rows and columns that only this value has."""
    window = {"kernel": (2, 2), "strides": (2, 2), "dilations": (1, 1)}
    return b(ops.MaxPool(**window, padding=Explicit(((0, 0), (0, 0))), layout=Layout.NCHW), x)


def expanded_beside(b: Builder, x: Value, *front: dims.Extent, axis: int) -> Value:
    """The pooled picture, and a table with its last extents."""
    y = halved(b, x)
    table = b(ops.Expand(shape=(*front, *y.type.shape[axis:])), b.constant(np.ones((1,), np.float32)))
    return b(ops.Add(), b(ops.Reshape(shape=(1, *y.type.shape)), y), table)


def doubled_table(b: Builder, x: Value) -> Value:
    """A table whose extents another operator has computed."""
    sizes = b(ops.Mul(), b(ops.Shape(), x), np.array([2, 1, 1, 1]))
    total = b(ops.Cast(to=dtypes.F32), b(ops.ReduceSum(axes=(0,), keepdims=False), sizes))
    return b(ops.Add(), b(ops.Fill(shape=(2 * n, 3, h, w), value=1.0, dtype=dtypes.F32)), total)


def slices(axis: int, start: dims.Extent, size: dims.Extent, step: int = 1) -> Build:
    op = ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(step,))
    return lambda b, x: b(op, x)


def resize(sizes: tuple[dims.Extent, ...], scales: tuple[float, ...] = ()) -> Build:
    op = ops.Resize(axes=(2, 3), sizes=sizes, scales=scales, mode="linear", coordinates="half_pixel")
    return lambda b, x: b(op, x)


def pool(stride: int, *, extra_after: bool = True) -> Build:
    op = ops.MaxPool(
        kernel=(3, 3),
        strides=(stride,) * 2,
        dilations=(1, 1),
        padding=Same(extra_after=extra_after),
        layout=Layout.NCHW,
    )
    return lambda b, x: b(op, x)


def padded(b: Builder, x: Value) -> Value:
    return b(ops.Pad(pads=((0, 0), (0, 0), (1, h), (w - 2, 2)), value=2.0), x)


def counted(b: Builder, x: Value) -> Value:
    numbers = b(
        ops.Range(size=h),
        b.constant(np.float32(0)),
        b(ops.Cast(to=dtypes.F32), _extent(b, x, 2)),
        np.float32(1),
    )
    return b(ops.Add(), numbers, b(ops.ReduceMax(axes=(0, 1, 2, 3), keepdims=False), x))


def _extent(b: Builder, x: Value, axis: int) -> Value:
    return b(ops.Gather(axis=0), b(ops.Shape(), x), np.array(axis))


GRAPHS: dict[str, Graph] = {
    "mixed": symbolic_graph(),
    "flatten": build(lambda b, x: b(ops.Reshape(shape=(n, 3 * h * w)), x)),
    "all_computed": build(lambda b, x: b(ops.Reshape(shape=(n * h, 3, w)), x)),
    "split_extent": build(lambda b, x: b(ops.Reshape(shape=(n, 3, dims.floordiv(h * w, 2), 2)), x)),
    "side_by_side": build(lambda b, x: expanded_beside(b, x, 5, 1, 3, axis=2)),
    "whole_shape": build(lambda b, x: expanded_beside(b, x, axis=0)),
    "vector_at_hand": build(doubled_table),
    "expand": build(lambda b, x: b(ops.Expand(shape=(n, n, 3, h, w)), x)),
    "expand_kept": build(lambda b, x: b(ops.Expand(shape=(5, n, 3, h, w)), x)),
    "tile": build(lambda b, x: b(ops.Tile(repeats=(1, h, 2, 1)), x)),
    "fill": build(lambda b, x: b(ops.Add(), x, b(ops.Fill(shape=(h, 1), value=3.0, dtype=dtypes.F32)))),
    "range": build(counted),
    "pad": build(padded),
    "slice_tail": build(slices(2, 1, h - 1)),
    "slice_last_two": build(slices(2, h - 2, 2)),
    "slice_but_two": build(slices(3, 0, w - 2)),
    "slice_strided": build(slices(3, 1, dims.ceildiv(w - 1, 2), 2)),
    "slice_half": build(slices(3, 1, dims.floordiv(w, 2))),
    "slice_backwards": build(slices(3, w - 1, w, -1)),
    "slice_backwards_strided": build(slices(3, w - 2, dims.floordiv(w, 2), -2)),
    "slice_backwards_static_start": build(slices(3, 2, 3, -1)),
    "slice_nothing": build(lambda b, x: b(ops.Concat(axis=3), x, slices(3, 1, 0)(b, x))),
    "reverse": build(lambda b, x: b(ops.Reverse(axes=(2, 3)), x)),
    "split": build(lambda b, x: b.multi(ops.Split(axis=2, sizes=(1, h - 1)), x)[1]),
    "top_k": build(lambda b, x: b.multi(ops.TopK(k=dims.floordiv(w, 2), axis=3), x)[0]),
    "resize_to_doubled": build(resize((2 * h, 2 * w), (2.0, 2.0))),
    "resize_to_size_of_other": build(resize((w, h))),
    "resize_static": build(resize((7, 5)), (n, 3, 4, 6)),
    "resize_static_uneven": build(resize((7, 13)), (n, 3, 11, 6)),
    "same_stride_2": build(pool(2)),
    "same_lower_stride_2": build(pool(2, extra_after=False)),
    "same_stride_1": build(pool(1)),
    "below_zero": build(
        lambda b, x: b(ops.Fill(shape=(n * dims.floordiv(h - w, 2) + n * w,), value=1, dtype=dtypes.F32))
    ),
    "maximum": build(lambda b, x: b(ops.Fill(shape=(dims.maximum(h, w), n), value=1.5, dtype=dtypes.F32))),
}


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("name", GRAPHS)
def test_any_size_runs(name: str, opset: int, tmp_path: Path) -> None:
    graph = GRAPHS[name]
    path = write(graph, tmp_path, opset)
    for extents in ((1, 5, 6), (3, 8, 4), (2, 6, 7) if "split_extent" not in name else (2, 6, 8)):
        bindings = dict(zip("nhw", extents, strict=True))
        shape = tuple(dims.substitute(e, bindings) for e in graph.inputs[0].type.shape)
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        found, wanted = execute(path, {"x": x})["y"], run(graph, {"x": x})["y"]
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("flatten", ["Reshape"]),
        ("expand_kept", ["Expand"]),
        ("slice_tail", ["Slice"]),
        ("slice_last_two", ["Slice"]),
        ("slice_but_two", ["Slice"]),
        ("slice_strided", ["Slice"]),
        ("slice_backwards", ["Slice"]),
        ("resize_to_doubled", ["Resize"]),
        ("resize_static_uneven", ["Resize"]),
        ("same_stride_2", ["MaxPool"]),
        ("all_computed", ["Shape", "Shape", "Mul", "Shape", "Concat", "Reshape"]),
        ("side_by_side", ["MaxPool", "Shape", "Concat", "Expand", "Shape", "Concat", "Reshape", "Add"]),
        ("whole_shape", ["MaxPool", "Shape", "Expand", "Concat", "Reshape", "Add"]),
        ("vector_at_hand", ["Shape", "Mul", "ReduceSum", "Cast", "ConstantOfShape", "Add"]),
    ],
)
def test_nothing_is_computed_that_need_not_be(name: str, nodes: list[str], tmp_path: Path) -> None:
    assert kinds(write(GRAPHS[name], tmp_path)) == nodes


def test_symbols_are_in_the_file(tmp_path: Path) -> None:
    graph = onnx.load(write(GRAPHS["mixed"], tmp_path)).graph
    inner = {info.name: info for info in graph.value_info}
    shape = [d.dim_param or d.dim_value for d in inner["conv"].type.tensor_type.shape.dim]
    assert shape == ["n", 4, "(h+1)//2", "(w+1)//2"]
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [
        "n",
        3,
        "h",
        "w",
    ]


def test_an_extent_that_no_tensor_has(tmp_path: Path) -> None:
    graph = build(lambda b, x: b(ops.Fill(shape=(Dim.symbol("elsewhere"),), value=1, dtype=dtypes.F32)))
    with pytest.raises(UnsupportedError, match="Fill: the extent elsewhere cannot be read off any tensor"):
        emitter.write(Module(graph), tmp_path / "m.onnx")


@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_a_symbol_is_read_off_a_multiple_of_it(target: str, tmp_path: Path) -> None:
    """Only 4*h+1 is an extent of the input; h alone is one of what is made."""
    graph = Graph("multiple")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (4 * h + 1, 2)))
    graph.set_outputs([b(ops.Fill(shape=(h, 3), value=0.5, dtype=dtypes.F32)), b(ops.Relu(), x)], ["y", "z"])
    path = tmp_path / f"model.{target}"
    feed = {"x": np.ones((13, 2), np.float32)}
    wanted = run(graph, feed)
    assert wanted["y"].shape == (3, 3)
    mmconvert.save(mmconvert.Model(graph), path)
    found = mmconvert.run(path, feed, runtime="native")
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
