"""Padding and resizing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.onnx.extents import extents, one_number
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.types import Extent, Shape
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_BY_SIZE = ("align_corners", "tf_crop_and_resize")
"""The coordinates that are computed from sizes, never from scales."""


@rule(ops.Pad)
def pad(node: Node[ops.Pad], out: Writer) -> None:
    op, dtype = node.op, node.output.type.dtype
    since = {"symmetric": 1 << 30, "wrap": 19}.get(op.mode, 1)
    out.require(out.opset >= since, f"ONNX has no mode {op.mode!r} at opset {out.opset}")
    if out.opset < 11 and op.mode == "constant" and dtype in (dtypes.I64, dtypes.U64):
        _join(node, out)
        return
    amounts = extents(out, [before for before, _ in op.pads] + [after for _, after in op.pads])
    value = (
        out.constant(np.asarray(op.value).astype(dtype), dtype, "value")
        if op.mode == "constant" and op.value
        else None
    )
    out("Pad", node.operand(0), amounts, value, into=node, mode=op.mode)


def _join(node: Node[ops.Pad], out: Writer) -> None:
    """Padding put beside the elements: before opset 11 only floats were padded, which do not hold these."""
    op, x = node.op, node.operand(0)
    out.require(
        all(isinstance(p, int) and p >= 0 for pair in op.pads for p in pair), "ONNX only adds elements"
    )
    padded = [axis for axis, pair in enumerate(op.pads) if any(pair)]
    y: Operand = x if padded else out("Identity", x, into=node)
    value, shape = one_number(op.value, x.type.dtype), list(x.type.shape)
    for axis in padded:
        blocks = [[*shape[:axis], count, *shape[axis + 1 :]] if count else None for count in op.pads[axis]]
        before, after = (
            [] if block is None else [out("ConstantOfShape", extents(out, block), value=value)]
            for block in blocks
        )
        y = out("Concat", *before, y, *after, into=node if axis == padded[-1] else None, axis=axis)
        shape[axis] += sum(op.pads[axis])


@rule(ops.Resize)
def upsample(node: Node[ops.Resize], out: Writer) -> None:
    # Before opset 11 all positions were i / scale, rounded downwards where nothing shrank.
    op, x = node.op, node.operand(0)
    _require_real_positions(op, out)
    scales = _scales(x.type.shape, replace(op, scales=op.scales or _ratios(x.type.shape, op)))
    plain = scales is not None and all(
        _is_plain(op, i, x.type.shape[axis], scales[axis]) for i, axis in enumerate(op.axes)
    )
    pictures = op.mode == "nearest" or (x.type.rank == 4 and set(op.axes) <= {2, 3})
    out.require(
        plain and pictures and op.mode != "cubic" and not op.antialias,
        "ONNX resizes with other than the simplest coordinates since opset 11",
    )
    kind = "Resize" if out.opset >= 10 else "Upsample"
    out(kind, x, out.constant(scales, dtypes.F32, "scales"), into=node, mode=op.mode)


def _require_real_positions(op: ops.Resize, out: Writer) -> None:
    out.require(not op.position_bits, "ONNX has no positions in fixed-point arithmetic")


def _ratios(have: Shape, op: ops.Resize) -> tuple[float, ...]:
    """The whole numbers by which the axes grow, none when one of them does not grow by any."""
    found = [
        next((k for k in range(1, 17) if have[axis] * k == size), 0)
        for axis, size in zip(op.axes, op.sizes, strict=True)
    ]
    return tuple(map(float, found)) if all(found) else ()


def _is_plain(op: ops.Resize, index: int, extent: Extent, scale: np.float32) -> bool:
    """True when an axis is sampled at ``i / scale``, rounded downwards: a ramp comes out the same."""
    count = extent if isinstance(extent, int) else 8
    size = op.sizes[index] if isinstance(extent, int) else int(count * scale)
    if not isinstance(size, int) or size < count or op.roi:
        return False
    scales = (op.scales[index],) if op.scales else ()
    line = replace(op, axes=(0,), sizes=(size,), scales=scales)
    plain = replace(
        line, scales=(float(scale),), coordinates="asymmetric", nearest="floor", exclude_outside=False
    )
    ramp = np.arange(count, dtype=np.float64)
    return np.allclose(line.evaluate(ramp), plain.evaluate(ramp), rtol=1e-6)


@rule(ops.Resize, since=11)
def resize(node: Node[ops.Resize], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    _require_real_positions(op, out)
    last = {x.type.rank - 2, x.type.rank - 1}
    out.require(
        op.mode != "cubic" or set(op.axes) <= last, "runtimes resize by cubics over the last two axes"
    )
    attributes = {"mode": op.mode, **_coordinates(node, out)}
    if op.mode == "cubic":
        attributes["cubic_coeff_a"] = float(op.cubic_coeff)
    if op.exclude_outside:
        attributes["exclude_outside"] = 1
    if op.antialias:
        out.require(out.opset >= 18, "ONNX has antialias since opset 18")
        attributes["antialias"] = 1
    roi = None
    if op.coordinates == "tf_crop_and_resize":
        roi = _roi(node, out)
        attributes["extrapolation_value"] = float(op.extrapolation_value)
    sizes: str | None = None
    scales = _scales(x.type.shape, op)
    if scales is None:
        out.require(
            not op.scales or op.coordinates in _BY_SIZE, f"the sizes {op.sizes} do not follow from the scales"
        )
        sizes = extents(out, node.output.type.shape)
    factors = None if scales is None else out.constant(scales, dtypes.F32, "scales")
    if out.opset < 13:  # both had to be there
        nothing = out.constant([], dtypes.F32, "nothing")
        roi, factors = roi or nothing, factors or nothing
    out("Resize", x, roi, factors, sizes, into=node, **attributes)


def _coordinates(node: Node[ops.Resize], out: Writer) -> dict[str, Any]:
    op = node.op
    coordinates, nearest = op.coordinates, op.nearest
    if coordinates == "tf_half_pixel_for_nn":
        # floor(c) is round_prefer_ceil(c - 0.5), where the half pixel is taken off again.
        out.require(nearest == "floor", f"ONNX has no {coordinates} rounded by {nearest}")
        coordinates, nearest = "half_pixel", "round_prefer_ceil"
    if coordinates == "half_pixel_symmetric" and not op.scales:
        coordinates = "half_pixel"  # they differ where the scale is not that of the extents
    since = 19 if coordinates == "half_pixel_symmetric" else 1
    out.require(out.opset >= since, f"ONNX has {coordinates} since opset {since}")
    found: dict[str, Any] = {"coordinate_transformation_mode": coordinates}
    return found | {"nearest_mode": nearest} if op.mode == "nearest" else found


def _roi(node: Node[ops.Resize], out: Writer) -> str:
    """The regions of all axes: all starts, then all ends."""
    regions = dict(zip(node.op.axes, node.op.roi, strict=True))
    whole = [regions.get(a, (0.0, 1.0)) for a in range(node.output.type.rank)]
    return out.constant([s for s, _ in whole] + [e for _, e in whole], dtypes.F32, "roi")


def _scales(have: Shape, op: ops.Resize) -> list[np.float32] | None:
    """The scale of each axis, or None where only sizes say what is meant.

    The source's own scales are kept, since positions are computed from them. Scales also serve where axes
    that stay have unknown extents, which sizes would have to spell out.
    """
    if not op.scales and all(isinstance(e, int) for e in have):
        return None
    scales = [np.float32(1)] * len(have)
    given = op.scales or (None,) * len(op.axes)
    for axis, size, scale in zip(op.axes, op.sizes, given, strict=True):
        found = _scale(have[axis], size, scale)
        if found is None:
            return None
        scales[axis] = found
    return scales


def _scale(extent: Extent, size: Extent, scale: float | None) -> np.float32 | None:
    """``scale`` in single precision such that ``floor(extent * scale)`` is ``size``, or None."""
    if not isinstance(extent, int) or not isinstance(size, int):
        return None if scale is None else np.float32(scale)
    near = np.float32(size / extent if scale is None else scale)
    for candidate in (near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(0))):
        # Readers multiply in single or in double precision; both have to find the size.
        if int(np.float32(extent) * candidate) == int(extent * float(candidate)) == size:
            return np.float32(candidate)
    return None
