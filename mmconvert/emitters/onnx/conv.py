"""Convolution and its transpose."""

from __future__ import annotations

from mmconvert.emitters.onnx import windows
from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import dims, geometry, ops
from mmconvert.ir.geometry import Pads
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.Conv)
def conv(node: Node[ops.Conv], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    windows.require_nchw(out, op.layout)
    kernel = dims.numbers(weight.type.shape[2:])
    covered = geometry.dilated(kernel, op.dilations)
    pads = windows.resolved(op.padding, x.type.shape[2:], covered, op.strides)
    source, pads = windows.crop(out, x, pads) if pads is not None else (x, None)
    out(
        "Conv",
        source,
        weight,
        node.optional(2),
        into=node,
        kernel_shape=kernel,
        strides=op.strides,
        dilations=op.dilations,
        group=op.groups,
        **windows.attributes(out, op.padding, pads, op.dilations),
    )


@rule(ops.ConvTranspose)
def conv_transpose(node: Node[ops.ConvTranspose], out: Writer) -> None:
    op, weight = node.op, node.operand(1)
    windows.require_nchw(out, op.layout)
    kernel = dims.numbers(weight.type.shape[2:])
    covered = geometry.dilated(kernel, op.dilations)
    crops = geometry.resolve_transposed(op.padding, covered, op.strides, op.output_padding)
    pads, grown, outside = _share(op, crops)
    whole = windows.is_zero(outside)
    full = out(
        "ConvTranspose",
        node.operand(0),
        weight,
        node.optional(2) if whole else None,
        into=node if whole else None,
        kernel_shape=kernel,
        strides=op.strides,
        dilations=op.dilations,
        group=op.groups,
        output_padding=grown,
        pads=windows.flat(pads),
    )
    if not whole:
        _extend(node, out, full, outside)


def _share(op: ops.ConvTranspose, crops: Pads) -> tuple[Pads, tuple[int, ...], Pads]:
    """Crops as ``pads`` (never negative), ``output_padding`` (less than a step), and padding afterwards."""
    pads, grown, outside = [], [], []
    for (before, after), extra, stride, dilation in zip(
        crops, op.output_padding, op.strides, op.dilations, strict=True
    ):
        growth = extra + max(-after, 0)
        fits = growth < max(stride, dilation)
        pads.append((max(before, 0), max(after, 0)))
        grown.append(growth if fits else 0)
        outside.append((max(-before, 0), 0 if fits else growth))
    return tuple(pads), tuple(grown), tuple(outside)


def _extend(node: Node[ops.ConvTranspose], out: Writer, full: str, outside: Pads) -> None:
    """Zeros around a transposed convolution; the bias is added to them as well."""
    pads = out.ints(windows.flat(((0, 0), (0, 0), *outside)))
    bias = node.optional(2)
    if bias is None:
        out("Pad", full, pads, into=node)
        return
    axes = out.ints(range(1, len(outside) + 1))
    out("Add", out("Pad", full, pads), out("Unsqueeze", bias, axes), into=node)
