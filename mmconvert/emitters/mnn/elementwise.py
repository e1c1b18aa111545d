"""MNN rules for elementwise arithmetic, comparison and logic."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.mnn.schema import data_type
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    And,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    BitShift,
    BitwiseAnd,
    BitwiseNot,
    BitwiseOr,
    BitwiseXor,
    Cast,
    Ceil,
    Cos,
    Cosh,
    Div,
    Equal,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDiv,
    Fmod,
    Greater,
    GreaterEqual,
    Identity,
    Less,
    LessEqual,
    Log,
    Log1p,
    Max,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pow,
    Reciprocal,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    SquaredDifference,
    Sub,
    Tan,
    Tanh,
    Where,
    Xor,
)
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_UNARY: dict[type[Op], str] = {
    Acos: "ACOS",
    Acosh: "ACOSH",
    Asin: "ASIN",
    Asinh: "ASINH",
    Atan: "ATAN",
    Atanh: "ATANH",
    Ceil: "CEIL",
    Cos: "COS",
    Cosh: "COSH",
    Erf: "ERF",
    Exp: "EXP",
    Expm1: "EXPM1",
    Floor: "FLOOR",
    Log: "LOG",
    Log1p: "LOG1P",
    Reciprocal: "RECIPROCAL",
    Rsqrt: "RSQRT",
    Sin: "SIN",
    Sinh: "SINH",
    Sqrt: "SQRT",
    Tan: "TAN",
    Tanh: "TANH",
}
_UNARY_OF_INTEGERS: dict[type[Op], str] = {Abs: "ABS", Neg: "NEG", Sign: "SIGN", Square: "SQUARE"}

_BINARY: dict[type[Op], str] = {
    Add: "ADD",
    Atan2: "ATAN2",
    BitwiseAnd: "BITWISE_AND",
    BitwiseOr: "BITWISE_OR",
    BitwiseXor: "BITWISE_XOR",
    Div: "REALDIV",
    FloorDiv: "FLOORDIV",
    Max: "MAXIMUM",
    Min: "MINIMUM",
    Mul: "MUL",
    Pow: "POW",
    SquaredDifference: "SQUARED_DIFFERENCE",
    Sub: "SUB",
}
_COMPARISONS: dict[type[Op], str] = {
    Equal: "EQUAL",
    Greater: "GREATER",
    GreaterEqual: "GREATER_EQUAL",
    LessEqual: "LESS_EQUAL",
    NotEqual: "NOT_EQUAL",
}
_OVERFLOWING = (Add, Sub, Mul, Square, SquaredDifference, Pow, Neg, Abs, BitwiseNot)


@rule(*_UNARY)
def unary(node: Node[Op], out: Writer) -> None:
    x = node.operand(0)
    if not dtypes.is_float(x.type.dtype):
        raise UnsupportedError(f"MNN's {_UNARY[type(node.op)]} takes floats")
    out.unary(_UNARY[type(node.op)], x, node.output)


@rule(*_UNARY_OF_INTEGERS)
def unary_of_integers(node: Node[Op], out: Writer) -> None:
    _refuse_overflow(node)
    out.unary(_UNARY_OF_INTEGERS[type(node.op)], node.operand(0), node.output)


@rule(*_BINARY)
def binary(node: Node[Op], out: Writer) -> None:
    _refuse_overflow(node)
    tail = out.tail(node)
    out.binary(_BINARY[type(node.op)], node.operand(0), node.operand(1), tail.output, relu=tail.relu)


@rule(Mod, Fmod)
def mod(node: Node[Mod | Fmod], out: Writer) -> None:
    """Of integers the two remainders go by each other's names."""
    swapped = not dtypes.is_float(node.output.type.dtype)
    name = "FLOORMOD" if isinstance(node.op, Mod) is not swapped else "MOD"
    out.binary(name, node.operand(0), node.operand(1), node.output)


@rule(BitShift)
def shift(node: Node[BitShift], out: Writer) -> None:
    dtype = node.output.type.dtype
    if dtype not in (dtypes.I32, dtypes.I64) and (node.op.left or dtype.itemsize >= 4):
        raise UnsupportedError(f"MNN shifts i32, not {dtypes.name(dtype)}")
    name = "LEFT_SHIFT" if node.op.left else "RIGHT_SHIFT"
    out.binary(name, node.operand(0), node.operand(1), node.output)


_HALVES = 1.5 * 2**23
"""Where floats are one apart: adding and taking it away again rounds, halves to even."""


@rule(Round)
def round_(node: Node[Round], out: Writer) -> None:
    """MNN's own takes halves away from zero."""
    x, type = node.operand(0), node.operand(0).type
    far = out.constant(_HALVES, type.dtype)
    near = out.binary("SUB", out.binary("ADD", x, far, Value(type)), far, Value(type))
    size = out.unary("ABS", x)
    has_fraction = Value(type.with_dtype(dtypes.BOOL))
    out.binary("GREATER", out.constant(2.0**22, type.dtype), size, has_fraction)
    out("Select", (has_fraction, near, x), node.output)


@rule(*_COMPARISONS)
def compare(node: Node[Op], out: Writer) -> None:
    out.binary(_COMPARISONS[type(node.op)], node.operand(0), node.operand(1), node.output)


@rule(Less)
def less(node: Node[Less], out: Writer) -> None:
    """As GREATER the other way round: LESS of MNN 3.6.1 gives wrong elements."""
    out.binary("GREATER", node.operand(1), node.operand(0), node.output)


@rule(And)
def and_(node: Node[And], out: Writer) -> None:
    out.binary("BITWISE_AND", node.operand(0), node.operand(1), node.output)


@rule(Or)
def or_(node: Node[Or], out: Writer) -> None:
    out.binary("BITWISE_OR", node.operand(0), node.operand(1), node.output)


@rule(Xor)
def xor(node: Node[Xor], out: Writer) -> None:
    out.binary("BITWISE_XOR", node.operand(0), node.operand(1), node.output)


@rule(Not)
def not_(node: Node[Not], out: Writer) -> None:
    out.binary("EQUAL", node.operand(0), out.constant(0, dtypes.I32), node.output)


@rule(BitwiseNot)
def bitwise_not(node: Node[BitwiseNot], out: Writer) -> None:
    _refuse_unsigned(node)
    out.binary("BITWISE_XOR", node.operand(0), out.constant(-1, dtypes.I32), node.output)


@rule(Where)
def where(node: Node[Where], out: Writer) -> None:
    """The kernel broadcasts scalars only."""
    operands = [_expanded(v, node.output, out) for v in node.inputs if v is not None]
    out("Select", operands, node.output)


def _expanded(value: Value, like: Value, out: Writer) -> Value:
    if value.type.shape == like.type.shape:
        return value
    shape = out.extents.vector(like.type.shape)
    return out.make("BroadcastTo", (value, shape), value.type.with_shape(like.type.shape))


@rule(Identity)
def identity(node: Node[Identity], out: Writer) -> None:
    out.copy(node.operand(0), node.output)


@rule(Cast)
def cast(node: Node[Cast], out: Writer) -> None:
    """Between what stands for the element types; numbers that do not fit wrap around."""
    x, y = node.operand(0), node.output
    source, target = x.type.dtype, y.type.dtype
    if target == dtypes.BOOL and source != dtypes.BOOL:
        out.binary("NOT_EQUAL", x, out.constant(0, x.type.dtype), y)
        return
    wraps = _bits(target) < 32 and _bits(source) > _bits(target)
    narrow = Value(y.type, f"{out.scope}/whole") if wraps else y
    if data_type(source) == data_type(target):
        if not wraps:
            out.copy(x, y)
            return
        narrow = x
    else:
        out("Cast", (x,), narrow, srcT=data_type(source), dstT=data_type(target))
    if wraps:
        _wrap(narrow, y, target, out)


def _bits(dtype: DType) -> int:
    return dtype.itemsize * 8 if dtypes.is_integer(dtype) else 1 if dtype == dtypes.BOOL else 64


def _wrap(x: Value, y: Value, dtype: DType, out: Writer) -> None:
    """The lowest bits of ``x``, with the sign that ``dtype`` gives them."""
    limits = np.iinfo(dtype)
    mask, half = out.constant((1 << limits.bits) - 1, dtypes.I32), out.constant(-int(limits.min), dtypes.I32)
    if limits.min == 0:
        out.binary("BITWISE_AND", x, mask, y)
        return
    moved = out.binary("ADD", x, half, Value(y.type))
    low = out.binary("BITWISE_AND", moved, mask, Value(y.type))
    out.binary("SUB", low, half, y)


def _refuse_overflow(node: Node[Op]) -> None:
    """Narrow integers wrap around, and the i32 that stand for them do not."""
    dtype = node.output.type.dtype
    if isinstance(node.op, _OVERFLOWING) and dtypes.is_integer(dtype) and dtype.itemsize < 4:
        raise UnsupportedError(
            f"MNN computes in i32, which does not wrap around as {dtypes.name(dtype)} does"
        )


def _refuse_unsigned(node: Node[Op]) -> None:
    if node.output.type.dtype in (dtypes.U8, dtypes.U16):
        raise UnsupportedError("MNN has no complement of unsigned integers")
