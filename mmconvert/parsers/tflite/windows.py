"""TFLite rules for convolution and pooling: NHWC, with SAME or VALID padding."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Extent, Layout
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.quantization import Arithmetic
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.weights import bias, multiplied, weight
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

LAYOUT = Layout.NHWC
_MEAN_BITS = (12,)
"""Integers divided by how many they are, exactly: enough to tell a half from its neighbours."""

_2D, _3D = ("h", "w"), ("d", "h", "w")


def padding(n: Source, rank: int) -> Padding:
    """The padding over ``rank`` spatial axes."""
    return Same() if n.choice("padding", "SAME", "VALID") == "SAME" else Explicit.zero(rank)


def _strides(n: Source, axes: tuple[str, ...]) -> tuple[int, ...]:
    return n.positive(*(f"stride_{axis}" for axis in axes))


def _dilations(n: Source, axes: tuple[str, ...]) -> tuple[int, ...]:
    return n.positive(*(f"dilation_{axis}_factor" for axis in axes))


def _convolved(n: Source, b: Builder, x: Value, filters: Value, groups: int, axes: tuple[str, ...]) -> Value:
    """``filters`` are in the IR's order: output channels, kernel, input channels of a group."""
    op = ops.Conv(
        strides=_strides(n, axes),
        dilations=_dilations(n, axes),
        padding=padding(n, len(axes)),
        groups=groups,
        layout=LAYOUT,
    )
    n.ignore("quantized_bias_type")
    n.multiplies(0, 1)
    return activated(n, b, b(op, x, filters, bias(n, b, 2, 0, 1)))


@rule("CONV_2D")
def conv_2d(n: Source, b: Builder) -> Value:
    shape, filters = n.operand(0).type.require_rank(4).shape, n.operand(1)
    groups = dims.floordiv(shape[3], filters.type.require_rank(4).shape[3] or 1)
    if not isinstance(groups, int):
        raise n.unsupported("of an unknown number of channels")
    q = n.quantization(1)
    x = multiplied(n, b, n.operand(0), 1, symmetric=q is None or q.scale.size == 1 or not np.ptp(q.scale))
    return _convolved(n, b, x, filters, groups, _2D)


@rule("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(n: Source, b: Builder) -> Value:
    channels = n.operand(0).type.require_rank(4).shape[3]
    n.ignore("depth_multiplier")  # follows from the weights, which is where runtimes take it from
    if not isinstance(channels, int):
        raise n.unsupported("of an unknown number of channels")
    x = multiplied(n, b, n.operand(0), 1, symmetric=False)
    return _convolved(n, b, x, weight(n, b, 1, (3, 1, 2, 0)), channels, _2D)


@rule("CONV_3D")
def conv_3d(n: Source, b: Builder) -> Value:
    filters = weight(n, b, 1, (4, 0, 1, 2, 3))
    groups = dims.floordiv(n.operand(0).type.require_rank(5).shape[4], filters.type.shape[4] or 1)
    if not isinstance(groups, int):
        raise n.unsupported("of an unknown number of channels")
    return _convolved(n, b, n.operand(0), filters, groups, _3D)


@rule("TRANSPOSE_CONV")
def transpose_conv(n: Source, b: Builder) -> Value:
    n.ignore("quantized_bias_type")
    return _transposed(n, b, weight(n, b, 1, (3, 1, 2, 0)), (1, 1), _2D)


@rule("CONV_3D_TRANSPOSE")
def conv_3d_transpose(n: Source, b: Builder) -> Value:
    return _transposed(n, b, weight(n, b, 1, (4, 0, 1, 2, 3)), _dilations(n, _3D), _3D)


def _transposed(
    n: Source, b: Builder, filters: Value, dilations: tuple[int, ...], axes: tuple[str, ...]
) -> Value:
    """Operands: the shape of the result, the weights, the data, and perhaps a bias."""
    x, strides, wanted = n.operand(2), _strides(n, axes), n.extents(0, "an output shape")
    rank = len(axes) + 2
    if len(wanted) != x.type.require_rank(rank).rank or any(d != 1 for d in dilations):
        raise n.unsupported(f"to the shape {list(wanted)}, dilated by {list(dilations)}")
    kernel = dims.numbers(filters.type.shape[1:-1])
    ends = padding(n, len(axes))
    found = [
        _crop(n, x.type.shape[1 + i], wanted[1 + i], kernel[i], strides[i], isinstance(ends, Same))
        for i in range(len(axes))
    ]
    op = ops.ConvTranspose(
        strides=strides,
        dilations=dilations,
        padding=Explicit(tuple(pads for pads, _ in found)),
        output_padding=tuple(extra for _, extra in found),
        layout=LAYOUT,
    )
    n.multiplies(2, 1)
    y = b(op, x, filters, bias(n, b, 3, 2, 1))
    return activated(n, b, y)


def _crop(
    n: Source, extent: Extent, wanted: Extent, kernel: int, stride: int, same: bool
) -> tuple[tuple[int, int], int]:
    """What is cut off before and after the whole transpose, and what is added behind it."""
    spare = (extent - 1) * stride + kernel - wanted
    if not isinstance(spare, int):
        raise n.unsupported("to a shape that does not follow from that of its operand")
    before = spare // 2 if same and spare > 0 else 0
    return (before, max(spare - before, 0)), max(-spare, 0)


def _pool(n: Source, b: Builder, kind: type[ops.MaxPool | ops.AveragePool], x: Value) -> Value:
    op = kind(
        kernel=n.positive("filter_height", "filter_width"),
        strides=_strides(n, _2D),
        dilations=(1, 1),
        padding=padding(n, 2),
        layout=LAYOUT,
    )
    return b(op, x)


@rule("MAX_POOL_2D")
def max_pool_2d(n: Source, b: Builder) -> Value:
    """Of integers when nothing else happens to them: the largest stored number is the largest real one."""
    plain = n.alike(0) and not n.pending("fused_activation_function")
    return activated(n, b, _pool(n, b, ops.MaxPool, n.stored(0) if plain else n.operand(0)))


@rule("AVERAGE_POOL_2D")
def average_pool_2d(n: Source, b: Builder) -> Value:
    n.arithmetic = Arithmetic("half_away_stored", _MEAN_BITS)
    return activated(n, b, _pool(n, b, ops.AveragePool, n.operand(0)))


@rule("L2_POOL_2D")
def l2_pool_2d(n: Source, b: Builder) -> Value:
    squares = b(ops.Square(), n.operand(0))
    return activated(n, b, b(ops.Sqrt(), _pool(n, b, ops.AveragePool, squares)))
