"""ONNX rules for activations."""

from __future__ import annotations

import math

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.softmax import AlongAxis
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

PLAIN: dict[str, type[Op]] = {
    name: getattr(ops, name)
    for name in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish")
}
ALONG_AXIS: dict[str, type[AlongAxis]] = {
    "Softmax": ops.Softmax,
    "LogSoftmax": ops.LogSoftmax,
    "Hardmax": ops.Hardmax,
}

# The bounds of Clip that mean "none" up to opset 10.
_LARGEST = 3.402823e38


@rule(*PLAIN)
def plain(n: Source, b: Builder) -> Value:
    return b(PLAIN[n.kind](), n.operand(0))


@rule("LeakyRelu")
def leaky_relu(n: Source, b: Builder) -> Value:
    return b(ops.LeakyRelu(alpha=n.real("alpha", 0.01)), n.operand(0))


@rule("Elu")
def elu(n: Source, b: Builder) -> Value:
    return b(ops.Elu(alpha=n.real("alpha", 1.0)), n.operand(0))


@rule("Celu")
def celu(n: Source, b: Builder) -> Value:
    return b(ops.Celu(alpha=n.real("alpha", 1.0)), n.operand(0))


@rule("ThresholdedRelu")
def thresholded_relu(n: Source, b: Builder) -> Value:
    return b(ops.ThresholdedRelu(alpha=n.real("alpha", 1.0)), n.operand(0))


@rule("Selu", since=6)
def selu(n: Source, b: Builder) -> Value:
    alpha, gamma = n.real("alpha", 1.67326319217681884765625), n.real("gamma", 1.05070102214813232421875)
    return b(ops.Selu(alpha=alpha, gamma=gamma), n.operand(0))


@rule("HardSigmoid")
def hard_sigmoid(n: Source, b: Builder) -> Value:
    return b(ops.HardSigmoid(alpha=n.real("alpha", 0.2), beta=n.real("beta", 0.5)), n.operand(0))


@rule("Gelu")
def gelu(n: Source, b: Builder) -> Value:
    approximate = n.choice("approximate", "none", "none", "tanh") == "tanh"
    return b(ops.Gelu(approximate=approximate), n.operand(0))


@rule("Shrink")
def shrink(n: Source, b: Builder) -> Value:
    x, op = n.operand(0), ops.Shrink(bias=n.real("bias", 0.0), threshold=n.real("lambd", 0.5))
    if dtypes.is_float(x.type.dtype):
        return b(op, x)
    raise n.unsupported(f"of {dtypes.name(x.type.dtype)} elements")


@rule("Swish")
def swish(n: Source, b: Builder) -> Value:
    return _swish(b, n.operand(0), n.real("alpha", 1.0))


@rule("SwiGLU")
def swiglu(n: Source, b: Builder) -> Value:
    return b(ops.Mul(), _swish(b, n.operand(0), n.real("alpha", 1.0)), n.operand(1))


def _swish(b: Builder, x: Value, alpha: float) -> Value:
    if alpha == 1.0:
        return b(ops.Silu(), x)
    return b(ops.Mul(), x, b(ops.Sigmoid(), b(ops.Mul(), x, alpha)))


@rule("PRelu", since=7)
def prelu(n: Source, b: Builder) -> Value:
    x, slope = n.operand(0), n.operand(1)
    if dtypes.is_float(x.type.dtype):
        return b(ops.PRelu(), x, slope)
    return b(ops.Where(), b(ops.Less(), x, 0), b(ops.Mul(), x, slope), x)


@rule("Clip")
def clip_6(n: Source, b: Builder) -> Value:
    low, high = n.real("min", -math.inf), n.real("max", math.inf)
    op = ops.Clip(low=low if low > -_LARGEST else None, high=high if high < _LARGEST else None)
    return b(op, n.operand(0))


@rule("Clip", since=11)
def clip_11(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    bounds = [_bound(n, index) for index in (1, 2)]
    if not any(isinstance(bound, Value) for bound in bounds):
        low, high = (bound if isinstance(bound, float) else None for bound in bounds)
        return b(ops.Clip(low=low, high=high), x)
    for index, op in ((1, ops.Max()), (2, ops.Min())):
        if n.has(index):
            x = b(op, x, n.operand(index))
    return x


def _bound(n: Source, index: int) -> float | Value | None:
    """A bound of Clip: a number when it is known, and exact as a float."""
    if not n.has(index):
        return None
    array = n.known(index)
    if array is None or array.size != 1:
        return n.operand(index)
    number = n.scalar(index, "a bound")
    exact = float(number)
    return exact if exact == number and not math.isnan(exact) else n.operand(index)


@rule(*ALONG_AXIS)
def flattened(n: Source, b: Builder) -> Value:
    """Up to opset 12 all axes from ``axis`` on are one."""
    x = n.operand(0)
    rank, axis = x.type.rank, n.integer("axis", 1)
    return flat_softmax(b, ALONG_AXIS[n.kind], x, rank if axis == rank else x.type.axis(axis))


def flat_softmax(b: Builder, op: type[AlongAxis], x: Value, axis: int) -> Value:
    """``op`` along all axes from ``axis`` on, as one."""
    if all(extent == 1 for extent in x.type.shape[axis + 1 :]) and axis < x.type.rank:
        return b(op(axis=axis), x)
    rows, columns = dims.product(x.type.shape[:axis]), dims.product(x.type.shape[axis:])
    flat = b(ops.Reshape(shape=(rows, columns)), x)
    return b(ops.Reshape(shape=x.type.shape), b(op(axis=1), flat))


@rule(*ALONG_AXIS, since=13)
def along_axis(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ALONG_AXIS[n.kind](axis=x.type.axis(n.integer("axis", -1))), x)
