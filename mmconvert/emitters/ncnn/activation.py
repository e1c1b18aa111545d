"""NCNN rules for activations and softmax."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.ncnn.elementwise import ABS, ADD, EXP, LOG1P, MUL
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ncnnlib.notes import blob_shape
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("NCNN")

_LARGEST = float(np.finfo(np.float32).max)


def _simple(kind: str, node: Node[Op], out: Writer, **parameters: float | int) -> None:
    """A layer that does the same with every element, in whatever shape they lie."""
    x = out.raw(node.operand(0))
    out.place(node.output, out.layer(kind, (x,), x.shape, **parameters))


@rule(ops.Relu)
def relu(node: Node[ops.Relu], out: Writer) -> None:
    _simple("ReLU", node, out)


@rule(ops.LeakyRelu)
def leaky_relu(node: Node[ops.LeakyRelu], out: Writer) -> None:
    _simple("ReLU", node, out, slope=float(node.op.alpha))


@rule(ops.Clip)
def clip(node: Node[ops.Clip], out: Writer) -> None:
    low, high = node.op.bounds(node.output.type.dtype)
    bounds = {"min": low, "max": high}
    limits = {
        name: float(np.clip(value, -_LARGEST, _LARGEST))
        for name, value in bounds.items()
        if value is not None
    }
    _simple("Clip", node, out, **limits)


@rule(ops.Sigmoid)
def sigmoid(node: Node[ops.Sigmoid], out: Writer) -> None:
    _simple("Sigmoid", node, out)


@rule(ops.Silu)
def silu(node: Node[ops.Silu], out: Writer) -> None:
    _simple("Swish", node, out)


@rule(ops.Mish)
def mish(node: Node[ops.Mish], out: Writer) -> None:
    _simple("Mish", node, out)


@rule(ops.Gelu)
def gelu(node: Node[ops.Gelu], out: Writer) -> None:
    _simple("GELU", node, out, fast_gelu=int(node.op.approximate))


@rule(ops.Erf)
def erf(node: Node[ops.Erf], out: Writer) -> None:
    _simple("Erf", node, out)


@rule(ops.Elu)
def elu(node: Node[ops.Elu], out: Writer) -> None:
    _simple("ELU", node, out, alpha=float(node.op.alpha))


@rule(ops.Celu)
def celu(node: Node[ops.Celu], out: Writer) -> None:
    _simple("CELU", node, out, alpha=float(node.op.alpha))


@rule(ops.Selu)
def selu(node: Node[ops.Selu], out: Writer) -> None:
    _simple("SELU", node, out, **{"alpha": float(node.op.alpha), "lambda": float(node.op.gamma)})


@rule(ops.Softplus)
def softplus(node: Node[ops.Softplus], out: Writer) -> None:
    """``max(x, 0) + log(1 + exp(-|beta * x|)) / beta``: NCNN's Softplus overflows above 88."""
    x, beta = out.blob(node.operand(0)), node.op.beta
    small = out.unary(LOG1P, out.unary(EXP, out.scalar(MUL, out.unary(ABS, x), -beta)))
    small = small if beta == 1 else out.scalar(MUL, small, 1 / beta)
    out.place(node.output, out.binary(ADD, out.layer("ReLU", (x,), x.shape), small, x.shape))


@rule(ops.HardSigmoid)
def hard_sigmoid(node: Node[ops.HardSigmoid], out: Writer) -> None:
    if node.op.alpha <= 0:
        raise UnsupportedError("NCNN's HardSigmoid rises")
    _simple("HardSigmoid", node, out, alpha=float(node.op.alpha), beta=float(node.op.beta))


@rule(ops.HardSwish)
def hard_swish(node: Node[ops.HardSwish], out: Writer) -> None:
    _simple("HardSwish", node, out, alpha=1 / 6, beta=0.5)


@rule(ops.Shrink)
def shrink(node: Node[ops.Shrink], out: Writer) -> None:
    if node.op.threshold < 0:
        raise UnsupportedError("NCNN's Shrink has a threshold above 0")
    _simple("Shrink", node, out, bias=float(node.op.bias), lambd=float(node.op.threshold))


@rule(ops.PRelu)
def prelu(node: Node[ops.PRelu], out: Writer) -> None:
    x, slope = node.operand(0), node.operand(1)
    shape = blob_shape(x.type.shape)
    if slope.constant is None:
        raise UnsupportedError("NCNN's slopes are constant")
    rank = x.type.rank
    padded = (*(1,) * (rank - slope.type.rank), *slope.type.shape)
    axis = rank - len(shape)
    alone = all(extent == 1 for a, extent in enumerate(padded) if a != axis)
    if slope.constant.size != 1 and not (rank <= 5 and alone and padded[axis] == shape[0]):
        raise UnsupportedError("NCNN's slopes go along the first axis after the batch")
    vector = slope.constant.reshape((slope.constant.size,))
    source = out.blob(x)
    made = out.layer("PReLU", (source,), source.shape, weights=(vector,), num_slope=vector.size)
    out.place(node.output, made)


@rule(ops.Softmax)
def softmax(node: Node[ops.Softmax], out: Writer) -> None:
    value = node.operand(0)
    axis = node.op.axis % value.type.rank
    x, axis = out.along(value, axis)
    out.place(node.output, out.layer("Softmax", (x,), x.shape, axis=axis, fixbug0=1))
