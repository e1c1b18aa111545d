"""Normalization."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.onnx.extents import reshaped
from mmconvert.emitters.onnx.windows import require_nchw
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node
from mmconvert.ir.types import Shape
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.BatchNorm)
def batch_norm(node: Node[ops.BatchNorm], out: Writer) -> None:
    out.require(node.op.axis == 1, f"ONNX has the channels on axis 1 only, not {node.op.axis}")
    out("BatchNormalization", *node.inputs, into=node, epsilon=float(node.op.epsilon))


@rule(ops.InstanceNorm)
def instance_norm(node: Node[ops.InstanceNorm], out: Writer) -> None:
    require_nchw(out, node.op.layout)
    out("InstanceNormalization", *node.inputs, into=node, epsilon=float(node.op.epsilon))


@rule(ops.GroupNorm, since=21)  # before, ONNX had a scale for each group instead of each channel
def group_norm(node: Node[ops.GroupNorm], out: Writer) -> None:
    require_nchw(out, node.op.layout)
    epsilon, groups = float(node.op.epsilon), node.op.groups
    out("GroupNormalization", *node.inputs, into=node, epsilon=epsilon, num_groups=groups)


@rule(ops.LayerNorm, since=17)
def layer_norm(node: Node[ops.LayerNorm], out: Writer) -> None:
    axis, scale = _trailing(node, out)
    x, bias = node.operand(0), node.optional(2)
    wide = x.type.dtype == dtypes.F64
    out(
        "LayerNormalization",
        x,
        scale,
        bias,
        into=node,
        axis=axis,
        epsilon=float(node.op.epsilon),
        # The mean is computed in single precision unless the opposite is asked for.
        stash_type=11 if wide else None,
    )


@rule(ops.RMSNorm, since=23)
def rms_norm(node: Node[ops.RMSNorm], out: Writer) -> None:
    axis, scale = _trailing(node, out)
    out("RMSNormalization", node.operand(0), scale, into=node, axis=axis, epsilon=float(node.op.epsilon))


@rule(ops.LRN)
def lrn(node: Node[ops.LRN], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if op.axis == 1 and op.size % 2 == 1 and x.type.rank == 4:
        alpha, beta, bias = float(op.alpha), float(op.beta), float(op.bias)
        out("LRN", x, into=node, size=op.size, alpha=alpha, beta=beta, bias=bias)
        return
    # Runtimes have it for pictures and odd sizes only. A mean over neighbours is an average pooling.
    dtype = x.type.dtype
    mean = _mean_along(out, out("Mul", x, x), x.type.shape, op)
    base = out(
        "Add", out("Mul", mean, out.constant(op.alpha, dtype, "alpha")), out.constant(op.bias, dtype, "bias")
    )
    out("Div", x, out("Pow", base, out.constant(op.beta, dtype, "beta")), into=node)


def _mean_along(out: Writer, squares: str, shape: Shape, op: ops.LRN) -> str:
    """The mean of ``size`` neighbours along the axis, what lies outside counting as 0."""
    batch, rest = dims.product(shape[: op.axis]), dims.product(shape[op.axis + 1 :])
    rows: Shape = (batch, 1, shape[op.axis], rest)
    before = (op.size - 1) // 2
    mean = out(
        "AveragePool",
        out("Reshape", squares, reshaped(out, shape, rows)),
        kernel_shape=(op.size, 1),
        pads=(before, 0, op.size - 1 - before, 0),
        count_include_pad=1,
    )
    return out("Reshape", mean, reshaped(out, rows, shape))


@rule(ops.LpNormalization)
def lp_normalization(node: Node[ops.LpNormalization], out: Writer) -> None:
    out("LpNormalization", node.operand(0), into=node, axis=node.op.axis, p=node.op.p)


def _trailing(node: Node[ops.LayerNorm] | Node[ops.RMSNorm], out: Writer) -> tuple[int, Operand]:
    """The first normalised axis, and the scale: ONNX normalises the last axes, and always scales."""
    axes, x = tuple(sorted(node.op.axes)), node.operand(0)
    first = x.type.rank - len(axes)
    out.require(axes == tuple(range(first, x.type.rank)), f"ONNX normalises the last axes only, not {axes}")
    if (scale := node.optional(1)) is not None:
        return first, scale
    shape = x.type.shape[first:]
    out.require(all(isinstance(e, int) for e in shape), "ONNX needs a scale, of an extent that is unknown")
    return first, out.constant(np.ones(dims.numbers(shape)), x.type.dtype, "ones")
