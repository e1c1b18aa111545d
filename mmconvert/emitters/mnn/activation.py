"""MNN rules for activations."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.mnn.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Clip,
    Elu,
    Gelu,
    HardSwish,
    LeakyRelu,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
)
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_PLAIN: dict[type[Op], str] = {HardSwish: "HARDSWISH", Sigmoid: "SIGMOID", Silu: "SILU"}


@rule(*_PLAIN)
def plain(node: Node[Op], out: Writer) -> None:
    out.unary(_PLAIN[type(node.op)], node.operand(0), node.output)


@rule(Gelu)
def gelu(node: Node[Gelu], out: Writer) -> None:
    if node.op.approximate:
        raise UnsupportedError("MNN's GELU by tanh is too rough")
    out.unary("GELU_STANDARD", node.operand(0), node.output)


@rule(Relu)
def relu(node: Node[Relu], out: Writer) -> None:
    x = node.operand(0)
    if dtypes.is_float(x.type.dtype):
        out("ReLU", (x,), node.output, packed=out.is_packed(x), slope=0.0)
    else:
        out.binary("MAXIMUM", x, out.constant(0, x.type.dtype), node.output)


@rule(LeakyRelu)
def leaky_relu(node: Node[LeakyRelu], out: Writer) -> None:
    x = node.operand(0)
    out("ReLU", (x,), node.output, packed=out.is_packed(x), slope=node.op.alpha)


@rule(Clip)
def clip(node: Node[Clip], out: Writer) -> None:
    x, y = node.operand(0), node.output
    low, high = node.op.bounds(x.type.dtype)
    if dtypes.is_float(x.type.dtype) and low is not None and high is not None and low <= high:
        out("ReLU6", (x,), y, packed=out.is_packed(x), minValue=low, maxValue=high)
        return
    steps = [(n, v) for n, v in (("MAXIMUM", low), ("MINIMUM", high)) if v is not None and math.isfinite(v)]
    for name, bound in steps[:-1]:
        x = out.binary(name, x, out.constant(bound, x.type.dtype), Value(x.type, f"{out.scope}/bounded"))
    if steps:
        name, bound = steps[-1]
        out.binary(name, x, out.constant(bound, x.type.dtype), y)
    else:
        out.copy(x, y)


@rule(PRelu)
def prelu(node: Node[PRelu], out: Writer) -> None:
    """With a constant slope for each channel of an image."""
    x, slope = node.operand(0), node.operand(1)
    if slope.constant is None or x.type.rank != 4:
        raise UnsupportedError("MNN's PReLU has constant slopes, over the channels of images")
    (channels,) = known(x.type.shape[1:2], "the number of channels")
    shape = (1,) * (4 - slope.type.rank) + slope.type.shape
    if shape not in ((1, channels, 1, 1), (1, 1, 1, 1)):
        raise UnsupportedError("MNN's PReLU has one slope for each channel")
    slopes = np.broadcast_to(slope.constant.numpy().reshape(-1), channels)
    out("PReLU", (x,), node.output, packed=True, slopeCount=channels, slope=slopes.tolist())


@rule(Elu)
def elu(node: Node[Elu], out: Writer) -> None:
    x = node.operand(0)
    out("ELU", (x,), node.output, packed=out.is_packed(x), alpha=node.op.alpha)


@rule(Selu)
def selu(node: Node[Selu], out: Writer) -> None:
    x = node.operand(0)
    out("Selu", (x,), node.output, packed=out.is_packed(x), scale=node.op.gamma, alpha=node.op.alpha)


_LONG = 512
"""The kernel adds up the exponentials of a row one by one, and loses a digit on the way."""


@rule(Softmax)
def softmax(node: Node[Softmax], out: Writer) -> None:
    (extent,) = node.operand(0).type.shape[node.op.axis :][:1]
    if isinstance(extent, int) and extent > _LONG:
        raise UnsupportedError(f"MNN adds up rows of {extent} elements too roughly")
    out("Softmax", (node.operand(0),), node.output, axis=node.op.axis)
