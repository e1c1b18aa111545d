"""TFLite rules for arithmetic, comparison, logic, and functions of one element."""

from __future__ import annotations

from functools import reduce

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.fused import fused
from mmconvert.parsers.tflite.quantization import Arithmetic, dequantized, guard_bits, quantized
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.tensors import Quantization
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

UNARY: dict[str, Op] = {
    "ABS": ops.Abs(),
    "NEG": ops.Neg(),
    "EXP": ops.Exp(),
    "LOG": ops.Log(),
    "SQRT": ops.Sqrt(),
    "RSQRT": ops.Rsqrt(),
    "SQUARE": ops.Square(),
    "FLOOR": ops.Floor(),
    "CEIL": ops.Ceil(),
    "ROUND": ops.Round(),
    "SIGN": ops.Sign(),
    "SIN": ops.Sin(),
    "COS": ops.Cos(),
    "LOGICAL_NOT": ops.Not(),
}
ARITHMETIC: dict[str, Op] = {"ADD": ops.Add(), "SUB": ops.Sub(), "MUL": ops.Mul(), "DIV": ops.Div()}
BINARY: dict[str, Op] = {
    "FLOOR_DIV": ops.FloorDiv(),
    "FLOOR_MOD": ops.Mod(),
    "POW": ops.Pow(),
    "ATAN2": ops.Atan2(),
    "BITWISE_XOR": ops.BitwiseXor(),
    "RIGHT_SHIFT": ops.BitShift(left=False),
    "LOGICAL_AND": ops.And(),
    "LOGICAL_OR": ops.Or(),
}
COMPARISONS: dict[str, Op] = {
    "EQUAL": ops.Equal(),
    "NOT_EQUAL": ops.NotEqual(),
    "LESS": ops.Less(),
    "LESS_EQUAL": ops.LessEqual(),
    "GREATER": ops.Greater(),
    "GREATER_EQUAL": ops.GreaterEqual(),
}
EXTREMA: dict[str, Op] = {"MAXIMUM": ops.Max(), "MINIMUM": ops.Min()}


@rule(*UNARY)
def unary(n: Source, b: Builder) -> Value:
    if n.kind == "SQRT":
        n.arithmetic = Arithmetic("toward_zero")
    return b(UNARY[n.kind], n.operand(0))


@rule(*ARITHMETIC)
def arithmetic(n: Source, b: Builder) -> Value:
    n.ignore("pot_scale_int16")  # how the kernel computes, not what
    if n.kind == "MUL":
        n.multiplies(0, 1)
    return activated(n, b, b(ARITHMETIC[n.kind], n.operand(0), n.operand(1)))


@rule(*BINARY)
def binary(n: Source, b: Builder) -> Value:
    return b(BINARY[n.kind], n.operand(0), n.operand(1))


@rule("SQUARED_DIFFERENCE")
@fused
def squared_difference(n: Source, b: Builder) -> Value:
    """Kernels over integers bring both operands to one scale first, with 7 bits behind the point."""
    operands, scales = [n.operand(0), n.operand(1)], [n.quantization(0), n.quantization(1)]
    given, result = [float(q.scale) for q in scales if q is not None], n.output_record().quantization
    if len(given) == 2 and result is not None and all(given) and result.scale.all():
        common = 2 * max(given)
        step = Quantization(np.array(common / (1 << 7), np.float32), np.array(0), 0)
        for i, scale in enumerate(given):
            how = Arithmetic("half_away", guard_bits(scale / common))
            operands[i] = dequantized(b, quantized(b, operands[i], step, dtypes.I32, how), step)
        n.arithmetic = Arithmetic(
            "half_away", guard_bits(common * common / ((1 << 14) * np.float64(result.scale)))
        )
    return b(ops.SquaredDifference(), *operands)


@rule(*COMPARISONS)
def comparison(n: Source, b: Builder) -> Value:
    return b(COMPARISONS[n.kind], n.operand(0), n.operand(1))


@rule(*EXTREMA)
def extremum(n: Source, b: Builder) -> Value:
    plain = n.alike(0, 1)
    return b(EXTREMA[n.kind], *((n.stored if plain else n.operand)(i) for i in (0, 1)))


@rule("ADD_N")
def add_n(n: Source, b: Builder) -> Value:
    first, *others = n.operands()
    return reduce(lambda y, x: b(ops.Add(), y, x), others, first)


@rule("CAST")
def cast(n: Source, b: Builder) -> Value:
    n.ignore("in_data_type", "out_data_type")  # the tensors say it, and runtimes believe them
    return convert(b, n.stored(0), n.output_record().dtype)


def convert(b: Builder, x: Value, to: np.dtype[np.generic]) -> Value:
    """``x`` as ``to``; itself when it is that already. A constant is converted when it is read."""
    if x.type.dtype == to:
        return x
    if x.constant is not None and dtypes.is_float(x.type.dtype) and dtypes.is_float(to):
        return b.constant(x.constant.cast(to), name=x.name)
    return b(ops.Cast(to=to), x)


@rule("BITCAST")
def bitcast(n: Source, b: Builder) -> Value:
    x, to = n.stored(0), n.output_record().dtype
    if x.type.dtype.itemsize != to.itemsize:
        raise n.unsupported(f"between {dtypes.name(x.type.dtype)} and {dtypes.name(to)}")
    return b(ops.BitCast(source=dtypes.name(x.type.dtype), to=dtypes.name(to)), x)


@rule("SELECT_V2")
def select_v2(n: Source, b: Builder) -> Value:
    plain = n.alike(1, 2)
    return b(ops.Where(), n.operand(0), *((n.stored if plain else n.operand)(i) for i in (1, 2)))


@rule("SELECT")
def select(n: Source, b: Builder) -> Value:
    """A condition of rank 1 chooses whole slices along the first axis."""
    condition, rank = n.operand(0), n.operand(1).type.rank
    plain = n.alike(1, 2)
    x, y = ((n.stored if plain else n.operand)(i) for i in (1, 2))
    if condition.type.rank == 1 and rank > 1 and condition.type.size != 1:
        condition = b(ops.Reshape(shape=(*condition.type.shape, *(1,) * (rank - 1))), condition)
    return b(ops.Where(), condition, x, y)
