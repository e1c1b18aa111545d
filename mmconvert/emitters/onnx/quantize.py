"""Quantization, and products of quantized tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.onnx import windows
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import dims, geometry, ops
from mmconvert.ir.graph import Node
from mmconvert.ir.ops.quantize import Scaled
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

SINCE_BLOCKS = 21
"""The first opset with blocks, and with types other than 8 bits."""

FOUR_BITS = (dtypes.BY_NAME["i4"], dtypes.BY_NAME["u4"])


def _granularity(node: Node[Any], out: Writer) -> dict[str, Any]:
    op: Scaled = node.op
    out.require(
        not op.block or out.opset >= SINCE_BLOCKS, f"ONNX has blocked scales since opset {SINCE_BLOCKS}"
    )
    along = node.operand(1).type.rank > 0
    return {"axis": op.axis if along else None, "block_size": op.block or None}


@rule(ops.Quantize, since=10)
def quantize(node: Node[ops.Quantize], out: Writer) -> None:
    """Rounds once and halves to even whatever the source does, which is within one unit of it.

    Spelled out in ten operators the difference would vanish, and with it every runtime's integer kernels.
    """
    op, x, scale, zero = node.op, node.operand(0), node.operand(1), _zero_point(node, out)
    out.require(x.type.dtype != dtypes.I32, "runtimes quantize floating-point numbers only")
    out.require(op.rounding != "toward_zero", "ONNX cuts nothing off")
    narrow = dtypes.is_float(op.dtype) and out.opset >= 19 and not op.saturate
    named = zero is None and op.dtype != dtypes.U8
    out(
        "QuantizeLinear",
        x,
        scale,
        zero,
        into=node,
        saturate=0 if narrow else None,
        output_dtype=element_type(op.dtype) if named else None,
        **_granularity(node, out),
    )


def _zero_point(node: Node[ops.Quantize], out: Writer) -> Operand:
    """The zero point; before opset 21 it alone says which type is wanted."""
    given, scale = node.optional(2), node.operand(1).type
    if given is not None or node.op.dtype == dtypes.U8 or out.opset >= SINCE_BLOCKS:
        return given
    out.require(scale.is_static, "ONNX needs a zero point, of an extent that is unknown")
    return out.constant(np.zeros(dims.numbers(scale.shape)), node.op.dtype, "zero_point")


@rule(ops.Dequantize, since=10)
def dequantize(node: Node[ops.Dequantize], out: Writer) -> None:
    x, scale, zero = node.operand(0), node.operand(1), node.optional(2)
    out("DequantizeLinear", x, scale, zero, into=node, **_granularity(node, out))


@rule(ops.DynamicQuantize)
def dynamic_quantize(node: Node[ops.DynamicQuantize], out: Writer) -> None:
    out.require(node.op.is_plain, "ONNX quantizes dynamically to u8, over the range of the whole tensor")
    out("DynamicQuantizeLinear", node.operand(0), into=node)


@rule(ops.MatMulInteger)
def matmul_integer(node: Node[ops.MatMulInteger], out: Writer) -> None:
    zero = node.optional(2)
    out.require(zero is None or zero.type.rank == 0, "runtimes have one zero point for all rows")
    out("MatMulInteger", *node.inputs, into=node)


@rule(ops.ConvInteger)
def conv_integer(node: Node[ops.ConvInteger], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    windows.require_nchw(out, op.layout)
    kernel = dims.numbers(weight.type.shape[2:])
    covered = geometry.dilated(kernel, op.dilations)
    pads = windows.resolved(op.padding, x.type.shape[2:], covered, op.strides)
    out(
        "ConvInteger",
        *node.inputs,
        into=node,
        kernel_shape=kernel,
        strides=op.strides,
        dilations=op.dilations,
        group=op.groups,
        **windows.attributes(out, op.padding, pads, op.dilations),
    )
