"""TFLite rules for activations, and the ones that are part of other operators."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.tflite import fixed_point
from mmconvert.parsers.tflite.fused import Results, fused
from mmconvert.parsers.tflite.quantization import looked_up
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

FUSED: dict[str, Op] = {
    "RELU": ops.Relu(),
    "RELU_N1_TO_1": ops.Clip(low=-1.0, high=1.0),
    "RELU6": ops.Clip(low=0.0, high=6.0),
    "TANH": ops.Tanh(),
}


def activated(n: Source, b: Builder, y: Value) -> Value:
    """``y`` with what the operator does to its result before it is stored."""
    name = n.choice("fused_activation_function", "NONE", *FUSED, "SIGN_BIT")
    if name == "NONE":
        return y
    if name == "SIGN_BIT":
        raise n.unsupported("with the fused activation SIGN_BIT")
    return b(FUSED[name], y)


@rule("RELU", "RELU6", "RELU_N1_TO_1")
def relu(n: Source, b: Builder) -> Value:
    return b(FUSED[n.kind], n.operand(0))


@rule("RELU_0_TO_1")
def relu_0_to_1(n: Source, b: Builder) -> Value:
    return b(ops.Clip(low=0.0, high=1.0), n.operand(0))


SQUASHING: dict[str, Op] = {"LOGISTIC": ops.Sigmoid(), "TANH": ops.Tanh()}


@rule(*SQUASHING)
def squashing(n: Source, b: Builder) -> Results:
    q = n.quantization(0)
    if q is None or n.record(0).dtype != dtypes.I16 or q.zero_point.any():
        return b(SQUASHING[n.kind], n.operand(0))
    return _of_16_bits(n, b)


@fused
def _of_16_bits(n: Source, b: Builder) -> Value:
    q = n.quantization(0)
    assert q is not None
    tables = {"LOGISTIC": fixed_point.interpolated_sigmoid, "TANH": fixed_point.interpolated_tanh}
    return looked_up(b, tables[n.kind](float(q.scale)), n.stored(0))


SIMPLE: dict[str, Op] = {
    "ELU": ops.Elu(alpha=1.0),
    "HARD_SWISH": ops.HardSwish(),
}


@rule(*SIMPLE)
def simple(n: Source, b: Builder) -> Value:
    return b(SIMPLE[n.kind], n.operand(0))


@rule("LEAKY_RELU")
def leaky_relu(n: Source, b: Builder) -> Value:
    alpha = n.real("alpha")
    n.multiplies(0, negative=alpha)
    return b(ops.LeakyRelu(alpha=alpha), n.operand(0))


@rule("PRELU")
def prelu(n: Source, b: Builder) -> Value:
    slope = n.quantization(1)
    n.multiplies(0, negative=None if slope is None else float(slope.scale))
    return b(ops.PRelu(), n.operand(0), n.operand(1))


@rule("GELU")
def gelu(n: Source, b: Builder) -> Value:
    approximate = n.flag("approximate")
    return b(ops.Gelu(approximate=approximate), n.operand(0))


@rule("SOFTMAX")
def softmax(n: Source, b: Builder) -> Value:
    x, beta = n.operand(0), n.real("beta")
    # Files from before the field was written have 0, which runtimes take at its word; so is it here.
    scaled = x if beta == 1 else b(ops.Mul(), x, beta)
    return b(ops.Softmax(axis=_last(n, x)), scaled)


@rule("LOG_SOFTMAX")
def log_softmax(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.LogSoftmax(axis=_last(n, x)), x)


def _last(n: Source, x: Value) -> int:
    if x.type.rank < 1 or not dtypes.is_float(x.type.dtype):
        raise n.invalid(f"of {x.type}")
    return x.type.rank - 1
