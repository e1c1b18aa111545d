"""Operations of `keras.ops.nn`: convolutions with kernels that are tensors, attention, windows, pooling."""

from __future__ import annotations

import itertools
import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, geometry
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    And,
    Col2Im,
    Concat,
    ConvTranspose,
    GreaterEqual,
    Log,
    Mul,
    Pad,
    ReduceMean,
    Reshape,
    ScaledDotProductAttention,
    Slice,
    Square,
    Sub,
    Transpose,
    Unsqueeze,
    Where,
)
from mmconvert.ir.ops.attention import positions
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.adaptive import pooled
from mmconvert.parsers.keras.arranging import padding
from mmconvert.parsers.keras.conv import Window, convolve, transposed_padding
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import operands
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_MASKED = -0.7 * 3.38953e38
"""What Keras puts in the place of a score that does not count, so that a query that sees nothing sees all."""

MAX_TAPS = 1 << 12


def _window(layer: KerasLayer, kernel: Value, rank: int) -> Window:
    return Window(
        tuple(layer.extent(kernel, axis) for axis in range(rank)),
        layer.sizes("strides", rank, 1),
        layer.sizes("dilation_rate", rank, 1),
        padding(layer, rank),
        layer.layout(),
    )


def _input_major(b: Builder, kernel: Value, rank: int, layout: Layout) -> Value:
    """``spatial A B`` -> ``B spatial A`` (channels last) or ``B A spatial``."""
    spatial = tuple(range(rank))
    perm = (rank + 1, *spatial, rank) if layout is Layout.NHWC else (rank + 1, rank, *spatial)
    return b(Transpose(perm=perm), kernel)


@rule("ops.ConvTranspose")
def conv_transpose(layer: KerasLayer, b: Builder) -> Value:
    x, kernel = operands(b, layer.operand(0, "inputs"), layer.operand(1, "kernel"))
    window = _window(layer, kernel, x.type.rank - 2)
    pads, extra = transposed_padding(layer, window, x)
    op = ConvTranspose(
        strides=window.strides,
        dilations=window.dilations,
        padding=pads,
        output_padding=extra,
        layout=window.layout,
    )
    return b(op, x, _input_major(b, kernel, window.rank, window.layout))


@rule("ops.SeparableConv")
def separable_conv(layer: KerasLayer, b: Builder) -> Value:
    given = (("inputs", 0), ("depthwise_kernel", 1), ("pointwise_kernel", 2))
    x, deep, point = operands(b, *(layer.operand(i, name) for name, i in given))
    window = _window(layer, deep, x.type.rank - 2)
    rank, channels, multiplier = window.rank, layer.extent(deep, -2), layer.extent(deep, -1)
    deep = b(Reshape(shape=(*window.kernel, 1, channels * multiplier)), deep)
    inner = convolve(b, window, channels, x, _input_major(b, deep, rank, window.layout), None)
    ones = (1,) * rank
    last = Window(ones, ones, ones, Explicit.zero(rank), window.layout)
    return convolve(b, last, 1, inner, _input_major(b, point, rank, window.layout), None)


@rule("ops.AdaptiveAveragePool", "ops.AdaptiveMaxPool")
def adaptive_pool(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "inputs")
    counts = layer.sizes("output_size", x.type.rank - 2)
    return pooled(layer, b, x, counts, average=layer.kind == "AdaptiveAveragePool")


@rule("ops.DotProductAttention")
def attention(layer: KerasLayer, b: Builder) -> Value:
    """[batch, length, heads, size]; a query that sees nothing gets the mean of all values."""
    names = enumerate(("query", "key", "value"))
    parts = operands(b, *(layer.floats(layer.tensor(i, name)) for i, name in names))
    layer.ignore("flash_attention")
    if layer.setting("attn_logits_soft_cap", None) is not None:
        raise layer.refuse("attn_logits_soft_cap, which Keras heeds on some of its backends only")
    query, key, value = (b(Transpose(perm=(0, 2, 1, 3)), part) for part in parts)
    scale = layer.argument(5, "scale")
    if scale is not None and not isinstance(scale, int | float):
        raise layer.refuse("a scale that is a tensor")
    seen = None if layer.argument(4, "mask") is None else layer.cast(layer.tensor(4, "mask"), dtypes.BOOL)
    if layer.flag("is_causal", False):
        row = b(Unsqueeze(axes=(1,)), positions(b, query, 2))
        causal = b(GreaterEqual(), row, b(Unsqueeze(axes=(0,)), positions(b, key, 2)))
        seen = causal if seen is None else b(And(), seen, causal)
    dtype = query.type.dtype
    bias = None if layer.argument(3, "bias") is None else layer.cast(layer.tensor(3, "bias"), dtype)
    if seen is not None:
        low = b.constant(max(_MASKED, float(np.finfo(np.float32).min)), dtype)
        if dtype == dtypes.F16:
            low = b.constant(-0.7 * 65500.0, dtype)
        bias = b(Where(), seen, b.constant(0, dtype) if bias is None else bias, low)
    factor = 1 / math.sqrt(layer.extent(key, -1)) if scale is None else float(scale)
    y = b(ScaledDotProductAttention(scale=factor), query, key, value, bias)
    return b(Transpose(perm=(0, 2, 1, 3)), y)


# --- windows -------------------------------------------------------------------------------------------


@rule("ops.Unfold")
def unfold(layer: KerasLayer, b: Builder) -> Value:
    """[N, C, H, W] -> [N, C * taps, windows]: for each tap of the window its elements, one slice."""
    x = layer.tensor(0, "x")
    x.type.require_rank(4)
    kernel, dilations, strides = (layer.sizes(k, 2, 1) for k in ("kernel_size", "dilation", "stride"))
    (top, left), taps = layer.integers("padding", 2, 0), math.prod(kernel)
    if taps > MAX_TAPS:
        raise layer.refuse(f"windows of {taps} elements")
    padded = b(Pad(pads=((0, 0), (0, 0), (top, top), (left, left))), x) if top or left else x
    batch, channels, *image = padded.type.shape
    covered = geometry.dilated(kernel, dilations)
    sizes = tuple(
        dims.floordiv(extent - size, step) + 1
        for extent, size, step in zip(image, covered, strides, strict=True)
    )
    parts = []
    for tap in itertools.product(*map(range, kernel)):
        starts = tuple(place * dilation for place, dilation in zip(tap, dilations, strict=True))
        part = b(Slice(axes=(2, 3), starts=starts, sizes=sizes, steps=strides), padded)
        parts.append(b(Unsqueeze(axes=(2,)), part))
    shape = (batch, channels * taps, dims.product(sizes))
    return b(Reshape(shape=shape), b(Concat(axis=2), *parts))


@rule("ops.Fold")
def fold(layer: KerasLayer, b: Builder) -> Value:
    """The reverse: what windows have in common is added up."""
    x = layer.floats(layer.tensor(0, "x"))
    amounts = layer.integers("padding", 2, 0)
    op = Col2Im(
        image=layer.sizes("output_size", 2),
        block=layer.sizes("kernel_size", 2),
        strides=layer.sizes("stride", 2, 1),
        dilations=layer.sizes("dilation", 2, 1),
        pads=tuple((amount, amount) for amount in amounts),
    )
    return b(op, x)


@rule("ops.PSNR")
def noise_ratio(layer: KerasLayer, b: Builder) -> Value:
    """Decibels of the largest value over the mean squared difference of all elements."""
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    axes = tuple(range(left.type.rank))
    error = b(ReduceMean(axes=axes, keepdims=False), b(Square(), b(Sub(), left, right)))
    level = 20 * math.log10(max(layer.number("max_val"), 1e-300))
    return b(Add(), b(Mul(), b(Log(), error), -10 / math.log(10)), level)
