"""Operations of `keras.ops.image`: cropping and padding, patches, colours, filters."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Abs,
    Add,
    Clip,
    Concat,
    Conv,
    Div,
    Equal,
    Greater,
    Less,
    Mul,
    Pad,
    ReduceMax,
    ReduceMin,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Sub,
    Transpose,
    Unsqueeze,
    Where,
)
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.arranging import padding
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")


def _batched(layer: KerasLayer, b: Builder, x: Value, rank: int = 2) -> tuple[Value, bool]:
    """``x`` with a batch axis, and whether that is new."""
    if x.type.rank not in (rank + 1, rank + 2):
        raise layer.invalid(f"images have rank {rank + 1} or {rank + 2}, not {x.type}")
    single = x.type.rank == rank + 1
    return (b(Unsqueeze(axes=(0,)), x) if single else x), single


def _spatial(layer: KerasLayer, x: Value) -> tuple[int, int]:
    """The axes of height and width."""
    last = layer.layout() is Layout.NHWC
    return (x.type.rank - 3, x.type.rank - 2) if last else (x.type.rank - 2, x.type.rank - 1)


def _margins(layer: KerasLayer, x: Value, what: str) -> list[tuple[int, int, int]]:
    """For each axis what is added or taken before and after, and the extent that results.

    Of the two amounts and the extent, two are given.
    """
    sign = 1 if what == "padding" else -1
    found = []
    for axis, (before, after, target) in zip(
        _spatial(layer, x),
        (("top", "bottom", "height"), ("left", "right", "width")),
        strict=True,
    ):
        keys = (f"{before}_{what}", f"{after}_{what}", f"target_{target}")
        head, tail, size = (None if layer.setting(k, None) is None else layer.integer(k) for k in keys)
        if (head, tail, size).count(None) > 1:
            raise layer.invalid(f"two of {', '.join(keys)} have to be given")
        extent = layer.extent(x, axis)
        if size is None:
            size = extent + sign * ((head or 0) + (tail or 0))
        elif head is None:
            head = sign * (size - extent) - (tail or 0)
        elif tail is None:
            tail = sign * (size - extent) - head
        if min(head or 0, tail or 0, size) < 0:
            raise layer.invalid(f"{what} of {head} and {tail} does not lead from {extent} to {size}")
        found.append((head or 0, tail or 0, size))
    return found


@rule("ops.CropImages")
def crop(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "images")
    margins = _margins(layer, x, "cropping")
    starts, sizes = tuple(head for head, _, _ in margins), tuple(size for _, _, size in margins)
    return b(Slice(axes=_spatial(layer, x), starts=starts, sizes=sizes, steps=(1, 1)), x)


@rule("ops.PadImages")
def pad(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "images")
    amounts = dict(zip(_spatial(layer, x), _margins(layer, x, "padding"), strict=True))
    return b(Pad(pads=tuple(amounts.get(axis, (0, 0, 0))[:2] for axis in range(x.type.rank))), x)


@rule("ops.ExtractPatches")
def patches(layer: KerasLayer, b: Builder) -> Value:
    """Windows with their elements in the channels, as a convolution that picks each of them."""
    given = layer.setting("size")
    rank = len(given) if isinstance(given, list) else 2
    x, single = _batched(layer, b, layer.floats(layer.tensor(0, "images")), rank)
    size, layout = layer.sizes("size", rank), layer.layout()
    channels = layer.extent(x, layout.channel_axis(x.type.rank))
    count = math.prod(size) * channels
    if count > 1 << 13:
        raise layer.refuse(f"patches of {count} numbers")
    kernel = np.eye(count).reshape((count, *size, channels)).astype(x.type.dtype)
    if layout is Layout.NCHW:
        kernel = np.moveaxis(kernel, -1, 1)
    op = Conv(
        strides=size if layer.setting("strides", None) is None else layer.sizes("strides", rank),
        dilations=layer.sizes("dilation_rate", rank, 1),
        padding=padding(layer, rank),
        layout=layout,
    )
    y = b(op, x, b.constant(np.ascontiguousarray(kernel)))
    return b(Squeeze(axes=(0,)), y) if single else y


# --- colours -------------------------------------------------------------------------------------------


def _planes(layer: KerasLayer, b: Builder, x: Value) -> tuple[list[Value], int]:
    """The three channels, each on its own, and their axis."""
    axis = x.type.rank - (1 if layer.layout() is Layout.NHWC else 3)
    return list(b.multi(Split(axis=axis, sizes=(1, 1, 1)), x)), axis


@rule("ops.RGBToHSV")
def to_hsv(layer: KerasLayer, b: Builder) -> Value:
    """Smith, "Color gamut transform pairs", 1978; all three between 0 and 1."""
    x = layer.floats(layer.tensor(0, "images"))
    (red, green, blue), axis = _planes(layer, b, x)
    value, least = (b(cls(axes=(axis,), keepdims=True), x) for cls in (ReduceMax, ReduceMin))
    span, zero, one = b(Sub(), value, least), *(b.constant(n, x.type.dtype) for n in (0, 1))
    some, lit = b(Greater(), span, zero), b(Greater(), value, zero)
    safe = b(Where(), some, span, one)

    def sixth(left: Value, right: Value, base: float) -> Value:
        return b(Add(), b(Div(), b(Sub(), left, right), b(Mul(), safe, 6.0)), base)

    hue = b(Where(), b(Equal(), value, green), sixth(blue, red, 1 / 3), sixth(red, green, 2 / 3))
    hue = b(Where(), b(Equal(), value, red), sixth(green, blue, 0.0), hue)
    hue = b(Where(), some, hue, zero)
    hue = b(Where(), b(Less(), hue, zero), b(Add(), hue, 1.0), hue)
    saturation = b(Where(), lit, b(Div(), span, b(Where(), lit, value, one)), zero)
    return b(Concat(axis=axis), hue, saturation, value)


@rule("ops.HSVToRGB")
def to_rgb(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.tensor(0, "images"))
    (hue, saturation, value), axis = _planes(layer, b, x)
    sixths = b(Mul(), hue, 6.0)
    colours = []
    for center, sign, base in ((3.0, 1.0, -1.0), (2.0, -1.0, 2.0), (4.0, -1.0, 2.0)):
        away = b(Mul(), b(Abs(), b(Sub(), sixths, center)), sign)
        share = b(Clip(low=0.0, high=1.0), b(Add(), away, base))
        grey = b(Sub(), 1.0, saturation)
        colours.append(b(Mul(), b(Add(), grey, b(Mul(), saturation, share)), value))
    return b(Concat(axis=axis), *colours)


# --- filters -------------------------------------------------------------------------------------------


def _filtered(b: Builder, x: Value, kernels: Array, layout: Layout, edges: Same | Explicit) -> Value:
    """``x`` [N, ...] with each channel through ``kernels`` [filters, height, width], in their order."""
    channels = x.type.shape[layout.channel_axis(4)]
    assert isinstance(channels, int)
    weight = np.tile(kernels, (channels, 1, 1))[..., None].astype(x.type.dtype)
    if layout is Layout.NCHW:
        weight = np.moveaxis(weight, -1, 1)
    op = Conv(strides=(1, 1), dilations=(1, 1), padding=edges, groups=channels, layout=layout)
    return b(op, x, b.constant(np.ascontiguousarray(weight)))


@rule("ops.SobelEdges")
def sobel(layer: KerasLayer, b: Builder) -> Value:
    """Slopes downwards and to the right, along a new last axis."""
    x, layout = layer.floats(layer.tensor(0, "images")), layer.layout()
    x.type.require_rank(4)
    channels = layer.extent(x, layout.channel_axis(4))
    down = np.outer([-1.0, 0.0, 1.0], [1.0, 2.0, 1.0])
    spatial = layout.spatial_axes(4)
    padded = b(Pad(pads=tuple((1, 1) if a in spatial else (0, 0) for a in range(4)), mode="reflect"), x)
    y = _filtered(b, padded, np.stack([down, down.T]), layout, Explicit.zero(2))
    if layout is Layout.NHWC:
        return b(Reshape(shape=(*y.type.shape[:3], channels, 2)), y)
    batch, _, height, width = y.type.shape
    apart = b(Reshape(shape=(batch, channels, 2, height, width)), y)
    return b(Transpose(perm=(0, 1, 3, 4, 2)), apart)


@rule("ops.GaussianBlur")
def blur(layer: KerasLayer, b: Builder) -> Value:
    """With zeros around the image. Keras spreads the first size and sigma over the columns."""
    x, single = _batched(layer, b, layer.floats(layer.tensor(0, "images")))
    layer.extent(x, layer.layout().channel_axis(4))
    size, sigma = layer.sizes("kernel_size", 2, 3), layer.array("sigma").reshape(-1)
    if size[0] != size[1] or len(sigma) != 2 or max(size) > 1 << 10 or sigma.min() <= 0:
        raise layer.refuse("windows that are not square, or no two widths above 0")
    bells = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / s) ** 2) for n, s in zip(size, sigma, strict=True)]
    across, down = (bell / bell.sum() for bell in bells)
    y = _filtered(b, x, np.outer(down, across)[None], layer.layout(), Same())
    return b(Squeeze(axes=(0,)), y) if single else y
