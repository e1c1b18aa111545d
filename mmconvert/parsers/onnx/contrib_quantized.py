"""Rules for the quantized operators of ONNX Runtime (domain com.microsoft)."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.onnx import quantize, windows
from mmconvert.parsers.onnx.activation import flat_softmax
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("ONNX")

_DOMAIN = "com.microsoft"


@rule(f"{_DOMAIN}.QuantizeLinear")
def quantize_linear(n: Source, b: Builder) -> Value:
    return quantize.quantize_linear(n, b)


@rule(f"{_DOMAIN}.DequantizeLinear")
def dequantize_linear(n: Source, b: Builder) -> Value:
    return quantize.dequantize_linear(n, b)


@rule(f"{_DOMAIN}.QLinearConv")
def qlinear_conv(n: Source, b: Builder) -> Value:
    return quantize.qlinear_conv(n, b, Layout.NHWC if n.flag("channels_last") else Layout.NCHW)


@rule(f"{_DOMAIN}.QGemm")
def qgemm(n: Source, b: Builder) -> Value:
    """A product of quantized matrices; real numbers where the result has no scale of its own."""
    transpose_b, alpha = n.flag("transB"), n.real("alpha", 1.0)
    left, right = quantize.dequantized(n, b, 0), quantize.dequantized(n, b, 3, axis=0 if transpose_b else 1)
    op = ops.Gemm(alpha=alpha, beta=1.0, transpose_a=n.flag("transA"), transpose_b=transpose_b)
    bias = n.optional(6)
    if bias is not None:
        scale = b(ops.Mul(), *(quantize.scalar(b, n.operand(i)) for i in (1, 4)))
        bias = b(ops.Mul(), cast(b, bias, scale.type.dtype), b(ops.Mul(), scale, alpha))
    y = b(op, left, right, bias)
    return quantize.quantized(n, b, y, 7) if n.has(7) else y


@rule(f"{_DOMAIN}.QLinearWhere")
def qlinear_where(n: Source, b: Builder) -> Value:
    y = b(ops.Where(), n.operand(0), quantize.dequantized(n, b, 1), quantize.dequantized(n, b, 4))
    return quantize.quantized(n, b, y, 7)


@rule(f"{_DOMAIN}.QLinearAdd", f"{_DOMAIN}.QLinearMul")
def qlinear_binary(n: Source, b: Builder) -> Value:
    op = ops.Add() if n.kind == "QLinearAdd" else ops.Mul()
    left, right = quantize.dequantized(n, b, 0), quantize.dequantized(n, b, 3)
    return quantize.quantized(n, b, b(op, left, right), 6)


@rule(f"{_DOMAIN}.QLinearSigmoid", f"{_DOMAIN}.QLinearLeakyRelu")
def qlinear_unary(n: Source, b: Builder) -> Value:
    x = quantize.dequantized(n, b, 0)
    op = ops.Sigmoid() if n.kind == "QLinearSigmoid" else ops.LeakyRelu(alpha=n.real("alpha", 0.01))
    return quantize.quantized(n, b, b(op, x), 3)


@rule(f"{_DOMAIN}.QLinearSoftmax")
def qlinear_softmax(n: Source, b: Builder) -> Value:
    x = quantize.dequantized(n, b, 0)
    axis = x.type.axis(n.integer("axis", -1))
    y = b(ops.Softmax(axis=axis), x) if n.integer("opset") >= 13 else flat_softmax(b, ops.Softmax, x, axis)
    return quantize.quantized(n, b, y, 3)


@rule(f"{_DOMAIN}.QLinearAveragePool")
def qlinear_average_pool(n: Source, b: Builder) -> Value:
    layout = Layout.NHWC if n.flag("channels_last") else Layout.NCHW
    kernel, strides, dilations, pads = windows.pool_attributes(n)
    op = ops.AveragePool(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=n.flag("ceil_mode"),
        count_include_pad=n.flag("count_include_pad"),
        layout=layout,
    )
    return quantize.quantized(n, b, b(op, quantize.dequantized(n, b, 0)), 3)


@rule(f"{_DOMAIN}.QLinearGlobalAveragePool")
def qlinear_global_average_pool(n: Source, b: Builder) -> Value:
    layout = Layout.NHWC if n.flag("channels_last") else Layout.NCHW
    x = quantize.dequantized(n, b, 0)
    axes = tuple(layout.spatial_axes(x.type.rank))
    return quantize.quantized(n, b, b(ops.ReduceMean(axes=axes, keepdims=True), x), 3)


@rule(f"{_DOMAIN}.QLinearConcat")
def qlinear_concat(n: Source, b: Builder) -> Value:
    parts = [quantize.dequantized(n, b, index) for index in range(2, len(n.inputs), 3)]
    axis = parts[0].type.axis(n.integer("axis"))
    return quantize.quantized(n, b, b(ops.Concat(axis=axis), *parts), 0)


@rule(f"{_DOMAIN}.MatMulIntegerToFloat")
def matmul_integer_to_float(n: Source, b: Builder) -> Value:
    zeros = [None if v is None else quantize.scalar(b, v) for v in (n.optional(4), n.optional(5))]
    total = b(ops.MatMulInteger(), n.operand(0), n.operand(1), *zeros)
    return _scaled(b, total, (n.operand(2), n.operand(3)), n.optional(6))


@rule(f"{_DOMAIN}.DynamicQuantizeMatMul")
def dynamic_quantize_matmul(n: Source, b: Builder) -> Value:
    x, scale, zero = b.multi(ops.DynamicQuantize(), n.operand(0))
    columns = None if (given := n.optional(3)) is None else quantize.scalar(b, given)
    total = b(ops.MatMulInteger(), x, n.operand(1), zero, columns)
    return _scaled(b, total, (scale, n.operand(2)), n.optional(4))


def _scaled(b: Builder, total: Value, scales: tuple[Value, Value], bias: Value | None) -> Value:
    """An integer product as real numbers, plus the bias."""
    left, right = (quantize.scalar(b, s) for s in scales)
    y = b(ops.Mul(), cast(b, total, left.type.dtype), b(ops.Mul(), left, right))
    return y if bias is None else b(ops.Add(), y, bias)


@rule(f"{_DOMAIN}.MatMulNBits")
def matmul_n_bits(n: Source, b: Builder) -> Value:
    """A product with a matrix of a few bits for each number, a scale for each block of a column."""
    n.ignore("accuracy_level")
    bits, block, size, width = (n.integer(name) for name in ("bits", "block_size", "K", "N"))
    if bits not in (2, 4, 8) or n.integer("weight_prepacked", 0):
        raise n.unsupported(f"{bits} bits, or prepacked weights", hint="known are 2, 4 and 8 bits")
    dtype, blocks = dtypes.BY_NAME[f"u{bits}"], -(-size // block)
    codes = unpacked(n.array(1, "weights"), bits).reshape(width, -1)[:, :size]
    scales, zero = b(ops.Reshape(shape=(width, blocks)), n.operand(2)), n.optional(3)
    if n.has(4) or (zero is not None and dtypes.is_float(zero.type.dtype)):
        real = _by_group(n, b, codes, scales, (bits, block))
    else:
        points = np.full((width, blocks), 1 << (bits - 1))
        if zero is not None:
            points = unpacked(n.array(3, "zero points").reshape(width, -1), bits)[:, :blocks]
        weight, point = b.constant(codes.astype(dtype)), b.constant(points.astype(dtype))
        real = b(ops.Dequantize(axis=1, block=block), weight, scales, point)
    y = b(ops.MatMul(), n.operand(0), b(ops.Transpose(perm=(1, 0)), real))
    return b(ops.Add(), y, n.operand(5)) if n.has(5) else y


def _by_group(n: Source, b: Builder, codes: Array, scales: Value, sizes: tuple[int, int]) -> Value:
    """Weights whose zero points are fractions, or whose rows belong to blocks in any order."""
    (bits, block), (width, size) = sizes, codes.shape
    blocks = -(-size // block)
    groups = n.array(4, "groups").astype(np.int64) if n.has(4) else np.arange(size) // block
    zero = n.optional(3)
    if zero is None:
        points = b.constant(np.full((width, blocks), 1 << (bits - 1)), scales.type.dtype)
    elif dtypes.is_float(zero.type.dtype):
        points = b(ops.Reshape(shape=(width, blocks)), zero)
    else:
        whole = unpacked(n.array(3, "zero points").reshape(width, -1), bits)[:, :blocks]
        points = b.constant(whole, scales.type.dtype)
    each = [b(ops.Gather(axis=1), v, groups) for v in (scales, points)]
    shifted = b(ops.Sub(), b.constant(codes, scales.type.dtype), each[1])
    return b(ops.Mul(), shifted, each[0])


def unpacked(packed: Array, bits: int) -> Array:
    """The numbers in each byte, the lowest bits first, along the last axis."""
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(*packed.shape[:-1], -1)
