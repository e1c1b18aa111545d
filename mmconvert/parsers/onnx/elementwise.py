"""ONNX rules for arithmetic, comparison, logic and bits, element by element."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.onnx.source import Items, Source, Thing
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

UNARY: dict[str, type[Op]] = {
    name: getattr(ops, name)
    for name in (
        *("Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Erf", "Not"),
        *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        "BitwiseNot",
    )
} | {"IsNaN": ops.IsNan}

BINARY: dict[str, type[Op]] = {
    **{name: getattr(ops, name) for name in ("Add", "Sub", "Mul", "Div", "Equal", "Less", "Greater")},
    **{name: getattr(ops, name) for name in ("And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "LessOrEqual": ops.LessEqual,
    "GreaterOrEqual": ops.GreaterEqual,
}

_ROUNDING = {"up": 0x7FFFFF, "down": 0, "nearest": 0x400000}

CHAINS: dict[str, type[Op]] = {"Sum": ops.Add, "Mean": ops.Add, "Max": ops.Max, "Min": ops.Min}


@rule(*UNARY)
def unary(n: Source, b: Builder) -> Value:
    return b(UNARY[n.kind](), n.operand(0))


@rule("Identity")
def identity(n: Source, b: Builder) -> Thing:
    thing = n.thing(0)
    return thing if isinstance(thing, Items) else b(ops.Identity(), thing)


@rule(*BINARY, since=7)
def binary(n: Source, b: Builder) -> Value:
    return b(BINARY[n.kind](), n.operand(0), n.operand(1))


@rule(*CHAINS)
def chain(n: Source, b: Builder) -> Value:
    first, *others = n.operands()
    y = first if others or n.kind == "Mean" else b(ops.Identity(), first)
    for x in others:
        y = b(CHAINS[n.kind](), y, x)
    return b(ops.Div(), y, float(1 + len(others))) if n.kind == "Mean" else y


@rule("Pow", since=7)
def pow_(n: Source, b: Builder) -> Value:
    x, exponent = n.operand(0), n.operand(1)
    if x.type.dtype == exponent.type.dtype:
        return b(ops.Pow(), x, exponent)
    if dtypes.is_float(exponent.type.dtype) and dtypes.is_integer(x.type.dtype):
        # A fractional exponent must not be cut off: the power is taken in floating point.
        wide = dtypes.F64 if x.type.dtype.itemsize > 2 else exponent.type.dtype
        return cast(b, b(ops.Pow(), cast(b, x, wide), cast(b, exponent, wide)), x.type.dtype)
    return b(ops.Pow(), x, cast(b, exponent, x.type.dtype))


@rule("Mod")
def mod(n: Source, b: Builder) -> Value:
    op = ops.Fmod() if n.flag("fmod") else ops.Mod()
    return b(op, n.operand(0), n.operand(1))


@rule("BitShift")
def bit_shift(n: Source, b: Builder) -> Value:
    left = n.choice("direction", None, "LEFT", "RIGHT") == "LEFT"
    return b(ops.BitShift(left=left), n.operand(0), n.operand(1))


@rule("IsInf")
def is_inf(n: Source, b: Builder) -> Value:
    negative, positive = n.flag("detect_negative", True), n.flag("detect_positive", True)
    return b(ops.IsInf(detect_negative=negative, detect_positive=positive), n.operand(0))


@rule("Where")
def where(n: Source, b: Builder) -> Value:
    return b(ops.Where(), n.operand(0), n.operand(1), n.operand(2))


@rule("Cast", since=6)
def cast_(n: Source, b: Builder) -> Value:
    return convert(n, b, n.dtype("to"))


@rule("CastLike")
def cast_like(n: Source, b: Builder) -> Value:
    return convert(n, b, n.operand(1).type.dtype)


def convert(n: Source, b: Builder, to: DType) -> Value:
    """The operand as ``to``, as the attributes of Cast say."""
    saturate = n.flag("saturate", True)
    rounding = n.choice("round_mode", "up", *_ROUNDING)
    x = n.operand(0)
    if to == dtypes.BY_NAME["f8e8m0"] and x.type.dtype != to:
        return _power_of_two(b, cast(b, x, dtypes.F32), rounding, saturate)
    if saturate and _is_float8(to) and dtypes.is_float(x.type.dtype) and x.type.dtype != to:
        # What is out of range becomes the largest number; NumPy's own cast would give NaN or infinity.
        limit = float(ml_dtypes.finfo(to).max)  # type: ignore[no-untyped-call]
        x = b(ops.Clip(low=-limit, high=limit), x)
    return b(ops.Cast(to=to), x)


def _power_of_two(b: Builder, x: Value, rounding: str, saturate: bool) -> Value:
    """``x`` as the exponent of a power of two, which is all that float8e8m0 holds.

    Added to the bits of a float32, ``_ROUNDING`` carries into the exponent where it has to grow.
    """
    bits = b(ops.BitwiseAnd(), b(ops.BitCast(source="f32", to="u32"), x), np.array(0x7FFFFFFF, np.uint32))
    grown = b(ops.Add(), bits, np.array(_ROUNDING[rounding], np.uint32))
    code = b(ops.BitShift(left=False), grown, np.array(23, np.uint32))
    code = b(ops.Min(), code, np.array(254 if saturate else 255, np.uint32))
    code = b(ops.Where(), b(ops.IsNan(), x), np.array(255, np.uint32), code)
    return b(ops.BitCast(source="u8", to="f8e8m0"), b(ops.Cast(to=dtypes.U8), code))


def cast(b: Builder, x: Value, to: DType) -> Value:
    """``x`` as ``to``; itself when it is that already."""
    return x if x.type.dtype == to else b(ops.Cast(to=to), x)


def _is_float8(dtype: DType) -> bool:
    return dtypes.is_float(dtype) and dtype.itemsize == 1 and dtypes.name(dtype).startswith("f8")
