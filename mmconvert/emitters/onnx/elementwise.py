"""Arithmetic, comparison and logic on single elements."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_SAME_UNARY = (
    ops.Abs,
    ops.Neg,
    ops.Exp,
    ops.Log,
    ops.Sqrt,
    ops.Reciprocal,
    ops.Floor,
    ops.Ceil,
    ops.Sign,
    ops.Sin,
    ops.Cos,
    ops.Tan,
    ops.Asin,
    ops.Acos,
    ops.Atan,
    ops.Sinh,
    ops.Cosh,
    ops.Asinh,
    ops.Acosh,
    ops.Atanh,
    ops.Erf,
    ops.Identity,
)
_SAME_BINARY = (ops.Add, ops.Sub, ops.Mul, ops.Div)
_SAME_LOGIC = (
    ops.Less,
    ops.Greater,
    ops.And,
    ops.Or,
    ops.Xor,
    ops.Not,
)


_FACTORS = 8
"""The highest power that is written as a product."""


@rule(*_SAME_UNARY, *_SAME_BINARY, *_SAME_LOGIC)
def same(node: Node[Op], out: Writer) -> None:
    out(node.op.name, *node.inputs, into=node)


@rule(ops.LessEqual)
def less_or_equal(node: Node[ops.LessEqual], out: Writer) -> None:
    out("LessOrEqual", *node.inputs, into=node)


@rule(ops.GreaterEqual)
def greater_or_equal(node: Node[ops.GreaterEqual], out: Writer) -> None:
    out("GreaterOrEqual", *node.inputs, into=node)


@rule(ops.Round)
def round_(node: Node[ops.Round], out: Writer) -> None:
    x, dtype = node.operand(0), node.output.type.dtype
    if out.opset >= 11:
        out("Round", x, into=node)
        return
    # Of the distance from zero: up from above a half, and from a half where that is the even number.
    one, half = out.constant(1, dtype, "one"), out.constant(0.5, dtype, "half")
    size = out("Abs", x)
    below = out("Floor", size)
    rest, pair = out("Sub", size, below), out("Mul", below, half)
    is_odd = out("Greater", pair, out("Floor", pair))
    beyond = out("Or", out("Greater", rest, half), out("And", is_odd, out("Not", out("Less", rest, half))))
    rounded = out("Where", beyond, out("Add", below, one), below)
    out("Mul", rounded, out("Sign", x), into=node)


@rule(ops.BitwiseNot, ops.BitwiseAnd, ops.BitwiseOr, ops.BitwiseXor, since=18)
def bitwise(node: Node[Op], out: Writer) -> None:
    out(node.op.name, *node.inputs, into=node)


@rule(ops.BitwiseNot)
def bitwise_not(node: Node[ops.BitwiseNot], out: Writer) -> None:
    # All bits set, less some of them: nothing is borrowed.
    dtype = node.output.type.dtype
    out("Sub", out.constant(np.invert(np.zeros((), dtype)), dtype, "all_bits"), node.operand(0), into=node)


@rule(ops.Where)
def where(node: Node[ops.Where], out: Writer) -> None:
    condition, a, b = node.inputs
    if node.output.type.dtype != dtypes.BOOL:
        out("Where", condition, a, b, into=node)
        return
    # Runtimes choose among numbers only.
    chosen, rest = out("And", condition, a), out("And", out("Not", condition), b)
    out("Or", chosen, rest, into=node)


@rule(ops.Cast)
def cast(node: Node[ops.Cast], out: Writer) -> None:
    out("Cast", *node.inputs, into=node, to=element_type(node.op.to))


@rule(ops.IsNan)
def is_nan(node: Node[ops.IsNan], out: Writer) -> None:
    out("IsNaN", *node.inputs, into=node)


@rule(ops.IsInf)
def is_inf(node: Node[ops.IsInf], out: Writer) -> None:
    op = node.op
    out(
        "IsInf",
        *node.inputs,
        into=node,
        detect_negative=op.detect_negative,
        detect_positive=op.detect_positive,
    )


@rule(ops.Equal)
def equal(node: Node[ops.Equal], out: Writer) -> None:
    a, b = node.operand(0), node.operand(1)
    if not _differs_by_order(a, out):
        out("Equal", a, b, into=node)
    else:
        out("Not", _different(out, a, b), into=node)


@rule(ops.NotEqual)
def not_equal(node: Node[ops.NotEqual], out: Writer) -> None:
    a, b = node.operand(0), node.operand(1)
    if not _differs_by_order(a, out):
        out("Not", out("Equal", a, b), into=node)
    else:
        _different(out, a, b, into=node)


def _differs_by_order(a: Value, out: Writer) -> bool:
    """True where neither ONNX nor a type that holds these numbers has equality: it came with opset 11."""
    return out.opset < 11 and (dtypes.is_float(a.type.dtype) or a.type.dtype == dtypes.U64)


def _different(out: Writer, a: Value, b: Value, into: Node[ops.NotEqual] | None = None) -> str:
    """Where one is above the other, or where there is no order since one is NaN."""
    below, above = out("Less", a, b), out("Greater", a, b)
    if not dtypes.is_float(a.type.dtype):
        return out("Or", below, above, into=into)
    return out("Or", out("Or", below, above), out("IsNaN", out("Add", a, b)), into=into)


@rule(ops.Max, ops.Min)
def extremum(node: Node[ops.Max] | Node[ops.Min], out: Writer) -> None:
    a, b = node.operand(0), node.operand(1)
    if out.opset >= 12 or a.type.dtype not in (dtypes.I64, dtypes.U64):
        out(node.op.name, a, b, into=node)
        return
    # No type that has it holds all of these numbers; and runtimes choose among signed ones only.
    is_first = out("Greater" if isinstance(node.op, ops.Max) else "Less", a, b)
    if a.type.dtype == dtypes.I64:
        out("Where", is_first, a, b, into=node)
        return
    signed = (out("Cast", v, to=element_type(dtypes.I64)) for v in (a, b))
    out("Cast", out("Where", is_first, *signed), into=node, to=element_type(a.type.dtype))


@rule(ops.Pow)
def power(node: Node[ops.Pow], out: Writer) -> None:
    a, exponent = node.operand(0), node.operand(1).constant
    if out.opset >= 12 or not dtypes.is_integer(a.type.dtype):
        out("Pow", *node.inputs, into=node)
        return
    count = int(exponent.numpy().item()) if exponent is not None and exponent.size == 1 else 0
    out.require(1 <= count <= _FACTORS, "ONNX has powers of integers since opset 12")
    product: Operand = a
    for left in range(count - 1, 0, -1):
        product = out("Mul", product, a, into=node if left == 1 else None)
    if count == 1:
        out("Identity", a, into=node)


@rule(ops.Mod)
def mod(node: Node[ops.Mod], out: Writer) -> None:
    a, b = node.inputs
    if dtypes.is_integer(node.output.type.dtype):
        out("Mod", a, b, into=node, fmod=0)
        return
    # Of floats ONNX has the remainder with the sign of the dividend only; where the signs differ, one divisor
    # is missing.
    rest = out("Mod", a, b, fmod=1)
    signs = out("Mul", out("Sign", rest), out("Sign", b))
    zero = out.constant(0, node.output.type.dtype, "zero")
    out("Where", out("Less", signs, zero), out("Add", rest, b), rest, into=node)


@rule(ops.Fmod)
def fmod(node: Node[ops.Fmod], out: Writer) -> None:
    out("Mod", *node.inputs, into=node, fmod=1)


@rule(ops.BitShift)
def bit_shift(node: Node[ops.BitShift], out: Writer) -> None:
    op, dtype = node.op, node.output.type.dtype
    if dtypes.name(dtype).startswith("u"):
        _shift(out, node.operand(0), node.operand(1), op, dtype, into=node)
        return
    # ONNX shifts unsigned numbers only. To the right, a negative one is shifted with its bits inverted, so
    # that ones come in from the left.
    a, b = node.operand(0), node.operand(1)
    wide = dtypes.U64 if dtype == dtypes.I64 else dtypes.U32
    ones, is_negative = out.constant(-1, dtype, "all_bits"), None
    source: Operand = a
    if not node.op.left:
        is_negative = out("Less", a, out.constant(0, dtype, "zero"))
        source = out("Where", is_negative, out("Sub", ones, a), a)
    left, right = (out("Cast", v, to=element_type(wide)) for v in (source, b))
    bits = _shift(out, left, right, op, wide)
    shifted = out("Cast", bits, into=node if is_negative is None else None, to=element_type(dtype))
    if is_negative is not None:
        out("Where", is_negative, out("Sub", ones, shifted), shifted, into=node)


def _shift(
    out: Writer,
    a: Operand,
    b: Operand,
    op: ops.BitShift,
    dtype: DType,
    into: Node[ops.BitShift] | None = None,
) -> str:
    """``a`` shifted by ``b``, both unsigned; before opset 11 by way of powers of two."""
    if out.opset >= 11:
        return out("BitShift", a, b, into=into, direction="LEFT" if op.left else "RIGHT")
    out.require(op.left or dtype != dtypes.U64, "ONNX shifts u64 to the right since opset 11")
    signed = element_type(dtypes.I64)
    powers = out.constant(np.left_shift(np.int64(1), np.arange(64)), dtypes.I64, "powers")
    power = out("Gather", powers, out("Cast", b, to=signed), axis=0)
    shifted = out("Mul" if op.left else "Div", out("Cast", a, to=signed), power)
    return out("Cast", shifted, into=into, to=element_type(dtype))
