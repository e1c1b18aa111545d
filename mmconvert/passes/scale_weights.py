"""What folding passes share: the weights of a linear operator, scaled and shifted per output channel."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.graph import Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose, Gemm
from mmconvert.ir.types import Array, Layout
from mmconvert.tensors import Tensor


def output_channel_axis(node: Node[Op]) -> int:
    """The axis of the output that runs over the output channels of a Conv, ConvTranspose or Gemm."""
    if isinstance(node.op, Conv | ConvTranspose):
        return node.op.layout.channel_axis(node.output.type.rank)
    return node.output.type.rank - 1


def scaled_weight(node: Node[Op], factor: Array) -> Tensor:
    """The constant weight times ``factor`` (float64, one per output channel), computed when it is read."""
    tensor = node.operand(1).constant
    assert tensor is not None
    weight = tensor

    def compute(array: Array) -> Array:
        wide = factor.astype(np.float64)
        if is_op(node, ConvTranspose):
            return _scale_transposed(array, wide, node.op.groups, node.op.layout)
        first = is_op(node, Conv) or (is_op(node, Gemm) and node.op.transpose_b)
        shaped = wide.reshape(-1, *[1] * (array.ndim - 1)) if first else wide
        return (array * shaped).astype(weight.dtype)

    return weight.map(compute)


def _scale_transposed(array: Array, factor: Array, groups: int, layout: Layout) -> Array:
    """Weights ``[I, O/groups, *k]`` (``O/groups`` last in NHWC), inputs in group order."""
    grouped = array.reshape(groups, array.shape[0] // groups, *array.shape[1:])
    axis = 2 if layout is Layout.NCHW else grouped.ndim - 1
    shape = [groups if a == 0 else grouped.shape[axis] if a == axis else 1 for a in range(grouped.ndim)]
    return (grouped * factor.reshape(shape)).astype(array.dtype).reshape(array.shape)


def scaled_bias(node: Node[Op], factor: Array, shift: Array) -> Tensor:
    """``bias * factor + shift`` in the weight's element type; a missing bias counts as 0."""
    weight, bias = node.operand(1), node.optional(2)
    total = shift
    if bias is not None:
        assert bias.constant is not None
        beta = node.op.beta if is_op(node, Gemm) else 1.0
        total = bias.constant.numpy().astype(np.float64) * beta * factor + shift
    if is_op(node, Gemm) and node.op.beta != 1.0:
        total = total / node.op.beta
    return Tensor.of(np.asarray(total).astype(weight.type.dtype))
