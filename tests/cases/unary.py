"""Functions of one tensor, element by element."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.op import Op
from tests.cases.case import Case, data

RANKS = ["f32[7]", "f32[3,4]", "f32[2,3,4]", "f32[1,3,4,5]", "f32[2,1,3,2,4]"]

DOMAINS: list[tuple[Op, float, float]] = [
    (ops.Abs(), -3, 3),
    (ops.Neg(), -3, 3),
    (ops.Exp(), -4, 4),
    (ops.Log(), 0.1, 3),
    (ops.Log1p(), -0.8, 3),
    (ops.Expm1(), -3, 3),
    (ops.Sqrt(), 0, 4),
    (ops.Rsqrt(), 0.2, 4),
    (ops.Reciprocal(), 0.2, 4),
    (ops.Square(), -3, 3),
    (ops.Floor(), -4, 4),
    (ops.Ceil(), -4, 4),
    (ops.Round(), -4, 4),
    (ops.Trunc(), -4, 4),
    (ops.Sign(), -3, 3),
    (ops.Sin(), -6, 6),
    (ops.Cos(), -6, 6),
    (ops.Tan(), -1.3, 1.3),
    (ops.Asin(), -0.95, 0.95),
    (ops.Acos(), -0.95, 0.95),
    (ops.Atan(), -5, 5),
    (ops.Sinh(), -3, 3),
    (ops.Cosh(), -3, 3),
    (ops.Asinh(), -4, 4),
    (ops.Acosh(), 1.1, 5),
    (ops.Atanh(), -0.9, 0.9),
    (ops.Tanh(), -4, 4),
    (ops.Erf(), -3, 3),
    (ops.Identity(), -3, 3),
]


def name_of(spec: str) -> str:
    """``"f32[2,3]"`` -> ``"f32_2x3"``, ``"f32[]"`` -> ``"f32_scalar"``."""
    dtype, _, rest = spec.partition("[")
    return f"{dtype}_{rest.rstrip(']').replace(',', 'x') or 'scalar'}"


def numbers(name: str, op: Op, spec: str, values: object) -> Case:
    """A case over given numbers."""
    return Case(f"{op.name}/{name}", op, (data(spec, values=values),))


FLOATS = [
    Case(f"{op.name}/{name_of(spec)}", op, (data(spec, low, high),))
    for index, (op, low, high) in enumerate(DOMAINS)
    for spec in (RANKS[index % 5], "f32[]")
]
HALVES = [
    Case(f"{op.name}/f16", op, (data("f16[3,5]", 0.5, 2),))
    for op in (ops.Abs(), ops.Exp(), ops.Log(), ops.Sqrt(), ops.Tanh(), ops.Erf(), ops.Floor(), ops.Rsqrt())
]
INTEGERS = [
    Case(f"{op.name}/{name_of(spec)}", op, (data(spec, -9, 9),))
    for op in (ops.Abs(), ops.Neg(), ops.Sign(), ops.Square(), ops.Identity())
    for spec in ("i32[3,4]", "i64[5]")
]
BITS = [
    Case("BitwiseNot/i32", ops.BitwiseNot(), (data("i32[3,4]", -99, 99),)),
    Case("BitwiseNot/u8", ops.BitwiseNot(), (data("u8[6]", 0, 255),)),
]
EDGES = [
    numbers("halves", ops.Round(), "f32[8]", [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 0.49999997]),
    numbers("zeros", ops.Sign(), "f32[4]", [-0.5, 0.0, 0.25, -0.0]),
    numbers("whole", ops.Floor(), "f32[4]", [-2.0, -0.0, 1.0, 3.0]),
    numbers("saturated", ops.Erf(), "f32[6]", [-40.0, -4.0, 1e-6, 1.0, 4.0, 40.0]),
    numbers("saturated", ops.Tanh(), "f32[6]", [-400.0, -20.0, 1e-6, 1.0, 20.0, 400.0]),
    numbers("f32", ops.IsNan(), "f32[2,3]", [np.nan, 1, np.inf, -np.inf, 0, np.nan]),
    *(
        numbers(name, ops.IsInf(**options), "f32[6]", [np.nan, 1, np.inf, -np.inf, 0, np.inf])
        for name, options in {
            "both": {},
            "positive": {"detect_negative": False},
            "negative": {"detect_positive": False},
        }.items()
    ),
    Case("Identity/bool", ops.Identity(), (data("bool[3,4]"),)),
    Case("Dropout/f32", ops.Dropout(rate=0.25), (data("f32[3,4]"),)),
    Case("Dropout/f16", ops.Dropout(rate=0.5), (data("f16[2,3,4]"),)),
]
CASTS = [
    numbers("f32_to_i32", ops.Cast(to=dtypes.I32), "f32[6]", [-2.7, -0.5, 0.0, 0.5, 1.5, 2.7]),
    numbers("f32_to_i64", ops.Cast(to=dtypes.I64), "f32[2,2]", [-2.7, -0.5, 0.5, 2.7]),
    numbers("f32_to_u8", ops.Cast(to=dtypes.U8), "f32[3]", [0.9, 1.5, 200.4]),
    numbers("f32_to_bool", ops.Cast(to=dtypes.BOOL), "f32[4]", [0.0, 0.25, -1.0, 3.0]),
    Case("Cast/f32_to_f16", ops.Cast(to=dtypes.F16), (data("f32[3,4]"),)),
    Case("Cast/f16_to_f32", ops.Cast(to=dtypes.F32), (data("f16[3,4]"),)),
    Case("Cast/f32_to_f32", ops.Cast(to=dtypes.F32), (data("f32[3,4]"),)),
    Case("Cast/i32_to_f32", ops.Cast(to=dtypes.F32), (data("i32[3,4]", -9, 9),)),
    Case("Cast/i64_to_i32", ops.Cast(to=dtypes.I32), (data("i64[3,4]", -9, 9),)),
    Case("Cast/i32_to_i64", ops.Cast(to=dtypes.I64), (data("i32[3,4]", -9, 9),)),
    Case("Cast/u8_to_f32", ops.Cast(to=dtypes.F32), (data("u8[3,4]", 0, 255),)),
    Case("Cast/bool_to_f32", ops.Cast(to=dtypes.F32), (data("bool[3,4]"),)),
    Case("Cast/bool_to_i32", ops.Cast(to=dtypes.I32), (data("bool[3,4]"),)),
    Case("Cast/i32_to_bool", ops.Cast(to=dtypes.BOOL), (data("i32[3,4]", -1, 2),)),
]
CASES = FLOATS + HALVES + INTEGERS + BITS + EDGES + CASTS
