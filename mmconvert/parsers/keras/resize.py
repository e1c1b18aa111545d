"""Upsampling and resizing of images and volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import MatMul, Reshape, Resize
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


@rule("Resizing")
def resizing(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.input())
    x.type.require_rank(4)
    if layer.flag("crop_to_aspect_ratio", False) or layer.flag("pad_to_aspect_ratio", False):
        raise layer.refuse(
            "keeping the aspect ratio", "set the size that the images have, or resize them outside"
        )
    layer.ignore("fill_mode", "fill_value")
    sizes = (layer.integer("height"), layer.integer("width"))
    interpolation, antialias = layer.string("interpolation", "bilinear"), layer.flag("antialias", False)
    return _resized(layer, b, x, layer.layout(), sizes, interpolation, antialias)


@rule("ops.Resize")
def resize_operation(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.tensor(0, "images"))
    x.type.require_rank(4)
    if layer.flag("crop_to_aspect_ratio", False) or layer.flag("pad_to_aspect_ratio", False):
        raise layer.refuse("keeping the aspect ratio")
    layer.ignore("fill_mode", "fill_value")
    height, width = layer.sizes("size", 2)
    interpolation, antialias = layer.string("interpolation", "bilinear"), layer.flag("antialias", False)
    return _resized(layer, b, x, layer.layout(), (height, width), interpolation, antialias)


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
    if interpolation in _KERNELS and not antialias:
        return _filtered(layer, b, x, layout, sizes, interpolation)
    if interpolation == "nearest":
        return b(
            Resize(
                axes=axes, sizes=sizes, mode="nearest", coordinates="tf_half_pixel_for_nn", nearest="floor"
            ),
            x,
        )
    modes: dict[str, Literal["linear", "cubic"]] = {"bilinear": "linear", "bicubic": "cubic"}
    if interpolation not in modes or antialias:
        raise layer.refuse(f"interpolation {interpolation!r}{' with antialiasing' if antialias else ''}")
    # Keys's cubic; taps outside the image have no weight.
    cubic = interpolation == "bicubic"
    op = Resize(
        axes=axes,
        sizes=sizes,
        mode=modes[interpolation],
        coordinates="half_pixel",
        cubic_coeff=-0.5 if cubic else -0.75,
        exclude_outside=cubic,
    )
    return b(op, x)


def _lanczos(radius: int) -> tuple[int, Callable[[Array], Array]]:
    return radius, lambda t: np.where(np.abs(t) < radius, np.sinc(t) * np.sinc(t / radius), 0.0)


_KERNELS = {"lanczos3": _lanczos(3), "lanczos5": _lanczos(5)}


def _filtered(
    layer: KerasLayer, b: Builder, x: Value, layout: Layout, sizes: tuple[Extent, ...], interpolation: str
) -> Value:
    """Resizing by a windowed sinc, as a product with a matrix for each axis."""
    y = x
    for axis, size in zip(layout.spatial_axes(4), sizes, strict=True):
        extent = layer.extent(x, axis)
        if not isinstance(size, int):
            raise layer.invalid("the size has to be known")
        y = _along(b, y, axis, _matrix(extent, size, interpolation).astype(x.type.dtype))
    return y


def _matrix(extent: int, size: int, interpolation: str) -> Array:
    """The weights [size, extent] of the elements in each result; they sum to 1, and none lies outside."""
    radius, kernel = _KERNELS[interpolation]
    centers = (np.arange(size) + 0.5) * extent / size
    distance = np.arange(extent) + 0.5 - centers[:, None]
    weights = kernel(distance) * (np.abs(distance) <= radius)
    normalized: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def _along(b: Builder, x: Value, axis: int, matrix: Array) -> Value:
    """``x`` with ``matrix`` applied along ``axis``: everything behind the axis becomes the columns."""
    shape = x.type.shape
    behind: Extent = 1
    for extent in shape[axis + 1 :]:
        behind = behind * extent
    flat = b(Reshape(shape=(*shape[: axis + 1], behind)), x)
    product = b(MatMul(), b.constant(matrix), flat)
    return b(Reshape(shape=(*shape[:axis], matrix.shape[0], *shape[axis + 1 :])), product)
