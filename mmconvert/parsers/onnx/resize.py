"""ONNX rules for Resize and Upsample."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

import numpy as np

from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.sampling import Coordinates, Mode, Nearest
from mmconvert.ir.types import TensorType
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_LARGEST = 2.0**40  # of a scale

_MODES: dict[str, Mode] = {name: name for name in get_args(Mode)}
_COORDINATES: dict[str, Coordinates] = {name: name for name in get_args(Coordinates)}
_NEAREST: dict[str, Nearest] = {name: name for name in get_args(Nearest)}


@dataclass(frozen=True, slots=True)
class _Axis:
    """One resized axis: what the file says about it."""

    axis: int
    size: Extent
    scale: float | None
    region: tuple[float, float] = (0.0, 1.0)


@rule("Upsample", since=7)
def upsample_7(n: Source, b: Builder) -> Value:
    return upsample(n, b, n.reals("scales"))


@rule("Upsample", since=9)
@rule("Resize", since=10)
def upsample_9(n: Source, b: Builder) -> Value:
    return upsample(n, b, _floats(n, 1, "scales"))


def upsample(n: Source, b: Builder, scales: tuple[float, ...]) -> Value:
    """Up to opset 10: the coordinates are divided by the scale.

    The nearest element is the one below where the axis grows, and the one above where it shrinks: ONNX's test
    of that time wants it, and the runtimes still do it.
    """
    x = n.operand(0)
    mode = _MODES[n.choice("mode", "nearest", "nearest", "linear")]
    axes = _scaled(n, x.type, tuple(range(x.type.rank)), scales, {})
    if mode != "nearest":
        return _resize(b, x, axes, mode, "asymmetric", nearest="floor")
    shrinking = [a for a in axes if a.scale is not None and a.scale < 1]
    growing = [a for a in axes if a not in shrinking]
    if shrinking:
        x = _resize(b, x, shrinking, mode, "asymmetric", nearest="ceil")
    return _resize(b, x, growing, mode, "asymmetric", nearest="floor") if growing else x


@rule("Resize", since=11)
def resize_11(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axes = x.type.axes(n.integers("axes", tuple(range(x.type.rank))))
    mode = _MODES[n.choice("mode", "nearest", *_MODES)]
    coordinates = _COORDINATES[n.choice("coordinate_transformation_mode", "half_pixel", *_COORDINATES)]
    nearest = _NEAREST[n.choice("nearest_mode", "round_prefer_floor", *_NEAREST)]
    cubic_coeff, exclude_outside = n.real("cubic_coeff_a", -0.75), n.flag("exclude_outside")
    antialias, extrapolation = n.flag("antialias"), n.real("extrapolation_value", 0.0)
    policy = n.choice("keep_aspect_ratio_policy", "stretch", "stretch", "not_larger", "not_smaller")
    regions = _regions(n, axes) if coordinates == "tf_crop_and_resize" else {}
    scales = _floats(n, 2, "scales") if n.has(2) else ()
    found = _scaled(n, x.type, axes, scales, regions) if scales else _sized(n, x.type, axes, policy, regions)
    return _resize(
        b,
        x,
        found,
        mode,
        coordinates,
        nearest=nearest,
        cubic_coeff=cubic_coeff,
        exclude_outside=exclude_outside,
        antialias=antialias,
        extrapolation=extrapolation,
    )


def _floats(n: Source, index: int, what: str) -> tuple[float, ...]:
    return tuple(float(v) for v in n.array(index, what).reshape(-1))


def _regions(n: Source, axes: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    flat = _floats(n, 1, "a region")
    if len(flat) != 2 * len(axes):
        raise n.invalid(f"{len(flat)} bounds of a region for {len(axes)} axes")
    return dict(zip(axes, zip(flat[: len(axes)], flat[len(axes) :], strict=True), strict=True))


def _scaled(
    n: Source,
    x: TensorType,
    axes: tuple[int, ...],
    scales: tuple[float, ...],
    regions: dict[int, tuple[float, float]],
) -> list[_Axis]:
    if len(scales) != len(axes):
        raise n.invalid(f"{len(scales)} scales for {len(axes)} axes")
    if not all(0 < scale < float("inf") for scale in scales):
        raise n.invalid(f"a scale is not above 0: {list(scales)}")
    found = []
    for axis, scale in zip(axes, scales, strict=True):
        start, end = region = regions.get(axis, (0.0, 1.0))
        size = _size(n, x.shape[axis], scale, np.float32(end) - np.float32(start))
        found.append(_Axis(axis, size, scale, region))
    return found


def _size(n: Source, extent: Extent, scale: float, part: np.float32) -> Extent:
    """``floor(extent * part * scale)``.

    In float32, as ONNX's own shape inference and the runtimes have it: 3 * float32(2.3333333) is 7 there, and
    less than 7 in float64.
    """
    with np.errstate(over="ignore"):
        factor = float(part * np.float32(scale))
    if not 0 < factor < _LARGEST:
        raise n.invalid(f"a scale of {scale} is out of range")
    if isinstance(extent, int):
        return int(np.floor(np.float32(extent) * part * np.float32(scale)))
    ratio = Fraction(factor).limit_denominator(64)
    if float(np.float32(float(ratio))) != factor:
        raise n.unsupported(
            f"a scale of {scale} for an axis of unknown size", hint="give the input a fixed size"
        )
    return dims.floordiv(extent * ratio.numerator, ratio.denominator)


def _sized(
    n: Source,
    x: TensorType,
    axes: tuple[int, ...],
    policy: str,
    regions: dict[int, tuple[float, float]],
) -> list[_Axis]:
    sizes = n.extents(3, "sizes")
    if len(sizes) != len(axes):
        raise n.invalid(f"{len(sizes)} sizes for {len(axes)} axes")
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise n.invalid(f"a size is negative: {list(sizes)}")
    if policy == "stretch":
        return [_Axis(a, s, None, regions.get(a, (0.0, 1.0))) for a, s in zip(axes, sizes, strict=True)]
    extents = [x.shape[axis] for axis in axes]
    if not all(isinstance(e, int) and e > 0 for e in (*extents, *sizes)):
        raise n.unsupported(f"keep_aspect_ratio_policy={policy!r} with sizes that are not known")
    ratios = [float(s) / float(e) for s, e in zip(sizes, extents, strict=True)]  # type: ignore[arg-type]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [
        _Axis(a, int(np.floor(scale * e + 0.5)), scale, regions.get(a, (0.0, 1.0)))  # type: ignore[operator]
        for a, e in zip(axes, extents, strict=True)
    ]


def _resize(
    b: Builder,
    x: Value,
    axes: list[_Axis],
    mode: Mode,
    coordinates: Coordinates,
    *,
    nearest: Nearest,
    cubic_coeff: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    extrapolation: float = 0.0,
) -> Value:
    cropping = coordinates == "tf_crop_and_resize"
    # ONNX lists every axis; those that stay as they are say nothing.
    changed = [a for a in axes if not _stays(a, x.type.shape[a.axis], coordinates)]
    if not changed:
        return b(ops.Identity(), x)
    scales = [a.scale for a in changed]
    op = ops.Resize(
        axes=tuple(a.axis for a in changed),
        sizes=tuple(a.size for a in changed),
        scales=tuple(s for s in scales if s is not None),
        mode=mode,
        coordinates=coordinates,
        nearest=nearest,
        cubic_coeff=cubic_coeff,
        exclude_outside=exclude_outside,
        antialias=antialias,
        extrapolation_value=extrapolation,
        roi=tuple(a.region for a in changed) if cropping else (),
    )
    return b(op, x)


def _stays(a: _Axis, extent: Extent, coordinates: Coordinates) -> bool:
    whole = coordinates != "tf_crop_and_resize" or a.region == (0.0, 1.0)
    return whole and a.size == extent and a.scale in (None, 1.0)
