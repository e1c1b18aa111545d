"""PyTorch rules for arithmetic, comparison and functions of single elements."""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import bound
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")

_UNARY: dict[type[Op], str] = {
    ops.Abs: "torch.abs",
    ops.Acos: "torch.acos",
    ops.Acosh: "torch.acosh",
    ops.Asin: "torch.asin",
    ops.Asinh: "torch.asinh",
    ops.Atan: "torch.atan",
    ops.Atanh: "torch.atanh",
    ops.BitwiseNot: "torch.bitwise_not",
    ops.Ceil: "torch.ceil",
    ops.Cos: "torch.cos",
    ops.Cosh: "torch.cosh",
    ops.Erf: "torch.erf",
    ops.Exp: "torch.exp",
    ops.Expm1: "torch.expm1",
    ops.Floor: "torch.floor",
    ops.IsNan: "torch.isnan",
    ops.Log: "torch.log",
    ops.Log1p: "torch.log1p",
    ops.Not: "torch.logical_not",
    ops.Reciprocal: "torch.reciprocal",
    ops.Round: "torch.round",
    ops.Rsqrt: "torch.rsqrt",
    ops.Sigmoid: "torch.sigmoid",
    ops.Sign: "torch.sign",
    ops.Sin: "torch.sin",
    ops.Sinh: "torch.sinh",
    ops.Sqrt: "torch.sqrt",
    ops.Square: "torch.square",
    ops.Tan: "torch.tan",
    ops.Tanh: "torch.tanh",
    ops.Trunc: "torch.trunc",
}
_OPERATORS: dict[type[Op], str] = {
    ops.Add: "+",
    ops.Sub: "-",
    ops.Mul: "*",
    ops.Equal: "==",
    ops.NotEqual: "!=",
    ops.Greater: ">",
    ops.Less: "<",
    ops.GreaterEqual: ">=",
    ops.LessEqual: "<=",
    ops.BitwiseAnd: "&",
    ops.BitwiseOr: "|",
    ops.BitwiseXor: "^",
    ops.And: "&",
    ops.Or: "|",
    ops.Xor: "^",
}
_FUNCTIONS: dict[type[Op], str] = {
    ops.Min: "torch.minimum",
    ops.Max: "torch.maximum",
    ops.Atan2: "torch.atan2",
    ops.Fmod: "torch.fmod",
}


@rule(*_UNARY)
def unary(node: Node[Op], out: Writer) -> str:
    return f"{_UNARY[type(node.op)]}({out.read(node.operand(0))})"


@rule(ops.Identity)
def identity(node: Node[ops.Identity], out: Writer) -> str:
    return out.read(node.operand(0))


@rule(ops.Neg)
def neg(node: Node[ops.Neg], out: Writer) -> str:
    return f"-{out.operand(node.operand(0))}"


@rule(ops.IsInf)
def is_inf(node: Node[ops.IsInf], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    if op.detect_negative and op.detect_positive:
        return f"torch.isinf({out.read(x)})"
    out.require(op.detect_negative or op.detect_positive, "neither infinity is looked for")
    return f"torch.{'isneginf' if op.detect_negative else 'isposinf'}({out.read(x)})"


@rule(ops.Cast)
def cast(node: Node[ops.Cast], out: Writer) -> str:
    return f"{out.operand(node.operand(0))}.to({out.dtype(node.op.to)})"


@rule(ops.BitCast)
def bit_cast(node: Node[ops.BitCast], out: Writer) -> str:
    dtype = node.output.type.dtype
    out.require(node.operand(0).type.dtype.itemsize == dtype.itemsize, "the types are of different width")
    return f"{out.operand(node.operand(0))}.view({out.dtype(dtype)})"


@rule(*_OPERATORS)
def binary(node: Node[Op], out: Writer) -> str:
    a, b = both(node, out)
    return f"{bound(a)} {_OPERATORS[type(node.op)]} {bound(b)}"


def both(node: Node[Any], out: Writer, *, numbers: bool = True) -> tuple[str, str]:
    """Both operands; a constant of one element as a number, where ``numbers`` may stand."""
    a, b = node.operand(0), node.operand(1)
    if a is b and a.constant is None:
        return out.name(a), out.name(a)
    right = out.scalar(b, a.type) if numbers and a.constant is None else None
    left = out.scalar(a, b.type) if numbers and right is None and b.constant is None else None
    # What may be waiting has to be read before anything that writes a statement.
    first = left or _tensor(a, out)
    return first, right or _tensor(b, out)


def _tensor(value: Value, out: Writer) -> str:
    return out.tensor(value) if value.constant is not None else out.read(value)


@rule(*_FUNCTIONS)
def function(node: Node[Op], out: Writer) -> str:
    a, b = both(node, out, numbers=False)
    return f"{_FUNCTIONS[type(node.op)]}({a}, {b})"


@rule(ops.Div)
def div(node: Node[ops.Div], out: Writer) -> str:
    a, b = both(node, out)
    if dtypes.is_integer(node.output.type.dtype):
        return f'torch.div({a}, {b}, rounding_mode="trunc")'
    return f"{bound(a)} / {bound(b)}"


@rule(ops.FloorDiv)
def floor_div(node: Node[ops.FloorDiv], out: Writer) -> str:
    a, b = both(node, out)
    if dtypes.is_integer(node.output.type.dtype):
        return f'torch.div({a}, {b}, rounding_mode="floor")'
    return f"torch.floor({bound(a)} / {bound(b)})"


@rule(ops.Mod)
def mod(node: Node[ops.Mod], out: Writer) -> str:
    out.require(dtypes.is_integer(node.output.type.dtype), "the remainder of floats is rounded otherwise")
    a, b = both(node, out)
    return f"{bound(a)} % {bound(b)}"


@rule(ops.Pow)
def power(node: Node[ops.Pow], out: Writer) -> str:
    if dtypes.is_integer(dtype := node.output.type.dtype):
        a, b = both(node, out, numbers=False)
        return f"torch.trunc({bound(a)}.double() ** {bound(b)}.double()).to({out.dtype(dtype)})"
    a, b = both(node, out)
    return f"{bound(a)} ** {bound(b)}"


@rule(ops.SquaredDifference)
def squared_difference(node: Node[ops.SquaredDifference], out: Writer) -> str:
    a, b = both(node, out)
    return f"torch.square({bound(a)} - {bound(b)})"


@rule(ops.BitShift)
def bit_shift(node: Node[ops.BitShift], out: Writer) -> str:
    a, b = both(node, out, numbers=False)
    return f"{bound(a)} {'<<' if node.op.left else '>>'} {bound(b)}"


@rule(ops.Where)
def where(node: Node[ops.Where], out: Writer) -> str:
    condition, a, b = (node.operand(i) for i in range(3))
    numbers = [None if v.constant is None or v.type.rank else out.scalar(v) for v in (a, b)]
    same = node.output.type.dtype in (dtypes.F32, dtypes.I64, dtypes.BOOL)
    if not same or all(numbers):
        numbers = [None, None]
    parts = [_named(condition, out), *(n or _named(v, out) for n, v in zip(numbers, (a, b), strict=True))]
    return f"torch.where({', '.join(parts)})"


def _named(value: Value, out: Writer) -> str:
    """A value that may stand here more than once."""
    return out.tensor(value) if value.constant is not None else out.name(value)
