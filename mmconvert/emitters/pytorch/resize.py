"""PyTorch rules for sampling on another grid, and at computed positions."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, number, sequence
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_SAMPLES = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}


@rule(ops.Resize)
def resize(node: Node[ops.Resize], out: Writer) -> str:
    op, x, y = node.op, node.operand(0), node.output
    rank = x.type.rank
    out.require(rank in (3, 4, 5) and min(op.axes, default=0) >= 2, "torch resizes pictures")
    out.require(not op.exclude_outside and not op.roi, "torch has no regions, and lets the edge go on")
    mode, corners = _mode(node, out)
    out.require(not op.antialias, "torch's filter is cut off otherwise")
    out.require(dtypes.is_float(x.type.dtype), "torch resizes floats")
    sizes = y.type.shape[2:]
    options: dict[str, str | None] = {"mode": f'"{mode}"', "align_corners": corners}
    scales = dict(zip(op.axes, op.scales, strict=True)) if op.scales else {}
    scaled = [scales.get(a) for a in range(2, rank)]
    exact = all(
        s is None or _is_scale(s, e, size) for s, e, size in zip(scaled, x.type.shape[2:], sizes, strict=True)
    )
    if all(s is not None for s in scaled) and exact and any(isinstance(e, Dim) for e in sizes):
        factors = [number(s) for s in scaled]
        one = factors[0] if len(set(factors)) == 1 else sequence(factors)
        return call("F.interpolate", out.read(x), scale_factor=one, **options)
    out.require(exact, "torch takes the scale from the extents")
    return call("F.interpolate", out.name(x), size=out.shape(sizes), **options)


def _mode(node: Node[ops.Resize], out: Writer) -> tuple[str, str | None]:
    """What torch calls the mode, and whether the corners are aligned."""
    op, rank = node.op, node.operand(0).type.rank
    pairs = [(node.operand(0).type.shape[a], node.output.type.shape[a]) for a in op.axes]
    if op.mode == "nearest":
        if op.coordinates == "asymmetric" and op.nearest == "floor":
            return "nearest", None
        by_corner = op.coordinates == "tf_half_pixel_for_nn" and op.nearest == "floor"
        several = all(isinstance(s, Dim) or s > 1 for _, s in pairs)
        half = op.coordinates == "half_pixel" or (op.coordinates == "pytorch_half_pixel" and several)
        centred = half and (
            op.nearest == "round_prefer_ceil"
            or (op.nearest == "round_prefer_floor" and all(_is_multiple(e, s) for e, s in pairs))
        )
        out.require(
            by_corner or centred, f"torch has no nearest neighbours by {op.coordinates} and {op.nearest}"
        )
        return "nearest-exact", None
    out.require(
        op.mode == "linear" or (rank == 4 and op.cubic_coeff == -0.75), "torch's cubic is another one"
    )
    mode = _LINEAR[rank] if op.mode == "linear" else "bicubic"
    if op.coordinates == "align_corners":
        return mode, "True"
    several = all(isinstance(s, Dim) or s > 1 for _, s in pairs)
    half = op.coordinates == "half_pixel" or (op.coordinates == "pytorch_half_pixel" and several)
    out.require(half, f"torch does not sample by {op.coordinates}")
    return mode, "False"


def _is_multiple(extent: Extent, size: Extent) -> bool:
    return any(size == extent * k for k in range(1, 65))


def _is_scale(scale: float, extent: Extent, size: Extent) -> bool:
    if isinstance(extent, int) and isinstance(size, int):
        return abs(scale * extent - size) < 1e-6
    return scale == int(scale) and size == extent * int(scale)


@rule(ops.GridSample)
def grid_sample(node: Node[ops.GridSample], out: Writer) -> str:
    op, x, grid = node.op, node.operand(0), node.operand(1)
    out.require(x.type.rank in (4, 5), "torch samples pictures and volumes")
    out.require(op.mode != "cubic" or x.type.rank == 4, "torch has no cubic sampling of volumes")
    return call(
        "F.grid_sample",
        out.name(x),
        out.tensor(grid) if grid.constant is not None else out.name(grid),
        mode=f'"{_SAMPLES[op.mode]}"',
        padding_mode=f'"{op.padding}"',
        align_corners=str(op.align_corners),
    )
