"""NCNN rules for sampling: on another grid, at computed positions, and with moved taps."""

from __future__ import annotations

from mmconvert.emitters.ncnn.batch import items, join
from mmconvert.emitters.ncnn.blob import Blob
from mmconvert.emitters.ncnn.conv import along, constants, sides
from mmconvert.emitters.ncnn.writer import Writer, is_dynamic
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ncnnlib.records import Parameter
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("NCNN")

_NEAREST, _LINEAR, _CUBIC = 1, 2, 3
_TYPES = {"nearest": _NEAREST, "linear": _LINEAR, "cubic": _CUBIC}


@rule(ops.Resize)
def resize(node: Node[ops.Resize], out: Writer) -> None:
    """The last two axes as a picture, or the last one as lines."""
    op, x, y = node.op, node.operand(0), node.output
    rank = x.type.rank
    axes = {a % rank: i for i, a in enumerate(op.axes)}
    if op.position_bits:
        raise UnsupportedError("NCNN has no positions in fixed-point arithmetic")
    if op.antialias or op.exclude_outside or op.roi or (op.mode == "cubic" and op.cubic_coeff != -0.75):
        raise UnsupportedError("NCNN samples without antialiasing, regions, or other cubic functions")
    moved = [a for a in sorted(axes) if x.type.shape[a] != y.type.shape[a]]
    if not moved:
        out.alias(y, x)
        return
    if rank < 2 or any(a < rank - 2 for a in moved):
        raise UnsupportedError("NCNN resizes the last two axes")
    for axis in moved:
        scale = op.scales[axes[axis]] if op.scales else None
        _require_grid(op, x.type.shape[axis], y.type.shape[axis], scale)
    corners = int(op.coordinates == "align_corners")
    parameters: dict[str, Parameter] = {"resize_type": _TYPES[op.mode], "align_corner": corners}
    lines = moved == [rank - 1]
    lead, shape = dims.product(x.type.shape[: rank - 1 - (not lines)]), x.type.shape
    source = out.blob(x, (lead, shape[-1]) if lines else (lead, *shape[-2:]))
    wanted = (lead, y.type.shape[-1]) if lines else (lead, *y.type.shape[-2:])
    spatial = wanted[1:]
    others: list[Blob] = []
    if is_dynamic(spatial):
        (text,), others = out.extents.formulas([list(reversed(spatial))], source)
        parameters["size_expr"] = text
    elif lines:
        # Without a height, the width counts for nothing.
        parameters |= {"output_height": 1, "output_width": dims.numbers(spatial)[0]}
    else:
        parameters["output_height"], parameters["output_width"] = dims.numbers(spatial)
    out.place(y, out.layer("Interp", (source, *others), wanted, **parameters))


def _require_grid(op: ops.Resize, extent: Extent, size: Extent, scale: float | None) -> None:
    """Checks that the positions are those that NCNN computes."""
    if scale is not None:
        numbers = isinstance(extent, int) and isinstance(size, int)
        if not (numbers and abs(scale * int(str(extent)) - int(str(size))) < 1e-6):
            whole = scale == int(scale) and size == extent * int(scale)
            if not whole:
                raise UnsupportedError("NCNN computes the scale from the extents")
    if op.mode == "nearest":
        times = dims.floordiv(size, extent) if extent else 0
        whole = isinstance(times, int) and extent * times == size
        exact = op.coordinates == "asymmetric" and op.nearest == "floor"
        centred = op.coordinates in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
        centred = centred and op.nearest in ("round_prefer_floor", "round_prefer_ceil")
        by_corner = op.coordinates == "tf_half_pixel_for_nn" and op.nearest == "floor"
        if not (exact or (whole and (centred or by_corner))):
            raise UnsupportedError(f"NCNN has no nearest neighbours by {op.coordinates} and {op.nearest}")
        return
    if op.coordinates in ("half_pixel", "half_pixel_symmetric"):
        return
    if op.coordinates in ("pytorch_half_pixel", "align_corners") and (isinstance(size, Dim) or size > 1):
        return
    raise UnsupportedError(f"NCNN does not sample by {op.coordinates}")


_MODES = {"linear": 1, "nearest": 2, "cubic": 3}
_OUTSIDE = {"zeros": 1, "border": 2, "reflection": 3}


@rule(ops.GridSample)
def grid_sample(node: Node[ops.GridSample], out: Writer) -> None:
    """One picture after the other."""
    op, x, grid = node.op, node.operand(0), node.operand(1)
    if x.type.rank not in (4, 5):
        raise UnsupportedError("NCNN samples pictures and volumes")
    if op.mode == "cubic" and x.type.rank == 5:
        raise UnsupportedError("NCNN has no cubic sampling of volumes")
    parts = []
    for picture, places in zip(items(x, out), items(grid, out), strict=True):
        shape = node.output.type.shape[1:]
        made = out.layer(
            "GridSample",
            (picture, places),
            shape,
            sample_type=_MODES[op.mode],
            padding_mode=_OUTSIDE[op.padding],
            align_corner=int(op.align_corners),
        )
        parts.append(made)
    join(parts, node.output, out)


@rule(ops.DeformConv)
def deform_conv(node: Node[ops.DeformConv], out: Writer) -> None:
    op, x, weight, offset = node.op, node.operand(0), node.operand(1), node.operand(2)
    bias, mask = node.optional(3), node.optional(4)
    if op.groups != 1 or op.offset_groups != 1:
        raise UnsupportedError("NCNN's deformable convolution has one group")
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise UnsupportedError("NCNN's deformable convolution has constant weights")
    rows = [items(v, out) for v in (x, offset, mask) if v is not None]
    kernel = weight.constant.shape[2:]
    parts = [
        out.layer(
            "DeformableConv2D",
            operands,
            node.output.type.shape[1:],
            weights=constants(weight.constant, bias),
            num_output=weight.constant.shape[0],
            weight_data_size=weight.constant.size,
            bias_term=int(bias is not None),
            **along("kernel", kernel),
            **along("dilation", op.dilations),
            **along("stride", op.strides),
            **sides(op.pads),
        )
        for operands in zip(*rows, strict=True)
    ]
    join(parts, node.output, out)
