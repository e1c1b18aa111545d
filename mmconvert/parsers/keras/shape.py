"""Layers that move, cut, pad and repeat elements."""

from __future__ import annotations

import math

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Expand, Pad, Reshape, Slice, Transpose, Unsqueeze
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("Flatten")
def flatten(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    if layer.layout() is Layout.NCHW and x.type.rank > 2:
        # Keras flattens channels first images in the order of channels last ones.
        x = b(Transpose(perm=(0, *range(2, x.type.rank), 1)), x)
    return b(Reshape(shape=(x.type.shape[0], dims.product(x.type.shape[1:]))), x)


@rule("Reshape")
def reshape(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    target = layer.integers("target_shape")
    return b(Reshape(shape=(x.type.shape[0], *resolved(layer, x.type.shape[1:], target))), x)


def resolved(layer: KerasLayer, shape: tuple[Extent, ...], target: tuple[int, ...]) -> tuple[Extent, ...]:
    """``target`` with its -1 worked out from the elements of ``shape``.

    Raises:
        InvalidModelError: there are several, or the elements do not fill it.
    """
    if target.count(-1) > 1 or min(target, default=0) < -1:
        raise layer.invalid(f"{list(target)} is not a shape")
    size, known = dims.product(shape), math.prod(extent for extent in target if extent != -1)
    if isinstance(size, int) and (size % known if known and -1 in target else size != known):
        raise layer.invalid(f"{size} elements do not fill {list(target)}")
    return tuple(dims.floordiv(size, known) if extent == -1 else extent for extent in target)


@rule("Permute")
def permute(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    order = layer.integers("dims")
    if sorted(order) != list(range(1, x.type.rank)):
        raise layer.invalid(f"{list(order)} does not order the axes of {x.type}")
    return b(Transpose(perm=(0, *order)), x)


@rule("RepeatVector")
def repeat_vector(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    x.type.require_rank(2)
    batch, features = x.type.shape
    return b(Expand(shape=(batch, layer.integer("n"), features)), b(Unsqueeze(axes=(1,)), x))


@rule("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(layer: KerasLayer, b: Builder) -> Value:
    x = layer.image()
    axes = layer.layout().spatial_axes(x.type.rank)
    amounts = dict(zip(axes, layer.pairs("padding", layer.spatial_rank), strict=True))
    return b(Pad(pads=tuple(amounts.get(axis, (0, 0)) for axis in range(x.type.rank))), x)


@rule("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(layer: KerasLayer, b: Builder) -> Value:
    x = layer.image()
    axes = tuple(layer.layout().spatial_axes(x.type.rank))
    amounts = layer.pairs("cropping", layer.spatial_rank)
    sizes = tuple(
        x.type.shape[axis] - (before + after) for axis, (before, after) in zip(axes, amounts, strict=True)
    )
    if any(isinstance(size, int) and size <= 0 for size in sizes):
        raise layer.invalid(f"nothing is left of {x.type}")
    starts = tuple(before for before, _ in amounts)
    return b(Slice(axes=axes, starts=starts, sizes=sizes, steps=(1,) * len(axes)), x)
