"""PyTorch rules for activations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.pytorch.elementwise import resulting
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

_PLAIN: dict[str, Op] = {
    "relu": ops.Relu(),
    "relu6": ops.Clip(low=0.0, high=6.0),
    "silu": ops.Silu(),
    "mish": ops.Mish(),
    "hardswish": ops.HardSwish(),
    "hardsigmoid": ops.HardSigmoid(alpha=1 / 6, beta=0.5),
    "selu": ops.Selu(),
    "softsign": ops.Softsign(),
}


def _plain(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        return b(op, n.value("self"))

    return apply


for _name, _op in _PLAIN.items():
    rule(f"aten.{_name}.default")(_plain(_op))


@rule("aten.gelu.default")
def gelu(n: Source, b: Builder) -> Value:
    return b(ops.Gelu(approximate=n.text("approximate", "none") == "tanh"), n.value("self"))


@rule("aten.leaky_relu.default")
def leaky_relu(n: Source, b: Builder) -> Value:
    return b(ops.LeakyRelu(alpha=n.real("negative_slope", 0.01)), n.value("self"))


@rule("aten.rrelu.default")
def rrelu(n: Source, b: Builder) -> Value:
    if n.flag("training"):
        raise n.unsupported("in training mode, which draws slopes at random", hint="call eval() first")
    return b(ops.LeakyRelu(alpha=(n.real("lower", 0.125) + n.real("upper", 1 / 3)) / 2), n.value("self"))


@rule("aten.elu.default")
def elu(n: Source, b: Builder) -> Value:
    x, alpha = n.value("self"), n.real("alpha", 1.0)
    scale, rate = n.real("scale", 1.0), n.real("input_scale", 1.0)
    if rate != 1:
        raise n.unsupported(f"input_scale={rate}")
    y = b(ops.Elu(alpha=alpha), x)
    return y if scale == 1 else b(ops.Mul(), y, scale)


@rule("aten.celu.default")
def celu(n: Source, b: Builder) -> Value:
    return b(ops.Celu(alpha=n.real("alpha", 1.0)), n.value("self"))


@rule("aten.prelu.default", "aten._prelu_kernel.default")
def prelu(n: Source, b: Builder) -> Value:
    x, slope = n.value("self"), n.value("weight")
    if slope.type.rank == 1 and slope.type.size != 1 and x.type.rank > 2:
        slope = b(ops.Reshape(shape=(slope.type.size, *[1] * (x.type.rank - 2))), slope)
    if slope.type.size == 1 and slope.type.rank > x.type.rank:
        slope = b(ops.Reshape(shape=()), slope)
    return b(ops.PRelu(), x, slope)


@rule("aten.softplus.default")
def softplus(n: Source, b: Builder) -> Value:
    x, beta, threshold = n.value("self"), n.real("beta", 1.0), n.real("threshold", 20.0)
    if beta <= 0:
        raise n.unsupported(f"beta={beta}")
    y = b(ops.Softplus(beta=beta), x)
    if threshold >= 20:  # from there on the two agree to the last bit of single precision
        return y
    return b(ops.Where(), b(ops.Greater(), b(ops.Mul(), x, beta), threshold), x, y)


@rule("aten.log_sigmoid.default", "aten.log_sigmoid_forward.default")
def log_sigmoid(n: Source, b: Builder) -> Value:
    return b(ops.Neg(), b(ops.Softplus(), b(ops.Neg(), n.value("self"))))


@rule("aten.hardtanh.default")
def hardtanh(n: Source, b: Builder) -> Value:
    low, high = n.real("min_val", -1.0), n.real("max_val", 1.0)
    return b(ops.Clip(low=low, high=high), n.value("self"))


@rule("aten.threshold.default")
def threshold(n: Source, b: Builder) -> Value:
    x, limit, value = n.value("self"), n.real("threshold"), n.real("value")
    if value == 0 and limit >= 0 and math.isfinite(limit):
        return b(ops.ThresholdedRelu(alpha=limit), x)
    return b(ops.Where(), b(ops.Greater(), x, limit), x, np.asarray(value, x.type.dtype))


@rule("aten.hardshrink.default")
def hardshrink(n: Source, b: Builder) -> Value:
    return b(ops.Shrink(bias=0.0, threshold=n.real("lambd", 0.5)), n.value("self"))


@rule("aten.softshrink.default")
def softshrink(n: Source, b: Builder) -> Value:
    limit = n.real("lambd", 0.5)
    return b(ops.Shrink(bias=limit, threshold=limit), n.value("self"))


@rule("aten.tanhshrink.default")
def tanhshrink(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return b(ops.Sub(), x, b(ops.Tanh(), x))


@rule("aten.glu.default")
def glu(n: Source, b: Builder) -> Value:
    x = n.value("self")
    axis = x.type.axis(n.integer("dim", -1))
    half = n.result().shape[axis]
    left, right = b.multi(ops.Split(axis=axis, sizes=(half, half)), x)
    return b(ops.Mul(), left, b(ops.Sigmoid(), right))


@rule(
    "aten.softmax.int",
    "aten._softmax.default",
    "aten.log_softmax.int",
    "aten._log_softmax.default",
    "aten.special_softmax.int",
    "aten.special_log_softmax.int",
    "aten._safe_softmax.default",
)
def softmax(n: Source, b: Builder) -> Value:
    n.ignore("dtype", "half_to_float")  # the type of the result says it
    (x,) = resulting(n, "self")
    if not x.type.rank:
        axis = n.integer("dim")
        flat = b(ops.Reshape(shape=(1,)), x)
        made = b(ops.LogSoftmax(axis=0) if "log" in n.kind else ops.Softmax(axis=0), flat)
        return b(ops.Reshape(shape=()), made) if axis in (0, -1) else made
    axis = x.type.axis(n.integer("dim"))
    if "safe" in n.kind:  # lines of -inf alone give 0
        best = b(ops.ReduceMax(axes=(axis,), keepdims=True), x)
        blind = b(ops.Equal(), best, -math.inf)
        return b(ops.Where(), blind, n.scalar(0.0, x.type.dtype), b(ops.Softmax(axis=axis), x))
    return b(ops.LogSoftmax(axis=axis) if "log" in n.kind else ops.Softmax(axis=axis), x)


@rule("aten.softmin.int")
def softmin(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    (x,) = resulting(n, "self")
    return b(ops.Softmax(axis=x.type.axis(n.integer("dim"))), b(ops.Neg(), x))
