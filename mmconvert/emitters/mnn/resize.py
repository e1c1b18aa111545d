"""MNN rules for resizing and sampling."""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes, mnnlib
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import GridSample, Resize
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_COORDINATES = {"align_corners": 1, "half_pixel": 2, "pytorch_half_pixel": 3, "asymmetric": 4}
_KINDS = {"nearest": 1, "linear": 2, "cubic": 3}
_NEAREST_ROUND = 4


@rule(Resize)
def resize(node: Node[Resize], out: Writer) -> None:
    """Images, over both of their axes."""
    op, x, y = node.op, node.operand(0), node.output
    _refuse(op, x)
    rounds = op.mode == "nearest" and op.nearest == "round_prefer_floor"
    parameters: dict[str, Any] = {
        "resizeType": _NEAREST_ROUND if rounds else _KINDS[op.mode],
        "ctm": _COORDINATES[op.coordinates],
        "cubicCoeffA": op.cubic_coeff,
        "alignCorners": op.coordinates == "align_corners",
        "halfPixelCenters": op.coordinates in ("half_pixel", "pytorch_half_pixel"),
    }
    height, width = y.type.shape[2:]
    operands = [x]
    if isinstance(height, int) and isinstance(width, int):
        parameters |= {"outputHeight": height, "outputWidth": width}
    else:
        operands.append(out.extents.vector((height, width)))
    out("Interp", operands, y, packed=True, layout=mnnlib.NCHW, **parameters)


def _refuse(op: Resize, x: Value) -> None:
    if x.type.rank != 4 or not set(op.axes) <= {2, 3} or not dtypes.is_float(x.type.dtype):
        raise UnsupportedError("MNN resizes images of floats, over height and width")
    if op.position_bits:
        raise UnsupportedError("MNN has no positions in fixed-point arithmetic")
    if op.coordinates not in _COORDINATES or op.antialias or op.exclude_outside:
        raise UnsupportedError(f"MNN has no {op.coordinates} with these filters at the edge")
    if op.mode == "nearest" and op.nearest not in ("floor", "round_prefer_floor"):
        raise UnsupportedError(f"MNN does not round places by {op.nearest}")
    if op.mode == "cubic" and op.coordinates in ("half_pixel", "pytorch_half_pixel"):
        raise UnsupportedError("MNN samples by cubic functions from other places than half pixels")
    scales = op.scales or (1.0,) * len(op.axes)
    for axis, size, scale in zip(op.axes, op.sizes, scales, strict=True):
        extent = x.type.shape[axis]
        whole = scale.is_integer() or (isinstance(extent, int) and size == extent * scale)
        if op.scales and not whole:
            raise UnsupportedError(f"MNN takes the ratio of extents for the scale, and not {scale}")


@rule(GridSample)
def grid_sample(node: Node[GridSample], out: Writer) -> None:
    op, x, grid = node.op, node.operand(0), node.operand(1)
    if x.type.rank != 4 or op.mode == "cubic" or op.padding == "reflection":
        raise UnsupportedError("MNN samples images, to the nearest or linearly, and reflects nothing")
    out(
        "GridSample",
        (x, grid),
        node.output,
        packed=True,
        plain=(grid,),
        mode={"linear": 0, "nearest": 1}[op.mode],
        paddingMode={"zeros": 0, "border": 1}[op.padding],
        alignCorners=op.align_corners,
    )
