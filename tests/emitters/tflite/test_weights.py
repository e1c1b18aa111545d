"""Quantized weights among floats: the file holds them as integers, and LiteRT makes them floats once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes, registry
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Layout, TensorType
from mmconvert.lowering import lower
from tests.emitters.tflite.files import kinds, parsed, round_trip


def conv(b: Builder, x: Value, weight: Value) -> Value:
    kernel = b(ops.Reshape(shape=(16, 64, 1, 1)), weight)
    return b(
        ops.Conv(strides=(1, 1), dilations=(1, 1), padding=Explicit(((0, 0),) * 2), layout=Layout.NCHW),
        b(ops.Reshape(shape=(2, 64, 1, 1)), x),
        kernel,
    )


def product(b: Builder, x: Value, weight: Value) -> Value:
    return b(ops.MatMul(), x, b(ops.Transpose(perm=(1, 0)), weight))


def added(b: Builder, x: Value, weight: Value) -> Value:
    return b(ops.Add(), b(ops.Reshape(shape=(2, 1, 64)), x), weight)


@pytest.mark.parametrize("use", [conv, product, added], ids=lambda use: use.__name__)
@pytest.mark.parametrize("along", [False, True], ids=["one_scale", "along_axis"])
@pytest.mark.parametrize("dtype", ["i8", "u8", "i4"])
def test_weights_are_held_as_bytes(dtype: str, along: bool, use: object, tmp_path: Path) -> None:
    assert callable(use)
    rng, graph = np.random.default_rng(0), Graph()
    x, b = graph.input("x", TensorType(dtypes.F32, (2, 64))), Builder(graph)
    kind, count = dtypes.BY_NAME[dtype], (16,) if along else ()
    stored = b.constant(rng.integers(0 if dtype == "u8" else -7, 8, (16, 64)).astype(kind))
    scale = b.constant(rng.uniform(0.1, 1, count).astype(np.float32))
    weight = b(ops.Dequantize(), stored, scale, b.constant(rng.integers(0, 3, count).astype(kind)))
    graph.set_outputs([use(b, x, weight)], ["y"])
    lower(graph, registry.find("tflite"))
    path = round_trip(graph, {"x": rng.normal(size=(2, 64)).astype(np.float32)}, tmp_path)
    assert kinds(path).count("DEQUANTIZE") == 1
    model = parsed(path)
    assert max(model.Buffers(i).DataLength() for i in range(model.BuffersLength())) == 16 * 64
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert [c.Version() for c in codes if c.BuiltinCode() == 6] == [5 if along else 1 if dtype == "u8" else 2]


def test_small_weights_are_floats(tmp_path: Path) -> None:
    graph = Graph()
    x, b = graph.input("x", TensorType(dtypes.F32, (2, 4))), Builder(graph)
    weight = b(ops.Dequantize(), b.constant(np.arange(12).astype(np.int8).reshape(4, 3)), np.float32(0.5))
    graph.set_outputs([b(ops.MatMul(), x, weight)], ["y"])
    lower(graph, registry.find("tflite"))
    assert kinds(round_trip(graph, {"x": np.ones((2, 4), np.float32)}, tmp_path)) == ["FULLY_CONNECTED"]
