"""TFLite rules for sampling on another grid."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape
from mmconvert.parsers.tflite.quantization import Arithmetic
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


_BITS = (12,)
"""The kernels interpolate integers with 20 bits behind the point; fewer hide how floats round on the way."""

_POSITION_BITS = 10
"""Where integers with a sign are sampled, positions and the step between them are fixed-point numbers."""


def _sizes(n: Source, x: Value) -> Shape:
    x.type.require_rank(4)
    sizes = n.extents(1, "sizes")
    if len(sizes) != 2:
        raise n.invalid(f"to {len(sizes)} sizes")
    return sizes


@rule("RESIZE_BILINEAR")
def resize_bilinear(n: Source, b: Builder) -> Value:
    x, corners, half = n.operand(0), n.flag("align_corners"), n.flag("half_pixel_centers")
    op = ops.Resize(
        axes=(1, 2),
        sizes=_sizes(n, x),
        mode="linear",
        coordinates="align_corners" if corners else "half_pixel" if half else "asymmetric",
        position_bits=_POSITION_BITS if n.record(0).dtype == dtypes.I8 else 0,
    )
    n.arithmetic = Arithmetic("half_away_stored", _BITS)
    return b(op, x)


@rule("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(n: Source, b: Builder) -> Value:
    """The element below, or with aligned corners the nearest one, of halves the one above."""
    x, corners, half = n.stored(0), n.flag("align_corners"), n.flag("half_pixel_centers")
    if corners and half:
        raise n.unsupported("with both align_corners and half_pixel_centers")
    op = ops.Resize(
        axes=(1, 2),
        sizes=_sizes(n, x),
        mode="nearest",
        coordinates="align_corners" if corners else "tf_half_pixel_for_nn" if half else "asymmetric",
        nearest="round_prefer_ceil" if corners else "floor",
    )
    return b(op, x)
