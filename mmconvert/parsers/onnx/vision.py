"""ONNX rules for sampling at computed positions, and for boxes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, geometry, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.parsers.onnx.windows import explicit_pads, kernel_of, positive
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

GRID_MODES: dict[str, Literal["nearest", "linear", "cubic"]] = {
    "linear": "linear",
    "bilinear": "linear",
    "cubic": "cubic",
    "bicubic": "cubic",
    "nearest": "nearest",
}


@rule("GridSample", since=16)
def grid_sample(n: Source, b: Builder) -> Value:
    mode = GRID_MODES[n.choice("mode", "bilinear" if n.version < 20 else "linear", *GRID_MODES)]
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    match n.choice("padding_mode", "zeros", "zeros", "border", "reflection"):
        case "border" | "reflection" as other:
            padding = other
    op = ops.GridSample(mode=mode, padding=padding, align_corners=n.flag("align_corners"))
    return b(op, n.operand(0), n.operand(1))


@rule("AffineGrid", since=20)
def affine_grid(n: Source, b: Builder) -> Value:
    """Where an affine map sends each element; the first coordinate runs along the last axis."""
    theta, size, corners = n.operand(0), n.extents(1, "a size"), n.flag("align_corners")
    if len(size) not in (4, 5):
        raise n.invalid(f"a size of {len(size)} extents must be of 4 or 5")
    spatial, dtype = size[2:], theta.type.dtype
    planes = [b(ops.Fill(shape=(*spatial, 1), value=1.0, dtype=dtype))]
    for axis, extent in enumerate(spatial):
        shape = (*(extent if a == axis else 1 for a in range(len(spatial))), 1)
        line = b(ops.Reshape(shape=shape), cast(b, _line(n, b, axis + 2, extent, corners), dtype))
        planes.insert(0, b(ops.Expand(shape=(*spatial, 1)), line))
    base = b(
        ops.Reshape(shape=(dims.product(spatial), len(spatial) + 1)),
        b(ops.Concat(axis=len(spatial)), *planes),
    )
    grid = b(ops.MatMul(), base, b(ops.Transpose(perm=(0, 2, 1)), theta))
    return b(ops.Reshape(shape=(theta.type.shape[0], *spatial, len(spatial))), grid)


def _line(n: Source, b: Builder, axis: int, extent: Extent, align_corners: bool) -> Value:
    """Positions from -1 to 1: the elements at the ends, or their outer borders."""
    if isinstance(extent, int):
        whole = b.constant(np.arange(extent), dtypes.I64)
        count = b.constant(extent, dtypes.I64)
    else:
        count = cast(b, b(ops.Gather(axis=0), n.operand(1), np.array(axis, np.int64)), dtypes.I64)
        zero, one = np.array(0, np.int64), np.array(1, np.int64)
        whole = b(ops.Range(size=extent), zero, count, one)
    steps, size = (b(ops.Cast(to=dtypes.F64), v) for v in (whole, count))
    if align_corners:
        size = b(ops.Max(), b(ops.Sub(), size, 1.0), 1.0)
    doubled = b(ops.Mul(), steps, 2.0)
    place = b(ops.Div(), doubled if align_corners else b(ops.Add(), doubled, 1.0), size)
    return b(ops.Sub(), place, 1.0)


@rule("RoiAlign", since=10)
def roi_align(n: Source, b: Builder) -> Value:
    plain = "output_half_pixel" if n.version < 16 else "half_pixel"
    coordinates = n.choice("coordinate_transformation_mode", plain, "half_pixel", "output_half_pixel")
    mode: Literal["avg", "max"] = "max" if n.choice("mode", "avg", "avg", "max") == "max" else "avg"
    op = ops.RoiAlign(
        height=n.integer("output_height", 1),
        width=n.integer("output_width", 1),
        ratio=n.integer("sampling_ratio", 0),
        scale=n.real("spatial_scale", 1.0),
        half_pixel=coordinates == "half_pixel",
        mode=mode,
    )
    return b(op, n.operand(0), n.operand(1), n.operand(2))


@rule("MaxRoiPool")
def max_roi_pool(n: Source, b: Builder) -> Value:
    height, width = positive(n, "pooled_shape", 2)
    op = ops.MaxRoiPool(height=height, width=width, scale=n.real("spatial_scale", 1.0))
    return b(op, n.operand(0), n.operand(1))


@rule("NonMaxSuppression", since=10)
def non_max_suppression(n: Source, b: Builder) -> Value:
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    op = ops.NonMaxSuppression(count=count, center_point=n.flag("center_point_box"))
    return b(op, n.operand(0), n.operand(1), *(n.optional(i) for i in range(2, 5)))


@rule("DeformConv", since=19)
def deform_conv(n: Source, b: Builder) -> Value:
    count = len(kernel_of(n, n.operand(1)))
    op = ops.DeformConv(
        strides=positive(n, "strides", count, (1,) * count),
        dilations=positive(n, "dilations", count, (1,) * count),
        pads=explicit_pads(n, count),
        groups=n.integer("group", 1),
        offset_groups=n.integer("offset_group", 1),
    )
    return b(op, n.operand(0), n.operand(1), n.operand(2), n.optional(3), n.optional(4))


@rule("Col2Im", since=18)
def col2im(n: Source, b: Builder) -> Value:
    image, block = n.extents(1, "an image shape"), n.integers_of(2, "a block shape")
    count = len(block)
    op = ops.Col2Im(
        image=image,
        block=block,
        strides=positive(n, "strides", count, (1,) * count),
        dilations=positive(n, "dilations", count, (1,) * count),
        pads=explicit_pads(n, count),
    )
    return b(op, n.operand(0))


@rule("MaxUnpool", since=9)
def max_unpool(n: Source, b: Builder) -> Value:
    """Elements put where the largest ones of a MaxPool came from, counted over the whole output.

    With an output shape they are counted over that, as runtimes do; ONNX's own test counts over the default.
    """
    x, indices = n.operand(0), n.operand(1)
    count = x.type.rank - 2
    kernel = positive(n, "kernel_shape", count)
    strides, pads = positive(n, "strides", count, (1,) * count), explicit_pads(n, count)
    spatial = geometry.transposed(x.type.shape[2:], kernel, strides, Explicit(pads), (0,) * count)
    shape = n.extents(2, "an output shape") if n.has(2) else (*x.type.shape[:2], *spatial)
    zeros = b(ops.Fill(shape=(dims.product(shape),), value=0, dtype=x.type.dtype))
    flat = (x.type.size,)
    places, values = (b(ops.Reshape(shape=flat), v) for v in (indices, x))
    filled = b(ops.ScatterElements(axis=0, reduction="none"), zeros, places, values)
    return b(ops.Reshape(shape=shape), filled)
