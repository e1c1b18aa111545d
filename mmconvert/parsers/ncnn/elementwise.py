"""What is done element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape
from mmconvert.parsers.ncnn.source import Source, hard_swish
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")

_UNARY: list[Op | None] = [
    ops.Abs(),
    ops.Neg(),
    ops.Floor(),
    ops.Ceil(),
    ops.Square(),
    ops.Sqrt(),
    ops.Rsqrt(),
    ops.Exp(),
    ops.Log(),
    ops.Sin(),
    ops.Cos(),
    ops.Tan(),
    ops.Asin(),
    ops.Acos(),
    ops.Atan(),
    ops.Reciprocal(),
    ops.Tanh(),
    None,  # log10
    ops.Round(),
    ops.Trunc(),
    ops.Sign(),
    ops.Expm1(),
    ops.Sinh(),
    ops.Asinh(),
    ops.Cosh(),
    ops.Acosh(),
    ops.Atanh(),
    ops.Log1p(),
]
_BINARY: dict[int, tuple[Op, bool]] = {
    0: (ops.Add(), False),
    1: (ops.Sub(), False),
    2: (ops.Mul(), False),
    3: (ops.Div(), False),
    4: (ops.Max(), False),
    5: (ops.Min(), False),
    6: (ops.Pow(), False),
    7: (ops.Sub(), True),
    8: (ops.Div(), True),
    9: (ops.Pow(), True),
    10: (ops.Atan2(), False),
    11: (ops.Atan2(), True),
    12: (ops.Fmod(), False),
    13: (ops.Fmod(), True),
    15: (ops.FloorDiv(), False),
    16: (ops.FloorDiv(), True),
}
"""What BinaryOp's numbers mean, and whether the operands are the other way round."""

_LOG10 = 17


@rule("UnaryOp")
def unary(layer: Source) -> Value:
    number = layer.p.integer("op_type")
    if number == _LOG10:
        return layer.b(ops.Mul(), layer.b(ops.Log(), layer.x), 1 / math.log(10))
    op = _UNARY[number] if 0 <= number < len(_UNARY) else None
    if op is None:
        raise layer.unsupported(f"the operation {number} of UnaryOp is not known")
    return layer.b(op, layer.x)


@rule("BinaryOp")
def binary(layer: Source) -> Value:
    number = layer.p.integer("op_type")
    if number not in _BINARY:
        raise layer.unsupported(f"the operation {number} of BinaryOp cannot be represented")
    op, turned = _BINARY[number]
    if layer.p.flag("with_scalar"):
        layer.only(1)
        a, b = layer.x, layer.b.constant(layer.p.real("b"), dtypes.F32)
    else:
        layer.p.real("b")
        layer.only(2)
        a, b = alike(layer, layer.inputs)
    return layer.b(op, b, a) if turned else layer.b(op, a, b)


def alike(layer: Source, values: Sequence[Value]) -> list[Value]:
    """Operands with equal rank: NCNN aligns the axes of the smaller one with the first of the larger one.

    A vector goes along the first axis where its extent is that one's, else along the last.
    """
    rank = max(v.type.rank for v in values)
    large = next(v for v in values if v.type.rank == rank).type.shape
    return [v if v.type.rank == rank else layer.reshape(v, _aligned(v.type.shape, large)) for v in values]


def _aligned(shape: Shape, large: Shape) -> Shape:
    missing = (1,) * (len(large) - len(shape))
    if len(shape) == 2 and shape[1] != large[1]:
        return (1, *missing, shape[1])
    return (*shape, *missing)


@rule("Eltwise")
def eltwise(layer: Source) -> Value:
    number, factors = layer.p.integer("op_type"), layer.p.reals("coeffs")
    if number not in (0, 1, 2) or not layer.inputs:
        raise layer.invalid(f"there is no operation {number} of Eltwise")
    op = (ops.Mul(), ops.Add(), ops.Max())[number]
    values = list(layer.inputs)
    if factors and number == 1:
        if len(factors) != len(values):
            raise layer.invalid(f"{len(factors)} factors for {len(values)} operands")
        values = [v if f == 1 else layer.b(ops.Mul(), v, f) for v, f in zip(values, factors, strict=True)]
    total = values[0]
    for value in values[1:]:
        total = layer.b(op, total, value)
    return total


@rule("ReLU")
def relu(layer: Source) -> Value:
    slope = layer.p.real("slope")
    return layer.b(ops.LeakyRelu(alpha=slope) if slope else ops.Relu(), layer.x)


@rule("PReLU")
def prelu(layer: Source) -> Value:
    count = layer.p.count("num_slope", 1)
    channels = layer.x.type.shape[1]
    if count != 1 and isinstance(channels, int) and channels != count:
        raise layer.invalid(f"{count} slopes for {channels} channels")
    shape = (count, *(1,) * (layer.rank() - 1)) if layer.rank() else (count,)
    return layer.b(ops.PRelu(), layer.x, layer.constant("slope", shape))


_SIMPLE: dict[str, Op] = {
    "AbsVal": ops.Abs(),
    "Sigmoid": ops.Sigmoid(),
    "TanH": ops.Tanh(),
    "Swish": ops.Silu(),
    "Mish": ops.Mish(),
    "Softplus": ops.Softplus(),
    "BNLL": ops.Softplus(),
    "Erf": ops.Erf(),
}


@rule(*_SIMPLE)
def simple(layer: Source) -> Value:
    return layer.b(_SIMPLE[layer.kind], layer.x)


@rule("ELU", "CELU")
def elu(layer: Source) -> Value:
    op = ops.Elu if layer.kind == "ELU" else ops.Celu
    return layer.b(op(alpha=layer.p.real("alpha")), layer.x)


@rule("SELU")
def selu(layer: Source) -> Value:
    return layer.b(ops.Selu(alpha=layer.p.real("alpha"), gamma=layer.p.real("lambda")), layer.x)


@rule("GELU")
def gelu(layer: Source) -> Value:
    return layer.b(ops.Gelu(approximate=layer.p.flag("fast_gelu")), layer.x)


@rule("Clip")
def clip(layer: Source) -> Value:
    low = layer.p.real("min") if layer.p.has("min") else None
    high = layer.p.real("max") if layer.p.has("max") else None
    largest = float(np.finfo(np.float32).max)
    low = None if low is not None and low <= -largest else low
    high = None if high is not None and high >= largest else high
    return layer.b(ops.Clip(low=low, high=high), layer.x)


@rule("HardSigmoid")
def hard_sigmoid(layer: Source) -> Value:
    return layer.b(ops.HardSigmoid(alpha=layer.p.real("alpha"), beta=layer.p.real("beta")), layer.x)


@rule("HardSwish")
def hard_swish_(layer: Source) -> Value:
    op = hard_swish(layer.p.real("alpha"), layer.p.real("beta"))
    if isinstance(op, tuple):
        alpha, beta = op
        return layer.b(ops.Mul(), layer.x, layer.b(ops.HardSigmoid(alpha=alpha, beta=beta), layer.x))
    return layer.b(op, layer.x)


@rule("Shrink")
def shrink(layer: Source) -> Value:
    return layer.b(ops.Shrink(bias=layer.p.real("bias"), threshold=layer.p.real("lambd")), layer.x)


@rule("Threshold")
def threshold(layer: Source) -> Value:
    above = layer.b(ops.Greater(), layer.x, layer.p.real("threshold"))
    return layer.b(ops.Cast(to=dtypes.F32), above)


@rule("Power")
def power(layer: Source) -> Value:
    """``(shift + scale * x) ** power``."""
    return _maybe(layer, ops.Pow(), _affine(layer), layer.p.real("power"), 1)


def _affine(layer: Source) -> Value:
    scaled = _maybe(layer, ops.Mul(), layer.x, layer.p.real("scale"), 1)
    return _maybe(layer, ops.Add(), scaled, layer.p.real("shift"), 0)


def _maybe(layer: Source, op: Op, x: Value, value: float, neutral: float) -> Value:
    return x if value == neutral else layer.b(op, x, value)


@rule("Exp")
def exp(layer: Source) -> Value:
    base, y = layer.p.real("base"), _affine(layer)
    return layer.b(ops.Exp(), y if base == -1 else layer.b(ops.Mul(), y, math.log(base)))


@rule("Log")
def log(layer: Source) -> Value:
    base, y = layer.p.real("base"), layer.b(ops.Log(), _affine(layer))
    return y if base == -1 else layer.b(ops.Mul(), y, 1 / math.log(base))


@rule("Dropout")
def dropout(layer: Source) -> Value:
    return _maybe(layer, ops.Mul(), layer.x, layer.p.real("scale"), 1)


@rule("Scale")
def scale(layer: Source) -> Value:
    count = layer.p.integer("scale_data_size")
    shape = (abs(count), *(1,) * (layer.rank() - 1))
    if count == -233:
        factor = layer.reshape(
            layer.operand(1), (*layer.operand(1).type.shape[1:], *(1,) * (layer.rank() - 1))
        )
        shape = (1,)
    else:
        factor = layer.constant("scale", shape)
    y = layer.b(ops.Mul(), layer.x, factor)
    bias = layer.optional("bias", shape) if layer.p.flag("bias_term") else None
    return y if bias is None else layer.b(ops.Add(), y, bias)


@rule("Bias")
def bias(layer: Source) -> Value:
    shape = (layer.p.count("bias_data_size", 1), *(1,) * (layer.rank() - 1))
    return layer.b(ops.Add(), layer.x, layer.constant("bias", shape))


@rule("Cast")
def cast(layer: Source) -> Value:
    """Between float types, which are ways to store the same numbers."""
    kinds = {layer.p.integer("type_from"), layer.p.integer("type_to")}
    if not kinds <= {0, 1, 2, 4}:
        raise layer.unsupported("casts to integers")
    return layer.x
