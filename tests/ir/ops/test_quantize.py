"""Quantization by hand, and integer products against integer arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.interpreter.session import run
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import ConvInteger, Dequantize, DynamicQuantize, MatMulInteger, Quantize
from mmconvert.ir.ops.quantize import Rounding
from mmconvert.ir.types import Array, Layout, TensorType


def f32(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def test_halves_are_rounded_to_even_and_the_rest_saturates() -> None:
    op = Quantize(dtype=dtypes.U8)
    y = op.evaluate(f32(-3, 1, 3, 5, 7, 1e9), np.array(2, np.float32), np.array(1, np.uint8))
    assert y.tolist() == [0, 1, 3, 3, 5, 255]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("i2", -2, 1), ("u2", 0, 3), ("i4", -8, 7), ("u4", 0, 15), ("i16", -32768, 32767), ("u16", 0, 65535)],
)
def test_every_width_saturates(name: str, low: int, high: int) -> None:
    y = Quantize(dtype=dtypes.BY_NAME[name]).evaluate(f32(-1e6, 1e6, 1), np.array(1, np.float32))
    assert y.astype(np.int64).tolist() == [low, high, 1]


def test_float8_saturates_only_when_asked_to() -> None:
    kind = dtypes.BY_NAME["f8e4m3fn"]
    x = f32(1000.0, -1000.0, 3.3)
    kept = Quantize(dtype=kind).evaluate(x, np.array(1, np.float32)).astype(np.float32)
    assert kept.tolist() == [448.0, -448.0, 3.25]
    lost = Quantize(dtype=kind, saturate=False).evaluate(x, np.array(1, np.float32)).astype(np.float32)
    assert np.isnan(lost[:2]).all()


def test_blocks_repeat_along_the_axis() -> None:
    x = np.array([[1, 2, 3, 4, 5]], np.int8)
    scale, zero = np.array([[1.0, 10.0]], np.float32), np.array([[0, 1]], np.int8)
    y = Dequantize(axis=1, block=3).evaluate(x, scale, zero)
    assert y.tolist() == [[1, 2, 3, 30, 40]]


def test_a_wide_difference_is_exact() -> None:
    y = Dequantize().evaluate(
        np.array([2**24 + 1], np.int32), np.array(1, np.float64), np.array(2**24, np.int32)
    )
    assert y.tolist() == [1.0]


def test_dynamic_quantization_contains_zero() -> None:
    y, scale, zero = DynamicQuantize().evaluate(f32(0, 2, -3, -2.5, 1.34, 0.5))
    np.testing.assert_allclose(scale, 5 / 255, rtol=1e-6)
    assert int(zero) == 153
    assert y.tolist() == [153, 255, 0, 26, 221, 179]


def test_integer_products_are_exact() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (5, 700), np.uint8), rng.integers(-128, 128, (700, 3), np.int8)
    rows, columns = np.arange(5, dtype=np.uint8), np.array([1, -2, 3], np.int8)
    found = MatMulInteger().evaluate(a, b, rows, columns)
    wanted = (a.astype(np.int32) - rows[:, None]) @ (b.astype(np.int32) - columns)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, wanted)


def test_integer_convolution_is_exact() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 256, (1, 3, 6), np.uint8), rng.integers(-128, 128, (2, 3, 3), np.int8)
    zeros = np.array([5, -7], np.int8)
    op = ConvInteger(strides=(1,), dilations=(1,), padding=Explicit(((1, 1),)), layout=Layout.NCHW)
    found = op.evaluate(x, w, np.array(9, np.uint8), zeros)
    wide = np.pad(x.astype(np.int64) - 9, ((0, 0), (0, 0), (1, 1)))
    kernel = w.astype(np.int64) - zeros[:, None, None]
    wanted = [[(wide[0, :, p : p + 3] * k).sum() for p in range(6)] for k in kernel]
    np.testing.assert_array_equal(found[0], wanted)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Quantize(dtype=dtypes.I8, axis=1), ("f32[2,3]", "f32[2]"), "3 scales along axis 1"),
        (Quantize(dtype=dtypes.I8, axis=1, block=2), ("f32[2,3]", "f32[2,1]"), "2 scales along axis 1"),
        (Quantize(dtype=dtypes.I8), ("f32[2]", "f32[]", "u8[]"), "a zero point of i8"),
        (Quantize(dtype=dtypes.I8), ("u8[2]", "f32[]"), "a floating-point or i32 tensor"),
        (Dequantize(), ("i8[2]", "f32[]", "i8[2]"), "a zero point for each scale"),
        (Dequantize(), ("i8[2]", "f32[1,1]"), "a scale per tensor, axis or block"),
        (MatMulInteger(), ("u8[2,2]", "u8[2,2]", "i8[]"), "zero points of u8"),
    ],
)
def test_refused(op: Any, operands: tuple[str, ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*map(typed, operands))


def typed(text: str) -> TensorType:
    name, _, rest = text.partition("[")
    return TensorType(dtypes.BY_NAME[name], tuple(int(e) for e in rest.rstrip("]").split(",") if e))


def test_narrow_integers_are_those_of_ml_dtypes() -> None:
    assert dtypes.BY_NAME["i4"] == np.dtype(ml_dtypes.int4)


def test_halves_go_where_the_rounding_says() -> None:
    x, unit, zero = f32(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5), np.array(1, np.float32), np.array(-2, np.int8)
    wanted = {
        "half_even": [-4, -4, -2, -2, 0, 0],
        "half_away": [-5, -4, -3, -1, 0, 1],
        "half_away_stored": [-5, -4, -3, -2, -1, 1],
    }
    for rounding, numbers in wanted.items():
        op = Quantize(dtype=dtypes.I8, rounding=rounding)  # type: ignore[arg-type]
        assert op.evaluate(x, unit, zero).tolist() == numbers, rounding


def test_guard_bits_round_twice() -> None:
    """0.45 is 0.5 to one bit, which goes up; below 0 three bits leave it where it is."""
    x, unit = f32(0.45, 0.2, -0.45, -0.55), np.array(1, np.float32)
    op = Quantize(dtype=dtypes.I8, rounding="half_away", guard_bits=(1,), negative_guard_bits=(3,))
    assert op.evaluate(x, unit).tolist() == [1, 0, -1, -1]
    assert replace(op, negative_guard_bits=(5,)).evaluate(x, unit).tolist() == [1, 0, 0, -1]
    rows = replace(op, axis=0, guard_bits=(1, 5), negative_guard_bits=())
    assert rows.evaluate(f32(0.45, 0.45), unit).tolist() == [1, 0]


@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_away_stored"])
@pytest.mark.parametrize("bits", [(), (2,), (1, 2, 3, 4)])
@pytest.mark.parametrize("negative", [False, True])
def test_roundings_decompose(rounding: Rounding, bits: tuple[int, ...], negative: bool) -> None:
    below = tuple(n + 1 for n in bits) if negative else ()
    op = Quantize(dtype=dtypes.I8, axis=1, rounding=rounding, guard_bits=bits, negative_guard_bits=below)
    x = np.arange(-40, 40, dtype=np.float32).reshape(20, 4) / 16
    scale, zero = np.array(0.5, np.float32), np.array(3, np.int8)
    graph = Graph("g")
    b = Builder(graph)
    value = graph.input("x", TensorType(dtypes.F32, x.shape))
    parts = op.decompose(b, value, b.constant(scale), b.constant(zero))
    assert parts is not None
    graph.set_outputs([parts], ["y"])
    np.testing.assert_array_equal(run(graph, {"x": x})["y"], op.evaluate(x, scale, zero))


def test_guard_bits_have_to_fit() -> None:
    x, unit = TensorType(dtypes.F32, (2, 3)), TensorType(dtypes.F32, ())
    with pytest.raises(InferenceError, match="guard bits"):
        Quantize(dtype=dtypes.I8, axis=1, guard_bits=(1, 2)).infer(x, unit)
