"""Sampling at computed positions, and boxes."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.onnx import windows
from mmconvert.emitters.onnx.extents import extents
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node, Value
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_OLD_MODES = {"linear": "bilinear", "cubic": "bicubic"}
"""The names of modes before opset 20."""


@rule(ops.GridSample, since=16)
def grid_sample(node: Node[ops.GridSample], out: Writer) -> None:
    op = node.op
    spatial = node.operand(0).type.rank - 2
    out.require(out.opset >= 20 or spatial == 2, "ONNX samples grids over other than 2 axes since opset 20")
    mode = _OLD_MODES.get(op.mode, op.mode) if out.opset < 20 else op.mode
    corners = int(op.align_corners)
    out("GridSample", *node.inputs, into=node, mode=mode, padding_mode=op.padding, align_corners=corners)


@rule(ops.RoiAlign)
def roi_align(node: Node[ops.RoiAlign], out: Writer) -> None:
    op, (x, rois, batch) = node.op, (node.operand(i) for i in range(3))
    out.require(out.opset >= 16 or not op.half_pixel, "ONNX has half-pixel coordinates since opset 16")
    mode = "half_pixel" if op.half_pixel else "output_half_pixel"
    out(
        "RoiAlign",
        *(x, rois, _wide(out, batch)),
        into=node,
        output_height=op.height,
        output_width=op.width,
        sampling_ratio=op.ratio,
        spatial_scale=float(op.scale),
        mode=op.mode,
        coordinate_transformation_mode=mode if out.opset >= 16 else None,
    )


@rule(ops.MaxRoiPool)
def max_roi_pool(node: Node[ops.MaxRoiPool], out: Writer) -> None:
    shape = (node.op.height, node.op.width)
    out("MaxRoiPool", *node.inputs, into=node, pooled_shape=shape, spatial_scale=float(node.op.scale))


@rule(ops.NonMaxSuppression)
def non_max_suppression(node: Node[ops.NonMaxSuppression], out: Writer) -> None:
    limit = node.optional(2)
    operands = (*node.inputs[:2], None if limit is None else _wide(out, limit), *node.inputs[3:])
    out("NonMaxSuppression", *operands, into=node, center_point_box=int(node.op.center_point))


@rule(ops.DeformConv, since=19)
def deform_conv(node: Node[ops.DeformConv], out: Writer) -> None:
    op, weight = node.op, node.operand(1)
    out(
        "DeformConv",
        *node.inputs,
        into=node,
        kernel_shape=dims.numbers(weight.type.shape[2:]),
        strides=op.strides,
        dilations=op.dilations,
        pads=windows.flat(op.pads),
        group=op.groups,
        offset_group=op.offset_groups,
    )


@rule(ops.Col2Im, since=18)
def col2im(node: Node[ops.Col2Im], out: Writer) -> None:
    op = node.op
    image, block = extents(out, op.image), out.ints(op.block)
    strides, dilations, pads = op.strides, op.dilations, windows.flat(op.pads)
    out("Col2Im", node.operand(0), image, block, into=node, strides=strides, dilations=dilations, pads=pads)


def _wide(out: Writer, numbers: Value) -> Operand:
    """Integers as int64."""
    if numbers.type.dtype == dtypes.I64:
        return numbers
    return out("Cast", numbers, to=element_type(dtypes.I64))
