"""TFLite rules for elementwise arithmetic, comparison and logic."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Abs,
    Add,
    And,
    Atan,
    Atan2,
    BitShift,
    BitwiseAnd,
    BitwiseNot,
    BitwiseOr,
    BitwiseXor,
    Cast,
    Ceil,
    Cos,
    Div,
    Equal,
    Exp,
    Floor,
    FloorDiv,
    Greater,
    GreaterEqual,
    Identity,
    IsInf,
    Less,
    LessEqual,
    Log,
    Max,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pow,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Square,
    SquaredDifference,
    Sub,
    Where,
)
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_SAME: dict[type[Op], tfl.Builtin] = {
    Neg: tfl.NEG,
    Exp: tfl.EXP,
    Log: tfl.LOG,
    Sqrt: tfl.SQRT,
    Rsqrt: tfl.RSQRT,
    Floor: tfl.FLOOR,
    Ceil: tfl.CEIL,
    Round: tfl.ROUND,
    Sin: tfl.SIN,
    Cos: tfl.COS,
    Mod: tfl.FLOOR_MOD,
    FloorDiv: tfl.FLOOR_DIV,
    Min: tfl.MINIMUM,
    Max: tfl.MAXIMUM,
    SquaredDifference: tfl.SQUARED_DIFFERENCE,
    BitwiseXor: tfl.BITWISE_XOR,
    Equal: tfl.EQUAL,
    NotEqual: tfl.NOT_EQUAL,
    Less: tfl.LESS,
    LessEqual: tfl.LESS_EQUAL,
    Greater: tfl.GREATER,
    GreaterEqual: tfl.GREATER_EQUAL,
    And: tfl.LOGICAL_AND,
    Or: tfl.LOGICAL_OR,
    Not: tfl.LOGICAL_NOT,
    Where: tfl.SELECT_V2,
}
"""Operators that are one builtin over the same operands, without attributes."""


@rule(*_SAME)
def same(node: Node[Op], out: Writer) -> None:
    out(_SAME[type(node.op)], node.inputs, node.output)


_FUSING: dict[type[Op], tfl.Builtin] = {Add: tfl.ADD, Sub: tfl.SUB, Mul: tfl.MUL, Div: tfl.DIV}


@rule(*_FUSING)
def fusing(node: Node[Op], out: Writer) -> None:
    tail = out.tail(node)
    out(_FUSING[type(node.op)], node.inputs, tail.output, fused_activation_function=tail.activation)


@rule(Identity)
def identity(node: Node[Identity], out: Writer) -> None:
    out.copy(node.operand(0), node.output)


@rule(Cast)
def cast(node: Node[Cast], out: Writer) -> None:
    x, y = node.operand(0), node.output
    (out.copy if x.type.dtype == y.type.dtype else out.cast_into)(x, y)


@rule(Abs)
def absolute(node: Node[Abs], out: Writer) -> None:
    x = node.operand(0)
    if x.type.dtype == dtypes.I64:
        out(tfl.MAXIMUM, (x, out.make(tfl.NEG, (x,), x.type)), node.output)
    elif x.type.dtype.kind == "u":
        out.copy(x, node.output)
    else:
        out(tfl.ABS, (x,), node.output)


@rule(Sign)
def sign(node: Node[Sign], out: Writer) -> None:
    x = node.operand(0)
    if not dtypes.is_integer(x.type.dtype):
        out(tfl.SIGN, (x,), node.output)
        return
    high = out.make(tfl.MINIMUM, (x, out.constant(1, x.type.dtype)), x.type)
    lowest = 0 if x.type.dtype.kind == "u" else -1
    out(tfl.MAXIMUM, (high, out.constant(lowest, x.type.dtype)), node.output)


@rule(Square)
def square(node: Node[Square], out: Writer) -> None:
    x = node.operand(0)
    if dtypes.is_float(x.type.dtype):
        out(tfl.SQUARE, (x,), node.output)
    else:
        out(tfl.MUL, (x, x), node.output)


_ROOTS = {2.0: tfl.SQUARE, 0.5: tfl.SQRT, -0.5: tfl.RSQRT}


@rule(Pow)
def power(node: Node[Pow], out: Writer) -> None:
    x, exponent, y = node.operand(0), node.operand(1), node.output
    constant = exponent.constant
    if constant is not None and constant.size == 1 and y.type.shape == x.type.shape:
        number = float(constant.numpy().reshape(())[()])
        if number in _ROOTS and dtypes.is_float(x.type.dtype):
            out(_ROOTS[number], (x,), y)
            return
        if number in (2, 3):
            squared = x if number == 2 else out.make(tfl.MUL, (x, x), x.type)
            out(tfl.MUL, (squared, x), y)
            return
    if constant is not None and dtypes.is_integer(x.type.dtype) and (constant.numpy() < 0).any():
        raise UnsupportedError("TFLite has no negative powers of integers")
    out(tfl.POW, (x, exponent), y)


@rule(Atan)
def arc_tangent(node: Node[Atan], out: Writer) -> None:
    x = node.operand(0)
    out(tfl.ATAN2, (x, _grown(out.constant(1, x.type.dtype), x.type, out)), node.output)


@rule(Atan2)
def angle(node: Node[Atan2], out: Writer) -> None:
    out(tfl.ATAN2, [_grown(node.operand(i), node.output.type, out) for i in (0, 1)], node.output)


def _grown(x: Value, type: TensorType, out: Writer) -> Value:
    """``x`` broadcast to the shape of ``type``, for kernels that do not broadcast."""
    if x.type.shape == type.shape:
        return x
    shape = out.extents.vector(type.shape)
    return out.make(tfl.BROADCAST_TO, (x, shape), x.type.with_shape(type.shape))


@rule(IsInf)
def is_infinite(node: Node[IsInf], out: Writer) -> None:
    if node.op.detect_negative or node.op.detect_positive:
        raise UnsupportedError("TFLite has no test for infinity")
    x = node.operand(0)
    out(tfl.LESS, (x, x), node.output)


@rule(BitwiseNot)
def bitwise_not(node: Node[BitwiseNot], out: Writer) -> None:
    x = node.operand(0)
    ones = np.iinfo(x.type.dtype).max if x.type.dtype.kind == "u" else -1
    out(tfl.SUB, (out.constant(ones, x.type.dtype), x), node.output)


@rule(BitShift)
def shift(node: Node[BitShift], out: Writer) -> None:
    x, bits = node.operand(0), node.operand(1)
    if not node.op.left:
        out(tfl.RIGHT_SHIFT, (x, bits), node.output)
        return
    if bits.constant is not None:
        powers = bits.constant.map(lambda array: np.left_shift(np.ones_like(array), array))
        factor = out.tensor(powers)
    elif x.type.dtype.itemsize <= 4:
        narrow = out.cast(bits, dtypes.I32)
        factor = out.make(tfl.POW, (out.constant(2, dtypes.I32), narrow), narrow.type)
        factor = out.cast(factor, x.type.dtype)
    else:
        raise UnsupportedError(f"TFLite cannot shift {dtypes.name(x.type.dtype)}")
    out(tfl.MUL, (x, factor), node.output)


@rule(BitwiseAnd, BitwiseOr)
def bitwise(node: Node[BitwiseAnd | BitwiseOr], out: Writer) -> None:
    """From the exclusive or: ``a + b = (a ^ b) + 2 * (a & b)`` and ``a | b = (a ^ b) + (a & b)``."""
    a, b, y = node.operand(0), node.operand(1), node.output
    if y.type.dtype.itemsize > 4:
        raise UnsupportedError(f"TFLite has no bitwise operators on {dtypes.name(y.type.dtype)}")
    wide = y.type.with_dtype(dtypes.I32)
    a, b = out.cast(a, dtypes.I32), out.cast(b, dtypes.I32)
    both = _both(a, b, wide, out) if y.type.dtype.itemsize < 4 else _both_of_32(a, b, wide, out)
    if isinstance(node.op, BitwiseOr):
        both = out.make(tfl.ADD, (out.make(tfl.BITWISE_XOR, (a, b), wide), both), wide)
    if y.type.dtype == dtypes.I32:
        out.copy(both, y)
    else:
        out.cast_into(both, y)


def _both(a: Value, b: Value, wide: TensorType, out: Writer) -> Value:
    """``a & b`` of numbers whose sum does not overflow."""
    differ = out.make(tfl.BITWISE_XOR, (a, b), wide)
    twice = out.make(tfl.SUB, (out.make(tfl.ADD, (a, b), wide), differ), wide)
    return out.make(tfl.RIGHT_SHIFT, (twice, out.constant(1, dtypes.I32)), wide)


def _both_of_32(a: Value, b: Value, wide: TensorType, out: Writer) -> Value:
    """``a & b`` of all 32 bits: of the upper 31, whose sum does not overflow, and of the last one."""
    one, two = out.constant(1, dtypes.I32), out.constant(2, dtypes.I32)
    halves = [out.make(tfl.RIGHT_SHIFT, (v, one), v.type) for v in (a, b)]
    lasts = [
        out.make(tfl.SUB, (v, out.make(tfl.MUL, (half, two), v.type)), v.type)
        for v, half in zip((a, b), halves, strict=True)
    ]
    upper = out.make(tfl.MUL, (_both(halves[0], halves[1], wide, out), two), wide)
    return out.make(tfl.ADD, (upper, out.make(tfl.MUL, lasts, wide)), wide)
