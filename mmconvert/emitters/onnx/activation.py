"""Activation functions.

Silu has no rule: ONNX has it as Swish since opset 24, which runtimes do not have yet.
"""

from __future__ import annotations

from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.Relu, ops.PRelu, ops.Sigmoid, ops.Softsign, ops.Tanh)
def same(node: Node[Op], out: Writer) -> None:
    out(node.op.name, *node.inputs, into=node)


@rule(ops.HardSwish, since=14)
def hard_swish(node: Node[ops.HardSwish], out: Writer) -> None:
    out("HardSwish", *node.inputs, into=node)


@rule(ops.Mish, since=18)
def mish(node: Node[ops.Mish], out: Writer) -> None:
    out("Mish", *node.inputs, into=node)


@rule(ops.Gelu, since=20)
def gelu(node: Node[ops.Gelu], out: Writer) -> None:
    out("Gelu", *node.inputs, into=node, approximate="tanh" if node.op.approximate else "none")


@rule(ops.LeakyRelu, ops.Elu, ops.Celu, ops.ThresholdedRelu)
def with_alpha(
    node: Node[ops.LeakyRelu] | Node[ops.Elu] | Node[ops.Celu] | Node[ops.ThresholdedRelu], out: Writer
) -> None:
    out(node.op.name, *node.inputs, into=node, alpha=float(node.op.alpha))


@rule(ops.Selu)
def selu(node: Node[ops.Selu], out: Writer) -> None:
    out("Selu", *node.inputs, into=node, alpha=float(node.op.alpha), gamma=float(node.op.gamma))


@rule(ops.HardSigmoid)
def hard_sigmoid(node: Node[ops.HardSigmoid], out: Writer) -> None:
    out("HardSigmoid", *node.inputs, into=node, alpha=float(node.op.alpha), beta=float(node.op.beta))


@rule(ops.Shrink)
def shrink(node: Node[ops.Shrink], out: Writer) -> None:
    out("Shrink", *node.inputs, into=node, bias=float(node.op.bias), lambd=float(node.op.threshold))


@rule(ops.Softplus)
def softplus(node: Node[ops.Softplus], out: Writer) -> None:
    out.require(node.op.beta == 1, "ONNX has it without beta only")
    out("Softplus", *node.inputs, into=node)


@rule(ops.Softmax, ops.LogSoftmax, ops.Hardmax)
def along_axis(node: Node[ops.Softmax] | Node[ops.LogSoftmax] | Node[ops.Hardmax], out: Writer) -> None:
    op, shape = node.op, node.output.type.shape
    if out.opset >= 13 or all(extent == 1 for extent in shape[op.axis + 1 :]):
        out(op.name, *node.inputs, into=node, axis=op.axis)
        return
    # Before, all axes from this one on were one: it has to be the last.
    last = len(shape) - 1
    perm = [last if a == op.axis else op.axis if a == last else a for a in range(len(shape))]
    lines = out(op.name, out("Transpose", node.operand(0), perm=perm), axis=last)
    out("Transpose", lines, into=node, perm=perm)


@rule(ops.Clip)
def clip(node: Node[ops.Clip], out: Writer) -> None:
    dtype = node.output.type.dtype
    low, high = node.op.bounds(dtype)
    ordered = low is None or high is None or low <= high
    out.require(out.opset >= 11 or ordered, "runtimes refuse bounds in the wrong order before opset 11")
    bounds = [None if b is None else out.constant(b, dtype, "bound") for b in (low, high)]
    out("Clip" if any(bounds) else "Identity", node.operand(0), *bounds, into=node)
