"""Upsampling and resizing of images and volumes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Identity, Pad, Resize, Slice
from mmconvert.ir.ops.resize import along
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")


@rule("UpSampling1D", "UpSampling3D")
def upsampling(layer: KerasLayer, b: Builder) -> Value:
    x = layer.image()
    axes = tuple(layer.layout().spatial_axes(x.type.rank))
    return _repeated(b, x, axes, layer.sizes("size", layer.spatial_rank, 2))


@rule("UpSampling2D")
def upsampling_2d(layer: KerasLayer, b: Builder) -> Value:
    x, layout = layer.image(), layer.layout()
    axes, factors = tuple(layout.spatial_axes(4)), layer.sizes("size", 2, 2)
    interpolation = layer.string("interpolation", "nearest").lower()
    if interpolation == "nearest":
        return _repeated(b, x, axes, factors)
    sizes = tuple(x.type.shape[axis] * factor for axis, factor in zip(axes, factors, strict=True))
    return _resized(layer, b, layer.floats(x), layout, sizes, interpolation, antialias=False)


def _repeated(b: Builder, x: Value, axes: tuple[int, ...], factors: tuple[int, ...]) -> Value:
    """Every element ``factor`` times along each of ``axes``."""
    op = Resize(
        axes=axes,
        sizes=tuple(x.type.shape[axis] * factor for axis, factor in zip(axes, factors, strict=True)),
        scales=tuple(float(factor) for factor in factors),
        mode="nearest",
        coordinates="asymmetric",
        nearest="floor",
    )
    return b(op, x)


@rule("Resizing", "ops.Resize")
def resizing(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "images") if layer.record.is_operation else layer.input()
    if layer.record.is_operation:
        height, width = layer.sizes("size", 2)
    else:
        height, width = (layer.sizes(key, 1)[0] for key in ("height", "width"))
    x = layer.floats(x)
    x.type.require_rank(4)
    layout = layer.layout()
    if layer.flag("crop_to_aspect_ratio", False):
        x = _cropped(layer, b, x, layout, (height, width))
    if layer.flag("pad_to_aspect_ratio", False):
        x = _padded(layer, b, x, layout, (height, width))
    else:
        layer.ignore("fill_mode", "fill_value")
    interpolation, antialias = layer.string("interpolation", "bilinear"), layer.flag("antialias", False)
    return _resized(layer, b, x, layout, (height, width), interpolation.lower(), antialias)


@rule("CenterCrop")
def center_crop(layer: KerasLayer, b: Builder) -> Value:
    """The middle; of an image that is too small, what has its proportions, enlarged."""
    x, layout = layer.floats(layer.cast(layer.input(), layer.dtype)), layer.layout()
    x.type.require_rank(4)
    axes = tuple(layout.spatial_axes(4))
    sizes = tuple(layer.sizes(key, 1)[0] for key in ("height", "width"))
    spare = [x.type.shape[axis] - size for axis, size in zip(axes, sizes, strict=True)]
    if any(isinstance(extent, int) and extent < 0 for extent in spare):
        return _smart(layer, b, x, layout, sizes)
    starts = tuple(dims.floordiv(extent, 2) for extent in spare)
    return b(Slice(axes=axes, starts=starts, sizes=sizes, steps=(1, 1)), x)


@rule("RandomCrop")
def random_crop_2(layer: KerasLayer, b: Builder) -> Value:
    """Outside of training Keras 2 resizes."""
    layer.ignore("rng_type")
    x = layer.floats(layer.cast(layer.input(), layer.dtype))
    x.type.require_rank(4)
    sizes = tuple(layer.sizes(key, 1)[0] for key in ("height", "width"))
    return _smart(layer, b, x, layer.layout(), sizes)


@rule("RandomCrop", since=3)
def random_crop(layer: KerasLayer, b: Builder) -> Value:
    layer.ignore("height", "width", "data_format")
    return b(Identity(), layer.floats(layer.input()))


def _smart(layer: KerasLayer, b: Builder, x: Value, layout: Layout, sizes: tuple[int, ...]) -> Value:
    return _resized(
        layer, b, _cropped(layer, b, x, layout, sizes), layout, sizes, "bilinear", antialias=False
    )


def _cropped(layer: KerasLayer, b: Builder, x: Value, layout: Layout, sizes: tuple[int, ...]) -> Value:
    """The largest middle part with the proportions of ``sizes``."""
    axes = tuple(layout.spatial_axes(4))
    extents = [layer.extent(x, axis) for axis in axes]
    kept = [max(min(e, p), 1) for e, p in zip(extents, _proportional(extents, sizes), strict=True)]
    starts = tuple((extent - size) // 2 for extent, size in zip(extents, kept, strict=True))
    return b(Slice(axes=axes, starts=starts, sizes=tuple(kept), steps=(1, 1)), x)


def _padded(layer: KerasLayer, b: Builder, x: Value, layout: Layout, sizes: tuple[int, ...]) -> Value:
    """As much on both sides as gives the image the proportions of ``sizes``."""
    axes = tuple(layout.spatial_axes(4))
    extents = [layer.extent(x, axis) for axis in axes]
    if layer.string("fill_mode", "constant") != "constant":
        raise layer.refuse("fill_mode")
    rooms = [max(e, p) - e for e, p in zip(extents, _proportional(extents, sizes), strict=True)]
    sides = dict(zip(axes, (room // 2 for room in rooms), strict=True))
    pads = tuple((sides.get(axis, 0),) * 2 for axis in range(4))
    return b(Pad(pads=pads, value=layer.number("fill_value", 0.0)), x)


def _proportional(extents: list[int], sizes: tuple[int, ...]) -> tuple[int, int]:
    """The height that belongs to the width, and the width to the height, in float32 as Keras has it."""
    (height, width), (target_height, target_width) = extents, sizes
    return (
        int(np.float32(width * target_height) / np.float32(target_width)),
        int(np.float32(height * target_width) / np.float32(target_height)),
    )


def _resized(
    layer: KerasLayer,
    b: Builder,
    x: Value,
    layout: Layout,
    sizes: tuple[Extent, ...],
    interpolation: str,
    antialias: bool,
) -> Value:
    """What ``tf.image.resize`` makes of images: sample points lie in the middle of pixels."""
    axes = tuple(layout.spatial_axes(4))
    if interpolation == "nearest":
        op = Resize(
            axes=axes, sizes=sizes, mode="nearest", coordinates="tf_half_pixel_for_nn", nearest="floor"
        )
        return b(op, x)
    if interpolation not in ("bilinear", "bicubic") or antialias:
        return _filtered(layer, b, x, layout, sizes, interpolation, antialias)
    # Keys's cubic; taps outside the image have no weight.
    cubic = interpolation == "bicubic"
    op = Resize(
        axes=axes,
        sizes=sizes,
        mode="cubic" if cubic else "linear",
        coordinates="half_pixel",
        cubic_coeff=-0.5 if cubic else -0.75,
        exclude_outside=cubic,
    )
    return b(op, x)


def _lanczos(radius: int) -> tuple[float, Callable[[Array], Array]]:
    return radius, lambda t: np.where(np.abs(t) < radius, np.sinc(t) * np.sinc(t / radius), 0.0)


def _cubic(b: float, c: float) -> tuple[float, Callable[[Array], Array]]:
    """Mitchell and Netravali, "Reconstruction filters in computer graphics", 1988."""

    def kernel(t: Array) -> Array:
        t = np.abs(t)
        near = ((12 - 9 * b - 6 * c) * t**3 + (12 * b + 6 * c - 18) * t**2 + 6 - 2 * b) / 6
        far = ((-b - 6 * c) * t**3 + (6 * b + 30 * c) * t**2 - (12 * b + 48 * c) * t + 8 * b + 24 * c) / 6
        return np.where(t < 1, near, np.where(t < 2, far, 0.0))

    return 2.0, kernel


_KERNELS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "bilinear": (1.0, lambda t: np.maximum(1 - np.abs(t), 0)),
    "bicubic": _cubic(0.0, 0.5),
    "mitchellcubic": _cubic(1 / 3, 1 / 3),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
"""Radius and kernel of each interpolation."""


def _filtered(
    layer: KerasLayer,
    b: Builder,
    x: Value,
    layout: Layout,
    sizes: tuple[Extent, ...],
    interpolation: str,
    antialias: bool,
) -> Value:
    """Resizing with any kernel, as a product with a matrix for each axis."""
    if interpolation not in (*_KERNELS, "area"):
        raise layer.refuse(f"interpolation {interpolation!r}")
    y = x
    for axis, size in zip(layout.spatial_axes(4), sizes, strict=True):
        extent = layer.extent(x, axis)
        if not isinstance(size, int):
            raise layer.invalid("the size has to be known")
        weights = (
            _areas(extent, size)
            if interpolation == "area"
            else _matrix(extent, size, interpolation, antialias)
        )
        y = along(b, y, axis, weights.astype(x.type.dtype))
    return y


def _matrix(extent: int, size: int, interpolation: str, antialias: bool) -> Array:
    """The weights [size, extent] of the elements in each result; they sum to 1, and none lies outside.

    With ``antialias`` the kernel is as wide as the elements of the result.
    """
    radius, kernel = _KERNELS[interpolation]
    width = max(extent / size, 1.0) if antialias else 1.0
    centers = (np.arange(size) + 0.5) * extent / size
    distance = (np.arange(extent) + 0.5 - centers[:, None]) / width
    weights = kernel(distance) * (np.abs(distance) <= radius)
    normalized: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def _areas(extent: int, size: int) -> Array:
    """How much of each result every element covers."""
    scale = extent / size
    starts, elements = np.arange(size)[:, None] * scale, np.arange(extent)
    covered = np.minimum(elements + 1, starts + scale) - np.maximum(elements, starts)
    areas: Array = np.maximum(covered, 0) / scale
    return areas
