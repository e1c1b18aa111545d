"""PyTorch rules for regions, moved taps, and matrices."""

from __future__ import annotations

from mmconvert.emitters.pytorch.code import call, number
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.Det)
def det(node: Node[ops.Det], out: Writer) -> str:
    return f"torch.linalg.det({out.read(node.operand(0))})"


@rule(ops.Inverse)
def inverse(node: Node[ops.Inverse], out: Writer) -> str:
    return f"torch.linalg.inv({out.read(node.operand(0))})"


@rule(ops.DeformConv)
def deform_conv(node: Node[ops.DeformConv], out: Writer) -> str:
    op = node.op
    operands = [None if v is None else out.tensor(v) for v in (node.optional(i) for i in range(5))]
    out.require(len(op.strides) == 2, "taps are moved in pictures")
    x, weight, offset, bias, mask = operands
    return call(
        out.helper("deform_conv2d"),
        *(str(v) for v in (x, weight, offset, bias, mask)),
        f"stride={tuple(op.strides)}",
        f"dilation={tuple(op.dilations)}",
        f"pads={tuple(op.pads)}",
        f"groups={op.groups}",
        f"offset_groups={op.offset_groups}",
    )


@rule(ops.NonMaxSuppression)
def non_max_suppression(node: Node[ops.NonMaxSuppression], out: Writer) -> str:
    boxes, scores, *limits = (
        None if v is None else out.scalar(v) or out.tensor(v) for v in (node.optional(i) for i in range(5))
    )
    limit, iou, least = limits
    return call(
        out.helper("non_max_suppression"),
        str(boxes),
        str(scores),
        limit or "0",
        iou or "0.0",
        least or 'float("-inf")',
        center_point="True" if node.op.center_point else None,
    )


@rule(ops.RoiAlign)
def roi_align(node: Node[ops.RoiAlign], out: Writer) -> str:
    op = node.op
    out.require(op.mode == "avg" and op.ratio > 0, "a mean of a fixed number of samples")
    x, rois, batch = (out.tensor(node.operand(i)) for i in range(3))
    return call(
        out.helper("roi_align"),
        x,
        rois,
        batch,
        f"({op.height}, {op.width})",
        str(op.ratio),
        number(op.scale),
        number(op.half_pixel),
    )
