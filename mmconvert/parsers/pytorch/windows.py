"""PyTorch rules that take windows apart, put them together, and sample at computed places."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.conv import LAYOUT, batched
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule("aten.im2col.default")
def im2col(n: Source, b: Builder) -> Value:
    """Windows side by side, by a convolution that picks one element for each of its channels."""
    x = n.value("self")
    kernel = n.integers("kernel_size", count=2)
    channels = x.type.shape[-3]
    if not isinstance(channels, int):
        raise n.unsupported("over an unknown number of channels")
    taps = math.prod(kernel)
    weight = np.tile(np.eye(taps, dtype=x.type.dtype).reshape(taps, 1, *kernel), (channels, 1, 1, 1))
    op = ops.Conv(
        strides=n.integers("stride", 1, count=2),
        dilations=n.integers("dilation", 1, count=2),
        padding=Explicit(tuple((p, p) for p in n.integers("padding", 0, count=2))),
        groups=channels,
        layout=LAYOUT,
    )
    y = b(op, batched(b, x, 4), weight)
    batch, made, height, width = y.type.shape
    return unbatched_rows(b, b(ops.Reshape(shape=(batch, made, height * width)), y), n)


def unbatched_rows(b: Builder, y: Value, n: Source) -> Value:
    """``y`` in the shape that torch noted."""
    return y if y.type.rank == n.result().rank else b(ops.Squeeze(axes=(0,)), y)


@rule("aten.col2im.default")
def col2im(n: Source, b: Builder) -> Value:
    x = n.value("self")
    op = ops.Col2Im(
        image=n.extents("output_size"),
        block=n.integers("kernel_size", count=2),
        strides=n.integers("stride", 1, count=2),
        dilations=n.integers("dilation", 1, count=2),
        pads=tuple((p, p) for p in n.integers("padding", 0, count=2)),
    )
    return unbatched_rows(b, b(op, batched(b, x, 3)), n)


_MODES: tuple[Literal["linear", "nearest", "cubic"], ...] = ("linear", "nearest", "cubic")
_PADDINGS: tuple[Literal["zeros", "border", "reflection"], ...] = ("zeros", "border", "reflection")


@rule("aten.grid_sampler.default", "aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default")
def grid_sampler(n: Source, b: Builder) -> Value:
    mode, padding = n.integer("interpolation_mode"), n.integer("padding_mode")
    if not (0 <= mode < len(_MODES) and 0 <= padding < len(_PADDINGS)):
        raise n.unsupported(f"interpolation_mode={mode}, padding_mode={padding}")
    op = ops.GridSample(mode=_MODES[mode], padding=_PADDINGS[padding], align_corners=n.flag("align_corners"))
    return b(op, n.value("input"), n.value("grid"))


@rule("torchvision.deform_conv2d.default")
def deform_conv(n: Source, b: Builder) -> Value:
    op = ops.DeformConv(
        strides=(n.integer("stride_h"), n.integer("stride_w")),
        dilations=(n.integer("dilation_h"), n.integer("dilation_w")),
        pads=((n.integer("pad_h"),) * 2, (n.integer("pad_w"),) * 2),
        groups=n.integer("groups"),
        offset_groups=n.integer("offset_groups"),
    )
    mask = n.value("mask") if n.flag("use_mask") else None
    n.ignore("mask")
    return b(op, n.value("input"), n.value("weight"), n.value("offset"), n.value("bias"), mask)


@rule("aten.max_unpool2d.default", "aten.max_unpool3d.default")
def max_unpool(n: Source, b: Builder) -> Value:
    """Every element at the position in its channel's picture that an index names, 0 elsewhere."""
    x, places = n.value("self"), n.value("indices")
    n.ignore("output_size", "stride", "padding")
    type, count = n.result(), 2 if "2d" in n.kind else 3
    area = math.prod(e for e in type.shape[-count:] if isinstance(e, int))
    if not all(isinstance(e, int) for e in type.shape[-count:]):
        raise n.unsupported("into a picture of unknown extents")
    outer = type.shape[:-count]
    inner = math.prod(e for e in x.type.shape[-count:] if isinstance(e, int))
    flat, where = (b(ops.Reshape(shape=(*outer, inner)), v) for v in (x, places))
    blank = b(ops.Expand(shape=(*outer, area)), n.scalar(0.0, type.dtype))
    full = b(ops.ScatterElements(axis=len(outer)), blank, where, flat)
    return b(ops.Reshape(shape=type.shape), full)
