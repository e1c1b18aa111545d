"""NCNN rules for what is done element by element."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.ncnn.blob import Blob
from mmconvert.emitters.ncnn.writer import Writer, require_carried
from mmconvert.errors import UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape
from mmconvert.ncnnlib.notes import blob_shape
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("NCNN")

ABS, NEG, FLOOR, SQUARE, SQRT, EXP, ROUND, TRUNC, SIGN, LOG1P = 0, 1, 2, 4, 5, 7, 18, 19, 20, 27
_UNARY: dict[type[Op], int] = {
    ops.Abs: ABS,
    ops.Neg: NEG,
    ops.Floor: FLOOR,
    ops.Ceil: 3,
    ops.Square: SQUARE,
    ops.Sqrt: SQRT,
    ops.Rsqrt: 6,
    ops.Exp: EXP,
    ops.Log: 8,
    ops.Sin: 9,
    ops.Cos: 10,
    ops.Tan: 11,
    ops.Asin: 12,
    ops.Acos: 13,
    ops.Atan: 14,
    ops.Reciprocal: 15,
    ops.Tanh: 16,
    ops.Round: ROUND,
    ops.Trunc: TRUNC,
    ops.Sign: SIGN,
    ops.Expm1: 21,
    ops.Sinh: 22,
    ops.Asinh: 23,
    ops.Cosh: 24,
    ops.Acosh: 25,
    ops.Atanh: 26,
    ops.Log1p: LOG1P,
}

ADD, SUB, MUL, DIV, MAX, MIN, POW = range(7)
_BINARY: dict[type[Op], int] = {
    ops.Add: ADD,
    ops.Sub: SUB,
    ops.Mul: MUL,
    ops.Div: DIV,
    ops.Max: MAX,
    ops.Min: MIN,
    ops.Atan2: 10,
    ops.Fmod: 12,
    ops.FloorDiv: 15,
}
_TURNED = {ADD: ADD, SUB: 7, MUL: MUL, DIV: 8, MAX: MAX, MIN: MIN, POW: 9, 10: 11, 12: 13, 15: 16}
"""The same operations with the operands the other way round."""

_OF_INTEGERS = (ops.Add, ops.Sub, ops.Mul, ops.Max, ops.Min, ops.Abs, ops.Neg, ops.Sign)
"""What is exact over integers as long as float32 holds them."""


def _require_float(node: Node[Op]) -> None:
    dtype = node.output.type.dtype
    if not dtypes.is_float(dtype) and not isinstance(node.op, _OF_INTEGERS):
        raise UnsupportedError(f"NCNN has no {node.op.name} of {dtypes.name(dtype)}")
    if not dtypes.is_float(dtype) and dtype.itemsize < 4:
        raise UnsupportedError(f"NCNN does not wrap around as {dtypes.name(dtype)} does")


@rule(*_UNARY)
def unary(node: Node[Op], out: Writer) -> None:
    _require_float(node)
    x = out.raw(node.operand(0))
    out.place(node.output, out.unary(_UNARY[type(node.op)], x))


@rule(*_BINARY)
def binary(node: Node[Op], out: Writer) -> None:
    _require_float(node)
    number = _BINARY[type(node.op)]
    if len(node.inputs) != 2:
        raise UnsupportedError(f"NCNN takes two operands at a time, not {len(node.inputs)}")
    out.place(node.output, _binary(node, number, out))


def _binary(node: Node[Op], number: int, out: Writer) -> Blob:
    a, b = node.operand(0), node.operand(1)
    for value, other, op in ((b, a, number), (a, b, _TURNED[number])):
        if (scalar := number_in(value)) is not None and _spans(other, node.output):
            return out.scalar(op, out.blob(other), scalar)
    (left, right), shape = out.operands(node, vectors=True)
    return out.binary(number, left, right, shape)


def number_in(value: Value) -> float | None:
    """The only element of a constant, None where it is no constant or has several."""
    if value.constant is None or value.constant.size != 1:
        return None
    return float(value.constant.numpy().reshape(()))


def _spans(value: Value, result: Value) -> bool:
    """Whether ``value`` has the shape of the result."""
    return value.constant is None and value.type.shape == result.type.shape


@rule(ops.Identity)
def identity(node: Node[ops.Identity], out: Writer) -> None:
    out.alias(node.output, node.operand(0))


@rule(ops.Cast)
def cast(node: Node[ops.Cast], out: Writer) -> None:
    x, from_, to = node.operand(0), node.operand(0).type.dtype, node.op.to
    require_carried(x.type)
    require_carried(node.output.type)
    if to == dtypes.BOOL and from_ != dtypes.BOOL:
        out.place(node.output, out.unary(ABS, out.unary(SIGN, out.blob(x))))
    elif not dtypes.is_float(to) and dtypes.is_float(from_):
        if to.itemsize < 4:
            raise UnsupportedError(f"NCNN does not wrap around as {dtypes.name(to)} does")
        out.place(node.output, out.unary(TRUNC, out.blob(x)))
    elif dtypes.is_integer(to) and dtypes.is_integer(from_) and to.itemsize < from_.itemsize < 4:
        raise UnsupportedError(f"NCNN does not wrap around as {dtypes.name(to)} does")
    else:
        out.alias(node.output, x)


@rule(ops.Mod)
def mod(node: Node[ops.Mod], out: Writer) -> None:
    """``a - floor(a / b) * b``."""
    _require_float(node)
    (a, b), shape = out.operands(node)
    whole = out.binary(15, a, b, shape)
    out.place(node.output, out.binary(SUB, a, out.binary(MUL, whole, b, shape), shape))


@rule(ops.Pow)
def power(node: Node[ops.Pow], out: Writer) -> None:
    """Of magnitudes, as NCNN's is wrong below 0: odd powers change the sign, broken ones are no numbers."""
    _require_float(node)
    exponent = number_in(node.operand(1))
    if exponent is None or not _spans(node.operand(0), node.output):
        out.place(node.output, _any_power(node, out))
        return
    x = out.blob(node.operand(0))
    if exponent == 2:
        out.place(node.output, out.unary(SQUARE, x))
    elif exponent == 0.5:
        out.place(node.output, out.unary(SQRT, x))
    else:
        made = out.scalar(POW, out.unary(ABS, x), exponent)
        if exponent % 2 == 1:
            made = out.binary(MUL, made, out.unary(SIGN, x), x.shape)
        elif exponent % 1:
            made = out.binary(ADD, made, out.unary(SQRT, out.scalar(MIN, x, 0.0)), x.shape)
        out.place(node.output, made)


def _any_power(node: Node[Op], out: Writer) -> Blob:
    (x, exponent), shape = out.operands(node)
    made = out.binary(POW, out.unary(ABS, x), exponent, shape)
    if (base := node.operand(0).constant) is not None and base.numpy().min() >= 0:
        return made
    half = out.scalar(MUL, exponent, 0.5)
    odd = out.scalar(MUL, out.binary(SUB, half, out.unary(FLOOR, half), half.shape), 2.0)
    below = above(out.unary(NEG, out.unary(SIGN, x)), out)
    flip = out.scalar(MUL, out.binary(MUL, below, odd, shape), -2.0)
    signed = out.binary(MUL, made, out.scalar(ADD, flip, 1.0), shape)
    fraction = out.binary(SUB, exponent, out.unary(FLOOR, exponent), exponent.shape)
    broken = out.unary(SQRT, out.unary(NEG, out.binary(MUL, below, fraction, shape)))
    return out.binary(ADD, signed, broken, shape)


@rule(ops.IsInf)
def is_inf(node: Node[ops.IsInf], out: Writer) -> None:
    x = out.blob(node.operand(0))
    if not (node.op.detect_negative and node.op.detect_positive):
        x = x if node.op.detect_positive else out.unary(NEG, x)
    else:
        x = out.unary(ABS, x)
    largest = float(np.finfo(np.float32).max)
    out.place(node.output, above(out.unary(SIGN, out.scalar(SUB, x, largest)), out))


# --- quantization: integers are numbers ----------------------------------------------------------------


@rule(ops.Quantize)
def quantize(node: Node[ops.Quantize], out: Writer) -> None:
    to = node.op.dtype
    if not dtypes.is_integer(to) or to.itemsize > 2 or node.operand(0).type.dtype != dtypes.F32:
        raise UnsupportedError(f"NCNN does not quantize to {dtypes.name(to)}")
    x, scale, zero, shape = _scaled(node, out)
    lowest, highest = (float(getattr(np.iinfo(to), end)) for end in ("min", "max"))
    whole = TRUNC if node.op.rounding == "toward_zero" else ROUND
    y = out.unary(whole, out.binary(DIV, x, scale, shape))
    y = y if zero is None else out.binary(ADD, y, zero, shape)
    out.place(node.output, out.layer("Clip", (y,), shape, min=lowest, max=highest))


@rule(ops.Dequantize)
def dequantize(node: Node[ops.Dequantize], out: Writer) -> None:
    x, scale, zero, shape = _scaled(node, out)
    y = x if zero is None else out.binary(SUB, x, zero, shape)
    out.place(node.output, out.binary(MUL, y, scale, shape))


def _scaled(
    node: Node[ops.Quantize] | Node[ops.Dequantize], out: Writer
) -> tuple[Blob, Blob, Blob | None, Shape]:
    """The value, and its scale and zero point as blobs that broadcast to it."""
    op, value = node.op, node.operand(0)
    if op.block:
        raise UnsupportedError("NCNN has no blocks of scales")
    shape = blob_shape(value.type.shape)
    parts: list[Blob | None] = []
    for other in (node.operand(1), node.optional(2)):
        if other is None:
            parts.append(None)
            continue
        if other.type.size == 1:
            parts.append(out.blob(other, (1,) * len(shape)))
            continue
        if value.type.rank > 5:
            raise UnsupportedError(f"NCNN has four axes, and this value has {value.type.rank}")
        place = op.axis % value.type.rank - (value.type.rank - len(shape))
        sizes = tuple(e if a == place else 1 for a, e in enumerate(shape))
        parts.append(out.blob(other, sizes))
    scale, zero = parts
    assert scale is not None
    return out.blob(value, shape), scale, zero, shape


# --- comparisons: 1.0 where they hold, 0.0 where not ---------------------------------------------------


def difference(node: Node[Op], out: Writer) -> Blob:
    """The sign of the difference of two operands, which is what comparisons are made of."""
    a, b = node.operand(0), node.operand(1)
    require_carried(a.type)
    for value, other, number in ((b, a, SUB), (a, b, _TURNED[SUB])):
        if (scalar := number_in(value)) is not None and _spans(other, node.output):
            return out.unary(SIGN, out.scalar(number, out.blob(other), scalar))
    (left, right), shape = out.operands(node)
    return out.unary(SIGN, out.binary(SUB, left, right, shape))


def above(x: Blob, out: Writer) -> Blob:
    """1 where a sign is above 0."""
    return out.layer("ReLU", (x,), x.shape)


def inverted(x: Blob, out: Writer) -> Blob:
    """1 where there is 0, and 0 where there is 1."""
    return out.scalar(_TURNED[SUB], x, 1.0)


@rule(ops.Greater)
def greater(node: Node[ops.Greater], out: Writer) -> None:
    out.place(node.output, above(difference(node, out), out))


@rule(ops.Less)
def less(node: Node[ops.Less], out: Writer) -> None:
    out.place(node.output, above(out.unary(NEG, difference(node, out)), out))


@rule(ops.GreaterEqual)
def greater_equal(node: Node[ops.GreaterEqual], out: Writer) -> None:
    out.place(node.output, inverted(above(out.unary(NEG, difference(node, out)), out), out))


@rule(ops.LessEqual)
def less_equal(node: Node[ops.LessEqual], out: Writer) -> None:
    out.place(node.output, inverted(above(difference(node, out), out), out))


@rule(ops.NotEqual)
def not_equal(node: Node[ops.NotEqual], out: Writer) -> None:
    if node.operand(0) is node.operand(1):
        raise UnsupportedError("NCNN cannot tell NaN from numbers")
    out.place(node.output, out.unary(ABS, difference(node, out)))


@rule(ops.Equal)
def equal(node: Node[ops.Equal], out: Writer) -> None:
    out.place(node.output, inverted(out.unary(ABS, difference(node, out)), out))


@rule(ops.Not)
def negation(node: Node[ops.Not], out: Writer) -> None:
    out.place(node.output, inverted(out.blob(node.operand(0)), out))


@rule(ops.And)
def conjunction(node: Node[ops.And], out: Writer) -> None:
    (a, b), shape = out.operands(node)
    out.place(node.output, out.binary(MUL, a, b, shape))


@rule(ops.Or)
def disjunction(node: Node[ops.Or], out: Writer) -> None:
    (a, b), shape = out.operands(node)
    out.place(node.output, out.binary(MAX, a, b, shape))


@rule(ops.Xor)
def exclusion(node: Node[ops.Xor], out: Writer) -> None:
    (a, b), shape = out.operands(node)
    out.place(node.output, out.unary(ABS, out.binary(SUB, a, b, shape)))


@rule(ops.Where)
def where(node: Node[ops.Where], out: Writer) -> None:
    """``max(min(a, s), min(b, -s))`` with ``s`` infinite where the condition holds, else minus infinite."""
    (condition, a, b), shape = out.operands(node)
    side = _infinite(condition, out)
    other = out.unary(NEG, side)
    first = out.binary(MIN, a, side, _wide(a, side))
    second = out.binary(MIN, b, other, _wide(b, other))
    out.place(node.output, out.binary(MAX, first, second, shape))


def _infinite(condition: Blob, out: Writer) -> Blob:
    """Infinity for 1, minus infinity for 0: what float32 makes of a product beyond its range."""
    side = out.scalar(SUB, condition, 0.5)
    return out.scalar(MUL, out.scalar(MUL, side, 1e38), 1e38)


def _wide(a: Blob, b: Blob) -> Shape:
    """The shape of the combination of two blobs of equal rank."""
    return tuple(e if f == 1 else f for e, f in zip(a.shape, b.shape, strict=True))
