"""Arithmetic, comparison and logic on single elements."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
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
    ops.Round,
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
_SAME_BINARY = (ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Pow, ops.Min, ops.Max)
_SAME_LOGIC = (
    ops.Equal,
    ops.Less,
    ops.LessEqual,
    ops.Greater,
    ops.GreaterEqual,
    ops.And,
    ops.Or,
    ops.Xor,
    ops.Not,
    ops.Where,
)


@rule(*_SAME_UNARY, *_SAME_BINARY, *_SAME_LOGIC)
def same(node: Node[Op], out: Writer) -> None:
    out(node.op.name, *node.inputs, into=node)


@rule(ops.BitwiseNot, ops.BitwiseAnd, ops.BitwiseOr, ops.BitwiseXor, since=18)
def bitwise(node: Node[Op], out: Writer) -> None:
    out(node.op.name, *node.inputs, into=node)


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


@rule(ops.NotEqual)
def not_equal(node: Node[ops.NotEqual], out: Writer) -> None:
    out("Not", out("Equal", *node.inputs), into=node)


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
    out("BitShift", *node.inputs, into=node, direction="LEFT" if node.op.left else "RIGHT")
