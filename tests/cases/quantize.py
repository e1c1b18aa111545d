"""Quantization; numbers stay away from ties, where the precision of the division decides."""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.ops import ConvInteger, Dequantize, DynamicQuantize, MatMulInteger, Quantize
from mmconvert.ir.types import Layout
from tests.cases.case import Case, Data, const, data


def quantize(name: str, dtype: str, x: Data, scale: Data, zero: Data | None = None, **fields: Any) -> Case:
    op = Quantize(dtype=dtypes.BY_NAME[dtype], **fields)
    return Case(f"Quantize/{name}", op, (x, scale) if zero is None else (x, scale, zero))


def dequantize(name: str, x: Data, scale: Data, zero: Data | None = None, **fields: Any) -> Case:
    return Case(f"Dequantize/{name}", Dequantize(**fields), (x, scale) if zero is None else (x, scale, zero))


def integer_conv(name: str, x: Data, weight: Data, *zeros: Data | None, **fields: Any) -> Case:
    plain: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit(((0, 0), (0, 0)))}
    op = ConvInteger(**(plain | {"layout": Layout.NCHW} | fields))
    return Case(f"ConvInteger/{name}", op, (x, weight, *zeros))


TENTH = const("f32[]", values=0.1)
REAL = data("f32[2,3,4]", -20, 20)
ROWS = const("f32[3]", values=[0.1, 0.2, 0.05])
BYTES = data("u8[2,3,4]", 0, 256)
SIGNED = data("i8[2,3,4]", -128, 128)
BLOCKS = const("f32[2,3,2]", 0.1, 0.2)

CASES = [
    quantize("u8", "u8", REAL, TENTH, const("u8[]", values=128)),
    quantize("u8_no_zero_point", "u8", REAL, TENTH),
    quantize("i8", "i8", REAL, TENTH, const("i8[]", values=-3)),
    quantize("i8_no_zero_point", "i8", REAL, TENTH),
    quantize(
        "ties_to_even",
        "i8",
        data("f32[6]", values=[0.5, 1.5, 2.5, -0.5, -1.5, -2.5]),
        const("f32[]", values=1),
    ),
    quantize("saturates", "u8", data("f32[4]", values=[-1e9, 1e9, -3, 300]), const("f32[]", values=1)),
    quantize("cut_off", "i8", REAL, TENTH, const("i8[]", values=-3), rounding="toward_zero"),
    quantize("away", "i8", REAL, TENTH, const("i8[]", values=-3), rounding="half_away"),
    quantize("i16", "i16", REAL, const("f32[]", values=0.001), const("i16[]", values=100)),
    quantize("u16", "u16", REAL, const("f32[]", values=0.001), const("u16[]", values=30000)),
    quantize("axis", "i8", REAL, ROWS, const("i8[3]", values=[1, -2, 3]), axis=1),
    quantize("last_axis", "u8", REAL, const("f32[4]", 0.1, 0.2), const("u8[4]", 0, 255), axis=2),
    quantize("f16", "i8", data("f16[2,3]", -9, 9), const("f16[]", values=0.11), const("i8[]", values=2)),
    quantize("i32", "i8", data("i32[2,3]", -99, 99), const("f32[]", values=1.3)),
    quantize("block", "i8", REAL, BLOCKS, const("i8[2,3,2]", -9, 9), axis=2, block=2),
    quantize("block_not_whole", "i8", data("f32[5,2]", -9, 9), const("f32[2,2]", 0.1, 0.2), axis=0, block=3),
    dequantize("u8", BYTES, TENTH, const("u8[]", values=128)),
    dequantize("u8_no_zero_point", BYTES, TENTH),
    dequantize("i8", SIGNED, TENTH, const("i8[]", values=-3)),
    dequantize("i32", data("i32[3,2]", -99999, 99999), const("f32[]", values=0.01)),
    dequantize("i16", data("i16[3,2]", -9999, 9999), TENTH, const("i16[]", values=77)),
    dequantize("i4", const("i4[3,2]", -8, 8), TENTH, const("i4[]", values=-2)),
    dequantize("u4", const("u4[3,2]", 0, 16), TENTH),
    dequantize("constant", const("i8[3,4]", -128, 127), TENTH),
    dequantize("axis", SIGNED, ROWS, const("i8[3]", values=[1, -2, 3]), axis=1),
    dequantize("first_axis", SIGNED, const("f32[2]", 0.1, 0.3), axis=0),
    dequantize("f16", SIGNED, const("f16[]", values=0.11), const("i8[]", values=2)),
    dequantize("block", SIGNED, BLOCKS, const("i8[2,3,2]", -9, 9), axis=2, block=2),
    dequantize("block_not_whole", data("i8[5,2]", -9, 9), const("f32[2,2]", 0.1, 0.2), axis=0, block=3),
    Case(
        "DynamicQuantize/both_signs",
        DynamicQuantize(),
        (data("f32[7]", values=[-1.1, -0.31, 0, 0.1, 0.7, 1.2, 2.2]),),
    ),
    Case("DynamicQuantize/positive", DynamicQuantize(), (data("f32[2,2]", values=[1, 2, 3.1, 4.2]),)),
    Case("DynamicQuantize/negative", DynamicQuantize(), (data("f32[2,2]", values=[-1, -2, -3.1, -4.2]),)),
    Case(
        "DynamicQuantize/rows",
        DynamicQuantize(axis=0, dtype=dtypes.I8, rounding="half_away_stored"),
        (data("f32[3,5]", values=[-1.1, -0.3, 0, 0.1, 0.7, 0, 0, 0, 0, 0, 1, 2.1, 3.3, 1.7, 0.2]),),
    ),
    Case(
        "DynamicQuantize/symmetric",
        DynamicQuantize(axis=1, dtype=dtypes.I8, symmetric=True, rounding="half_away"),
        (data("f32[2,3,2]", -2, 1),),
    ),
    Case("DynamicQuantize/zeros", DynamicQuantize(), (data("f32[2,2]", values=[0, 0, 0, 0]),)),
    Case("MatMulInteger/u8_i8", MatMulInteger(), (data("u8[3,4]", 0, 256), const("i8[4,2]", -128, 127))),
    Case(
        "MatMulInteger/zero_points",
        MatMulInteger(),
        (
            data("u8[2,3,4]", 0, 256),
            data("u8[4,5]", 0, 256),
            const("u8[]", values=9),
            const("u8[]", values=200),
        ),
    ),
    Case(
        "MatMulInteger/columns",
        MatMulInteger(),
        (
            data("i8[3,4]", -9, 9),
            const("i8[4,2]", -9, 9),
            const("i8[]", values=3),
            const("i8[2]", values=[1, -7]),
        ),
    ),
    Case(
        "MatMulInteger/rows",
        MatMulInteger(),
        (data("u8[3,4]", 0, 9), const("u8[4,2]", 0, 9), const("u8[3]", values=[1, 2, 3])),
    ),
    integer_conv("plain", data("u8[1,2,5,5]", 0, 256), const("u8[3,2,3,3]", 0, 255)),
    integer_conv(
        "zero_points_padded",
        data("u8[2,2,5,4]", 0, 256),
        const("u8[3,2,3,3]", 0, 255),
        const("u8[]", values=17),
        const("u8[]", values=100),
        padding=Explicit(((1, 2), (0, 1))),
    ),
    integer_conv(
        "groups_strides_same",
        data("u8[1,4,6,6]", 0, 256),
        const("u8[4,2,3,3]", 0, 255),
        const("u8[]", values=128),
        strides=(2, 2),
        padding=Same(),
        groups=2,
    ),
]
