"""MNN rules for elementwise functions. What is true or false is an i32 in MNN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.mnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")

_UNARY: dict[str, Callable[[], Op]] = {
    "ABS": ops.Abs, "NEG": ops.Neg, "FLOOR": ops.Floor, "CEIL": ops.Ceil, "SQUARE": ops.Square,
    "SQRT": ops.Sqrt, "RSQRT": ops.Rsqrt, "EXP": ops.Exp, "LOG": ops.Log, "SIN": ops.Sin, "COS": ops.Cos,
    "TAN": ops.Tan, "ASIN": ops.Asin, "ACOS": ops.Acos, "ATAN": ops.Atan, "RECIPROCAL": ops.Reciprocal,
    "LOG1P": ops.Log1p, "ACOSH": ops.Acosh, "SINH": ops.Sinh, "ASINH": ops.Asinh, "ATANH": ops.Atanh,
    "SIGN": ops.Sign, "COSH": ops.Cosh, "ERF": ops.Erf, "EXPM1": ops.Expm1, "SIGMOID": ops.Sigmoid,
    "TANH": ops.Tanh, "HARDSWISH": ops.HardSwish, "GELU": lambda: ops.Gelu(approximate=True),
    "GELU_STANDARD": ops.Gelu, "SILU": ops.Silu,
}  # fmt: skip
_BINARY: dict[str, Callable[[], Op]] = {
    "ADD": ops.Add, "SUB": ops.Sub, "MUL": ops.Mul, "DIV": ops.Div, "POW": ops.Pow, "REALDIV": ops.Div,
    "MINIMUM": ops.Min, "MAXIMUM": ops.Max, "GREATER": ops.Greater, "GREATER_EQUAL": ops.GreaterEqual,
    "LESS": ops.Less, "FLOORDIV": ops.FloorDiv, "SQUARED_DIFFERENCE": ops.SquaredDifference,
    "EQUAL": ops.Equal, "LESS_EQUAL": ops.LessEqual, "ATAN2": ops.Atan2, "NOT_EQUAL": ops.NotEqual,
    "BITWISE_AND": ops.BitwiseAnd, "BITWISE_OR": ops.BitwiseOr, "BITWISE_XOR": ops.BitwiseXor,
    "LEFT_SHIFT": lambda: ops.BitShift(left=True), "RIGHT_SHIFT": lambda: ops.BitShift(left=False),
}  # fmt: skip
_NAMES_OF_UNARY = {number: name for name, number in mnnlib.UNARY.items()}
_NAMES_OF_BINARY = {number: name for name, number in mnnlib.BINARY.items()}
_LOGICAL = {"LOGICAL_OR": ops.Or, "LOGICAL_XOR": ops.Xor}


def as_bool(b: Builder, x: Value) -> Value:
    """An i32 as the truth that it stands for."""
    return x if x.type.dtype == dtypes.BOOL else b(ops.Cast(to=dtypes.BOOL), x)


def stored(b: Builder, x: Value) -> Value:
    """A result as MNN has it: truths are i32."""
    return b(ops.Cast(to=dtypes.I32), x) if x.type.dtype == dtypes.BOOL else x


@rule("UnaryOp")
def unary(n: Source, b: Builder) -> Value:
    number, x = n.parameters.number("opType"), n.operand(0)
    name = _NAMES_OF_UNARY.get(number, str(number))
    if name == "ROUND":  # halves away from zero
        half = b(ops.Floor(), b(ops.Add(), b(ops.Abs(), x), 0.5))
        return b(ops.Mul(), b(ops.Sign(), x), half)
    if name not in _UNARY:
        raise n.unsupported(f"the function {name}")
    return b(_UNARY[name](), x)


@rule("BinaryOp")
def binary(n: Source, b: Builder) -> Value:
    number, x, y = n.parameters.number("opType"), n.operand(0), n.operand(1)
    name = _NAMES_OF_BINARY.get(number, str(number))
    if name in ("FLOORMOD", "MOD"):  # of integers they go by each other's names
        floors = (name == "FLOORMOD") is dtypes.is_float(x.type.dtype)
        result = b(ops.Mod() if floors else ops.Fmod(), x, y)
    elif name in _LOGICAL:
        result = b(_LOGICAL[name](), as_bool(b, x), as_bool(b, y))
    elif name in _BINARY:
        result = b(_BINARY[name](), x, y)
    else:
        raise n.unsupported(f"the function {name}")
    activation = n.parameters.number("activationType")
    if activation not in (0, 1):
        raise n.unsupported(f"an activation of the type {activation}")
    return b(ops.Relu(), result) if activation else stored(b, result)


@rule("Eltwise")
def eltwise(n: Source, b: Builder) -> Value:
    kinds = {0: ops.Mul, 1: ops.Add, 2: ops.Max, 3: ops.Sub}
    kind = kinds.get(n.parameters.number("type"))
    coefficients = n.parameters.vector("coeff")
    if kind is None or (coefficients.size and not np.all(coefficients == 1)):
        raise n.unsupported("a combination with coefficients")
    total, *rest = n.operands()
    for x in rest:
        total = b(kind(), total, x)
    return total


@rule("ReLU")
def relu(n: Source, b: Builder) -> Value:
    slope = n.main.real("slope") if n.main else 0.0
    return b(ops.LeakyRelu(alpha=slope) if slope else ops.Relu(), n.operand(0))


@rule("ReLU6")
def relu6(n: Source, b: Builder) -> Value:
    low, high = (n.main.real("minValue"), n.main.real("maxValue")) if n.main else (0.0, 6.0)
    return b(ops.Clip(low=low, high=high), n.operand(0))


@rule("ELU")
def elu(n: Source, b: Builder) -> Value:
    return b(ops.Elu(alpha=n.parameters.real("alpha")), n.operand(0))


@rule("Selu")
def selu(n: Source, b: Builder) -> Value:
    return b(ops.Selu(alpha=n.parameters.real("alpha"), gamma=n.parameters.real("scale")), n.operand(0))


@rule("Sigmoid")
def sigmoid(n: Source, b: Builder) -> Value:
    return b(ops.Sigmoid(), n.operand(0))


@rule("TanH")
def tanh(n: Source, b: Builder) -> Value:
    return b(ops.Tanh(), n.operand(0))


@rule("Select")
def select(n: Source, b: Builder) -> Value:
    return b(ops.Where(), as_bool(b, n.operand(0)), n.operand(1), n.operand(2))


_TARGETS: dict[int, DType] = {
    mnnlib.FLOAT: dtypes.F32,
    mnnlib.INT32: dtypes.I32,
    mnnlib.INT64: dtypes.I32,
    mnnlib.HALF: dtypes.F32,
}


@rule("Cast")
def cast(n: Source, b: Builder) -> Value:
    number, x = n.parameters.number("dstT"), n.operand(0)
    if number == mnnlib.BOOL:
        return stored(b, as_bool(b, x))
    if number not in _TARGETS:
        raise n.unsupported(f"to the type {number}")
    return b(ops.Cast(to=_TARGETS[number]), x)


@rule("Identity", "Dropout")
def identity(n: Source, b: Builder) -> Value:
    return b(ops.Identity(), n.operand(0))
