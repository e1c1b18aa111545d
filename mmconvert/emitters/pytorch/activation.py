"""PyTorch rules for activations."""

from __future__ import annotations

import math

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import bound, call, number
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")

_PLAIN: dict[type[Op], str] = {
    ops.Relu: "F.relu",
    ops.HardSwish: "F.hardswish",
    ops.Mish: "F.mish",
    ops.Silu: "F.silu",
    ops.Softsign: "F.softsign",
}


@rule(*_PLAIN)
def plain(node: Node[Op], out: Writer) -> str:
    return f"{_PLAIN[type(node.op)]}({out.read(node.operand(0))})"


@rule(ops.LeakyRelu)
def leaky_relu(node: Node[ops.LeakyRelu], out: Writer) -> str:
    return call("F.leaky_relu", out.read(node.operand(0)), number(node.op.alpha))


@rule(ops.PRelu)
def prelu(node: Node[ops.PRelu], out: Writer) -> str:
    x, slope = node.operand(0), node.operand(1)
    axis = 1 if x.type.rank > 1 else 0
    shape = slope.type.shape
    lead = (1,) * (x.type.rank - len(shape))
    shape = (*lead, *shape)
    single = all(e == 1 for i, e in enumerate(shape) if i != axis)
    fits = (
        slope.constant is not None and x.type.rank > 1 and single and shape[axis] in (1, x.type.shape[axis])
    )
    if not fits or not out.layers.is_module({"weight": slope}):
        weight = out.operand(slope)
        x_text = out.name(x)
        return f"torch.where({x_text} > 0, {x_text}, {weight} * {x_text})"
    assert slope.constant is not None
    flat = slope.constant.reshape((slope.constant.size,))
    dtype = None if flat.dtype == dtypes.F32 else out.dtype(flat.dtype)
    made = call("nn.PReLU", str(flat.size), dtype=dtype)
    return f"{out.layers.layer(node, made, {'weight': flat}, [slope])}({out.read(x)})"


@rule(ops.ThresholdedRelu)
def thresholded_relu(node: Node[ops.ThresholdedRelu], out: Writer) -> str:
    return call("F.threshold", out.read(node.operand(0)), number(node.op.alpha), "0.0")


@rule(ops.Clip)
def clip(node: Node[ops.Clip], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    low, high = op.low, op.high
    if dtypes.is_integer(x.type.dtype):
        low, high = (None if v is None or math.isinf(v) else int(v) for v in (low, high))
        out.require(x.type.dtype in (dtypes.I32, dtypes.I64), "a bound may be outside of the type")
    if low is None and high is None:
        return out.read(x)
    if (low, high) == (0, 6) and dtypes.is_float(x.type.dtype):
        return f"F.relu6({out.read(x)})"
    bounds = {k: number(v) for k, v in (("min", low), ("max", high)) if v is not None}
    return call("torch.clamp", out.read(x), **bounds)


@rule(ops.HardSigmoid)
def hard_sigmoid(node: Node[ops.HardSigmoid], out: Writer) -> str:
    op, x = node.op, out.read(node.operand(0))
    if abs(op.alpha - 1 / 6) < 1e-8 and op.beta == 0.5:
        return f"F.hardsigmoid({x})"
    return f"torch.clamp({bound(x)} * {number(op.alpha)} + {number(op.beta)}, 0.0, 1.0)"


@rule(ops.Softplus)
def softplus(node: Node[ops.Softplus], out: Writer) -> str:
    # Above its threshold torch leaves the logarithm out; at 40 that is below one rounding of a float64.
    beta = None if node.op.beta == 1 else number(node.op.beta)
    return call("F.softplus", out.read(node.operand(0)), beta=beta, threshold="40.0")


@rule(ops.Gelu)
def gelu(node: Node[ops.Gelu], out: Writer) -> str:
    return call("F.gelu", out.read(node.operand(0)), approximate='"tanh"' if node.op.approximate else None)


@rule(ops.Elu)
def elu(node: Node[ops.Elu], out: Writer) -> str:
    return call(
        "F.elu", out.read(node.operand(0)), alpha=None if node.op.alpha == 1 else number(node.op.alpha)
    )


@rule(ops.Selu)
def selu(node: Node[ops.Selu], out: Writer) -> str:
    default = abs(node.op.alpha - ops.Selu().alpha) < 1e-6 and abs(node.op.gamma - ops.Selu().gamma) < 1e-6
    out.require(default, "torch's constants are those of the paper")
    return f"F.selu({out.read(node.operand(0))})"


@rule(ops.Celu)
def celu(node: Node[ops.Celu], out: Writer) -> str:
    return call("F.celu", out.read(node.operand(0)), alpha=number(node.op.alpha))


@rule(ops.Shrink)
def shrink(node: Node[ops.Shrink], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    out.require(dtypes.is_float(x.type.dtype), "torch shrinks floats")
    out.require(op.bias in (0, op.threshold), "torch has the hard and the soft shrinkage")
    return call("F.hardshrink" if op.bias == 0 else "F.softshrink", out.read(x), number(op.threshold))


@rule(ops.Softmax)
def softmax(node: Node[ops.Softmax], out: Writer) -> str:
    return call("F.softmax", out.read(node.operand(0)), dim=str(node.op.axis))


@rule(ops.LogSoftmax)
def log_softmax(node: Node[ops.LogSoftmax], out: Writer) -> str:
    return call("F.log_softmax", out.read(node.operand(0)), dim=str(node.op.axis))


@rule(ops.Dropout)
def dropout(node: Node[ops.Dropout], out: Writer) -> str:
    layer = out.layers.layer(node, f"nn.Dropout({number(node.op.rate)})", {})
    return f"{layer}({out.read(node.operand(0))})"
