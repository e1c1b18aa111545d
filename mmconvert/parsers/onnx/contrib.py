"""Rules for operators that ONNX Runtime adds when it optimizes a model (domain com.microsoft)."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.attention import positions
from mmconvert.ir.types import Layout
from mmconvert.parsers.onnx import indexing, matmul, quantize, windows
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("ONNX")

_DOMAIN = "com.microsoft"
_EPSILON = 1e-12
"""Of the fused normalisations."""


@rule(f"{_DOMAIN}.FusedConv")
def fused_conv(n: Source, b: Builder) -> Value:
    activation, parameters = n.text("activation", ""), n.reals("activation_params", ())
    y = windows.conv(n, b)
    if n.has(3):
        y = b(ops.Add(), y, n.operand(3))
    return _activated(n, b, y, activation, parameters)


@rule(f"{_DOMAIN}.FusedGemm")
def fused_gemm(n: Source, b: Builder) -> Value:
    activation = n.text("activation", "")
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    parameters = tuple(n.real(name) for name in names if n.given(name))
    return _activated(n, b, matmul.gemm(n, b), activation, parameters)


def _activated(n: Source, b: Builder, y: Value, name: str, parameters: tuple[float, ...]) -> Value:
    op: Op | None = None
    match name, parameters:
        case "", _:
            return y
        case "Relu" | "Tanh" | "Sigmoid", _:
            op = {"Relu": ops.Relu(), "Tanh": ops.Tanh(), "Sigmoid": ops.Sigmoid()}[name]
        case "LeakyRelu", (alpha, *_):
            op = ops.LeakyRelu(alpha=alpha)
        case "LeakyRelu", ():
            op = ops.LeakyRelu(alpha=0.01)
        case "Elu", (alpha, *_):
            op = ops.Elu(alpha=alpha)
        case "Clip", (low, high, *_):
            op = ops.Clip(low=low, high=high)
        case "HardSigmoid", (alpha, beta, *_):
            op = ops.HardSigmoid(alpha=alpha, beta=beta)
    if op is None:
        raise n.unsupported(f"the activation {name!r} of {list(parameters)}")
    return b(op, y)


@rule(f"{_DOMAIN}.FusedMatMul")
def fused_matmul(n: Source, b: Builder) -> Value:
    if n.flag("transBatchA") or n.flag("transBatchB"):
        raise n.unsupported("with batch axes that change places")
    sides = [
        _turned(b, n.operand(i)) if n.flag(name) else n.operand(i)
        for i, name in enumerate(("transA", "transB"))
    ]
    y, alpha = b(ops.MatMul(), *sides), n.real("alpha", 1.0)
    return y if alpha == 1.0 else b(ops.Mul(), y, alpha)


def _turned(b: Builder, x: Value) -> Value:
    """The last two axes in each other's place."""
    rank = x.type.rank
    return x if rank < 2 else b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), x)


@rule(f"{_DOMAIN}.Gelu")
def gelu(n: Source, b: Builder) -> Value:
    return b(ops.Gelu(), n.operand(0))


@rule(f"{_DOMAIN}.BiasGelu", f"{_DOMAIN}.FastGelu")
def bias_gelu(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    x = b(ops.Add(), x, n.operand(1)) if n.has(1) else x
    return b(ops.Gelu(approximate=n.kind == "FastGelu"), x)


@rule(f"{_DOMAIN}.QuickGelu")
def quick_gelu(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.Mul(), x, b(ops.Sigmoid(), b(ops.Mul(), x, n.real("alpha", 1.702))))


@rule(f"{_DOMAIN}.SkipLayerNormalization")
def skip_layer_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    total = _with_skip(n, b, 4)
    op = ops.LayerNorm(axes=(total.type.rank - 1,), epsilon=n.real("epsilon", _EPSILON))
    return b(op, total, n.operand(2), n.optional(3)), None, None, total


@rule(f"{_DOMAIN}.SkipSimplifiedLayerNormalization")
def skip_rms_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    total = _with_skip(n, b, 3)
    op = ops.RMSNorm(axes=(total.type.rank - 1,), epsilon=n.real("epsilon", _EPSILON))
    return b(op, total, n.operand(2)), None, None, total


def _with_skip(n: Source, b: Builder, bias: int) -> Value:
    total = b(ops.Add(), n.operand(0), n.operand(1))
    return b(ops.Add(), total, n.operand(bias)) if n.has(bias) else total


@rule("SimplifiedLayerNormalization")
def rms_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    x, scale = n.operand(0), n.operand(1)
    n.ignore("stash_type")
    axes = tuple(range(x.type.axis(n.integer("axis", -1)), x.type.rank))
    return b(ops.RMSNorm(axes=axes, epsilon=n.real("epsilon", 1e-5)), x, cast(b, scale, x.type.dtype)), None


@rule(f"{_DOMAIN}.EmbedLayerNormalization")
def embed_layer_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    """The sum of the embeddings of words, positions and segments, normalised."""
    n.ignore("mask_index_type")
    ids, batch = n.operand(0), n.operand(0).type.shape[0]
    total = b(ops.Gather(axis=0), n.operand(2), ids)
    places = n.operand(8) if n.has(8) else positions(b, ids, 1)
    total = b(ops.Add(), total, b(ops.Gather(axis=0), n.operand(3), places))
    if n.has(1) and n.has(4):
        total = b(ops.Add(), total, b(ops.Gather(axis=0), n.operand(4), n.operand(1)))
    op = ops.LayerNorm(axes=(2,), epsilon=n.real("epsilon", _EPSILON))
    y = b(op, total, n.operand(5), n.operand(6))
    if n.has(7):
        counts = b(ops.ReduceSum(axes=(1,), keepdims=False), cast(b, n.operand(7), dtypes.I32))
    else:
        counts = b(ops.Fill(shape=(batch,), value=0, dtype=dtypes.I32))
    return y, counts, total


@rule(f"{_DOMAIN}.Pad")
def pad(n: Source, b: Builder) -> Value:
    return indexing.pad_11(n, b)


@rule(f"{_DOMAIN}.Unique")
def unique(n: Source, b: Builder) -> tuple[Value, ...]:
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    y, _, which, counts = b.multi(ops.Unique(count=count, sorted=False), n.operand(0))
    return y, which, counts


@rule(f"{_DOMAIN}.NhwcMaxPool")
def nhwc_max_pool(n: Source, b: Builder) -> Value:
    kernel, strides, dilations, pads = windows.pool_attributes(n)
    op = ops.MaxPool(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=n.flag("ceil_mode"),
        layout=Layout.NHWC,
    )
    return b(op, n.operand(0))


# --- quantized ---------------------------------------------------------------------------------------


@rule(f"{_DOMAIN}.QuantizeLinear")
def quantize_linear(n: Source, b: Builder) -> Value:
    return quantize.quantize_linear(n, b)


@rule(f"{_DOMAIN}.DequantizeLinear")
def dequantize_linear(n: Source, b: Builder) -> Value:
    return quantize.dequantize_linear(n, b)


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
    if n.integer("opset") < 13 and axis != x.type.rank - 1:
        raise n.unsupported("along more than one axis")
    return quantize.quantized(n, b, b(ops.Softmax(axis=axis), x), 3)


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
    if bits not in (2, 4, 8) or n.has(4) or n.integer("weight_prepacked", 0):
        raise n.unsupported(f"{bits} bits, reordered or prepacked weights", hint="known are 2, 4 and 8 bits")
    dtype, blocks = dtypes.BY_NAME[f"u{bits}"], -(-size // block)
    codes = unpacked(n.array(1, "weights"), bits).reshape(width, -1)[:, :size]
    weight = b.constant(codes.astype(dtype))
    scales = b(ops.Reshape(shape=(width, blocks)), n.operand(2))
    zero = n.optional(3)
    if zero is not None and not dtypes.is_integer(zero.type.dtype):
        raise n.unsupported("with fractional zero points")
    points = np.full((width, blocks), 1 << (bits - 1))
    if zero is not None:
        points = unpacked(n.array(3, "zero points").reshape(width, -1), bits)[:, :blocks]
    real = b(ops.Dequantize(axis=1, block=block), weight, scales, b.constant(points.astype(dtype)))
    y = b(ops.MatMul(), n.operand(0), b(ops.Transpose(perm=(1, 0)), real))
    return b(ops.Add(), y, n.operand(5)) if n.has(5) else y


def unpacked(packed: Array, bits: int) -> Array:
    """The numbers in each byte, the lowest bits first, along the last axis."""
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, axis=-1).reshape(*packed.shape[:-1], -1)
