"""ONNX rules for quantized models.

QLinearConv and QLinearMatMul become Dequantize, the operator, Quantize: the one form of quantization that
every target knows, and from which runtimes fuse their integer kernels.
"""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.parsers.onnx.windows import LAYOUT, kernel_of, padding, positive
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


def scalar(b: Builder, x: Value) -> Value:
    """A scale or zero point of one element as a scalar; any other as it is."""
    return b(ops.Reshape(shape=()), x) if x.type.rank > 0 and x.type.size == 1 else x


def _granularity(n: Source, b: Builder, x: Value) -> tuple[int, int, Value, Value | None]:
    """The axis, the block size, the scale and the zero point."""
    axis, block = n.integer("axis", 1), n.integer("block_size", 0)
    if block < 0:
        raise n.invalid(f"block_size={block} must not be negative")
    scale, zero = n.operand(1), n.optional(2)
    if not block:
        scale, zero = scalar(b, scale), None if zero is None else scalar(b, zero)
    along = x.type.axis(axis) if scale.type.rank > 0 else 0
    return along, block, scale, zero


def _type(n: Source, name: str, default: DType) -> DType:
    """An element type, of which 0 means that it was left out."""
    code = n.integer(name, 0)
    return tensors.dtype_of(code, n.where) if code else default


@rule("QuantizeLinear", since=10)
def quantize_linear(n: Source, b: Builder) -> Value:
    x, saturate = n.operand(0), n.flag("saturate", True)
    axis, block, scale, zero = _granularity(n, b, x)
    dtype = _type(n, "output_dtype", dtypes.U8 if zero is None else zero.type.dtype)
    wide = scale.type.dtype if scale.type.dtype.itemsize > 1 else dtypes.F32
    precision = _type(n, "precision", wide)
    scale = cast(b, scale, precision)
    if dtypes.is_float(x.type.dtype):
        x = cast(b, x, precision)
    return b(ops.Quantize(axis=axis, block=block, dtype=dtype, saturate=saturate), x, scale, zero)


@rule("DequantizeLinear", since=10)
def dequantize_linear(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axis, block, scale, zero = _granularity(n, b, x)
    wanted = _type(n, "output_dtype", scale.type.dtype)
    return b(ops.Dequantize(axis=axis, block=block), x, cast(b, scale, wanted), zero)


@rule("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(n: Source, b: Builder) -> tuple[Value, ...]:
    return b.multi(ops.DynamicQuantize(), n.operand(0))


@rule("MatMulInteger", since=10)
def matmul_integer(n: Source, b: Builder) -> Value:
    zeros = [None if zero is None else scalar(b, zero) for zero in (n.optional(2), n.optional(3))]
    return b(ops.MatMulInteger(), n.operand(0), n.operand(1), *zeros)


@rule("ConvInteger", since=10)
def conv_integer(n: Source, b: Builder) -> Value:
    count = len(kernel_of(n, n.operand(1)))
    op = ops.ConvInteger(
        strides=positive(n, "strides", count, (1,) * count),
        dilations=positive(n, "dilations", count, (1,) * count),
        padding=padding(n, count),
        groups=n.integer("group", 1),
        layout=LAYOUT,
    )
    zeros = [None if zero is None else scalar(b, zero) for zero in (n.optional(2), n.optional(3))]
    return b(op, n.operand(0), n.operand(1), *zeros)


@rule("QLinearConv", since=10)
def qlinear_conv_10(n: Source, b: Builder) -> Value:
    return qlinear_conv(n, b, LAYOUT)


def qlinear_conv(n: Source, b: Builder, layout: Layout) -> Value:
    """A convolution of quantized numbers; its weight has the channels before the kernel in either layout."""
    count = len(kernel_of(n, n.operand(3)))
    op = ops.Conv(
        strides=positive(n, "strides", count, (1,) * count),
        dilations=positive(n, "dilations", count, (1,) * count),
        padding=padding(n, count),
        groups=n.integer("group", 1),
        layout=layout,
    )
    x, weight = dequantized(n, b, 0), dequantized(n, b, 3)
    if layout is Layout.NHWC:
        weight = b(ops.Transpose(perm=(0, *range(2, count + 2), 1)), weight)
    bias = n.optional(8)
    if bias is not None:
        scale = b(ops.Mul(), scalar(b, n.operand(1)), scalar(b, n.operand(4)))
        bias = b(ops.Dequantize(), bias, scale)
    return quantized(n, b, b(op, x, weight, bias), 6)


@rule("QLinearMatMul", since=10)
def qlinear_matmul(n: Source, b: Builder) -> Value:
    left = dequantized(n, b, 0, axis=n.operand(0).type.rank - 2)
    right = dequantized(n, b, 3, axis=n.operand(3).type.rank - 1)
    return quantized(n, b, b(ops.MatMul(), left, right), 6)


def dequantized(n: Source, b: Builder, index: int, axis: int = 0) -> Value:
    """Operand ``index`` by the scale and the zero point that follow it."""
    x = n.operand(index)
    scale, zero = _parameters(n, b, index + 1)
    if scale.type.rank < 2:
        return b(ops.Dequantize(axis=axis if scale.type.rank else 0), x, scale, zero)
    # One scale for each row (or column) of each matrix: a block is as long as the other axis.
    other = 2 * x.type.rank - 3 - axis
    block = x.type.shape[other]
    if not isinstance(block, int):
        raise n.unsupported("with scales for each row of matrices of unknown size")
    return b(ops.Dequantize(axis=other, block=block), x, scale, zero)


def _parameters(n: Source, b: Builder, index: int) -> tuple[Value, Value | None]:
    scale, zero = scalar(b, n.operand(index)), n.optional(index + 1)
    return scale, None if zero is None else scalar(b, zero)


def quantized(n: Source, b: Builder, y: Value, index: int, dtype: DType | None = None) -> Value:
    """``y`` by the scale and the zero point that are operands ``index`` and ``index + 1``."""
    scale, zero = _parameters(n, b, index)
    if dtype is None:
        dtype = n.operand(0).type.dtype if zero is None else zero.type.dtype
    return b(ops.Quantize(dtype=dtype), cast(b, y, scale.type.dtype), scale, zero)
