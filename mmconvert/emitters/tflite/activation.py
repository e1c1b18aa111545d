"""TFLite rules for activations."""

from __future__ import annotations

import math

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Clip,
    Elu,
    Erf,
    Gelu,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    PRelu,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_PLAIN: dict[type[Op], tfl.Builtin] = {Sigmoid: tfl.LOGISTIC, Tanh: tfl.TANH, HardSwish: tfl.HARD_SWISH}


@rule(*_PLAIN)
def plain(node: Node[Op], out: Writer) -> None:
    out(_PLAIN[type(node.op)], (node.operand(0),), node.output)


@rule(Relu)
def relu(node: Node[Relu], out: Writer) -> None:
    _clip(node.operand(0), 0, None, node.output, out)


@rule(Clip)
def clip(node: Node[Clip], out: Writer) -> None:
    x = node.operand(0)
    _clip(x, *node.op.bounds(x.type.dtype), node.output, out)


_RANGES: dict[tuple[float | None, float | None], tfl.Builtin] = {
    (0, None): tfl.RELU,
    (0, 6): tfl.RELU6,
    (-1, 1): tfl.RELU_N1_TO_1,
    (0, 1): tfl.RELU_0_TO_1,
}


def _clip(x: Value, low: float | None, high: float | None, result: Value, out: Writer) -> None:
    named = _RANGES.get((low, high))
    if named is not None and dtypes.is_float(x.type.dtype):
        out(named, (x,), result)
        return
    steps = [
        (b, v) for b, v in ((tfl.MAXIMUM, low), (tfl.MINIMUM, high)) if v is not None and math.isfinite(v)
    ]
    for builtin, bound in steps[:-1]:
        x = out.make(builtin, (x, out.constant(bound, x.type.dtype)), x.type)
    if not steps:
        out.copy(x, result)
        return
    builtin, bound = steps[-1]
    out(builtin, (x, out.constant(bound, x.type.dtype)), result)


@rule(LeakyRelu)
def leaky_relu(node: Node[LeakyRelu], out: Writer) -> None:
    if node.op.alpha > 1:
        # The kernel takes the larger of x and alpha * x.
        raise UnsupportedError("TFLite's LEAKY_RELU has no slope above 1")
    out(tfl.LEAKY_RELU, (node.operand(0),), node.output, alpha=node.op.alpha)


@rule(PRelu)
def prelu(node: Node[PRelu], out: Writer) -> None:
    out(tfl.PRELU, (node.operand(0), node.operand(1)), node.output)


@rule(Elu)
def elu(node: Node[Elu], out: Writer) -> None:
    if node.op.alpha != 1:
        raise UnsupportedError(f"TFLite's ELU has no alpha of {node.op.alpha}")
    out(tfl.ELU, (node.operand(0),), node.output)


@rule(Gelu)
def gelu(node: Node[Gelu], out: Writer) -> None:
    out(tfl.GELU, (node.operand(0),), node.output, approximate=node.op.approximate)


@rule(Softmax, LogSoftmax)
def softmax(node: Node[Softmax | LogSoftmax], out: Writer) -> None:
    """Along the last axis; another one is brought there and back."""
    x, y, axis = node.operand(0), node.output, node.op.axis
    rank = x.type.rank
    builtin = tfl.SOFTMAX if isinstance(node.op, Softmax) else tfl.LOG_SOFTMAX
    options = {"beta": 1.0} if isinstance(node.op, Softmax) else {}
    if axis == rank - 1:
        out(builtin, (x,), y, **options)
        return
    swap = (*range(axis), rank - 1, *range(axis + 1, rank - 1), axis)
    turned = out.transpose(x, swap)
    out.transpose_into(out.make(builtin, (turned,), turned.type, **options), swap, y)


@rule(Erf)
def erf(node: Node[Erf], out: Writer) -> None:
    """``(gelu(z) + gelu(-z)) / z`` with ``z = sqrt(2) * x``: ``z / 2`` cancels, and ``z * erf(x)`` stays."""
    x = node.operand(0)
    # Beyond 5 the result is 1 in single precision, and infinity over infinity would be NaN.
    inside = out.make(tfl.MAXIMUM, (x, out.constant(-5, x.type.dtype)), x.type)
    inside = out.make(tfl.MINIMUM, (inside, out.constant(5, x.type.dtype)), x.type)
    z = out.make(tfl.MUL, (inside, out.constant(math.sqrt(2), x.type.dtype)), x.type)
    sides = (z, out.make(tfl.NEG, (z,), x.type))
    halves = [out.make(tfl.GELU, (side,), x.type, approximate=False) for side in sides]
    total = out.make(tfl.ADD, halves, x.type)
    zero = out.constant(0, x.type.dtype)
    is_zero = out.make(tfl.EQUAL, (z, zero), x.type.with_dtype(dtypes.BOOL))
    divisor = out.make(tfl.SELECT_V2, (is_zero, out.constant(1, x.type.dtype), z), x.type)
    out(tfl.DIV, (total, divisor), node.output)
