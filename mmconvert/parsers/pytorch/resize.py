"""PyTorch rules for interpolation."""

from __future__ import annotations

from typing import Any

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.sampling import Coordinates
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

_LINEAR = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "_upsample_bilinear2d_aa")
_CUBIC = ("upsample_bicubic2d", "_upsample_bicubic2d_aa")
_NEAREST = tuple(
    f"{name}{count}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for count in (1, 2, 3)
)


def _overloads(names: tuple[str, ...]) -> list[str]:
    return [f"aten.{name}.{overload}" for name in names for overload in ("vec", "default")]


@rule(*_overloads(_NEAREST))
def nearest(n: Source, b: Builder) -> Value:
    """The element that the place falls into; of its centre where the name says "exact"."""
    coordinates: Coordinates = "tf_half_pixel_for_nn" if "exact" in n.kind else "asymmetric"
    return _resized(n, b, mode="nearest", coordinates=coordinates, nearest="floor")


@rule(*_overloads(_LINEAR))
def linear(n: Source, b: Builder) -> Value:
    return _smooth(n, b, mode="linear")


@rule(*_overloads(_CUBIC))
def cubic(n: Source, b: Builder) -> Value:
    """The kernel of the filter that does not alias is another one."""
    return _smooth(n, b, mode="cubic", cubic_coeff=-0.5 if "_aa." in n.kind else -0.75)


def _smooth(n: Source, b: Builder, **fields: Any) -> Value:
    antialias = "_aa." in n.kind
    coordinates: Coordinates = "align_corners" if n.flag("align_corners") else "half_pixel"
    return _resized(n, b, coordinates=coordinates, antialias=antialias, exclude_outside=antialias, **fields)


def _resized(n: Source, b: Builder, **fields: Any) -> Value:
    x = n.value("input" if n.given("input") else "self")
    n.ignore("output_size")
    sizes = n.result().shape[2:]
    axes = tuple(range(2, x.type.rank))
    scales = n.reals("scale_factors") if n.given("scale_factors") else _separate(n, len(axes))
    if fields["coordinates"] == "align_corners":
        scales = ()  # the corners alone decide
    return b(ops.Resize(axes=axes, sizes=sizes, scales=scales, **fields), x)


def _separate(n: Source, count: int) -> tuple[float, ...]:
    names = ("scales",) if count == 1 else ("scales_d", "scales_h", "scales_w")[-count:]
    found = [n.real(name) if n.given(name) else 0.0 for name in names]
    return tuple(found) if all(found) else ()
