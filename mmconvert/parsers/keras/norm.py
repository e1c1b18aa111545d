"""Normalisation layers."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    BatchNorm,
    Div,
    GroupNorm,
    L2Normalization,
    LayerNorm,
    Mul,
    ReduceMean,
    Reshape,
    RMSNorm,
    Rsqrt,
    SquaredDifference,
    Sub,
)
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[str] = Rules("Keras")

EPSILON = 1e-7
"""``keras.config.epsilon()``."""


@rule("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")
def batch_normalization(layer: KerasLayer, b: Builder) -> Value:
    layer.ignore("momentum", "synchronized", "renorm_momentum", "renorm_clipping", "fused", "adjustment")
    axis, *others = layer.axes(layer.input())
    if others:
        raise layer.refuse("several axes")
    channels = layer.extent(layer.input(), axis)
    if layer.setting("virtual_batch_size", None) is not None:
        raise layer.refuse("virtual_batch_size")
    names = [*_affine(layer), "moving_mean", "moving_variance"]
    if layer.flag("renorm", False):
        # Renormalisation corrects the statistics of a training step; afterwards the moving ones serve.
        names += ["moving_stddev", "renorm_mean", "renorm_stddev"]
    found = dict(zip(names, layer.variables(dict.fromkeys(names, (channels,))), strict=True))
    x = layer.cast(layer.input(), _precise(layer.input().type.dtype))
    op = BatchNorm(epsilon=layer.number("epsilon", 1e-3), axis=axis)
    operands = [
        _statistic(layer, x, found, name) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    return layer.cast(b(op, x, *operands), layer.dtype)


def _statistic(layer: KerasLayer, x: Value, found: dict[str, Tensor], name: str) -> Value:
    """A variable of BatchNormalization; a scale or an offset that the layer goes without is 1 or 0."""
    (channels,) = found["moving_mean"].shape
    tensor = found.get(name) or Tensor.of(np.full(channels, name == "gamma", np.float32))
    return layer.weight(name, tensor, x.type.dtype)


def _affine(layer: KerasLayer) -> list[str]:
    return [name for name, key in (("gamma", "scale"), ("beta", "center")) if layer.flag(key, True)]


def _precise(dtype: DType) -> DType:
    """Keras computes statistics in no less than float32."""
    return dtype if dtype == dtypes.F64 else dtypes.F32


@rule("LayerNormalization")
def layer_normalization(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    axes = layer.axes(x)
    shape = tuple(layer.extent(x, axis) for axis in axes)
    root_mean_square = layer.flag("rms_scaling", False)
    names = _affine(layer)
    if root_mean_square:
        names = ["gamma"]
    found = _over_axes(layer, names, shape)
    x = layer.cast(x, _precise(x.type.dtype))
    epsilon = layer.number("epsilon", 1e-3)
    scale, offset = (
        layer.weight(name, found[name], x.type.dtype) if name in found else None for name in ("gamma", "beta")
    )
    if root_mean_square:
        assert scale is not None
        return layer.cast(_scaled_by_variance(b, x, axes, epsilon, scale), layer.dtype)
    return layer.cast(b(LayerNorm(axes=axes, epsilon=epsilon), x, scale, offset), layer.dtype)


def _over_axes(layer: KerasLayer, names: list[str], shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Variables with the extents of several axes.

    Keras stores them in the order that the user gave the axes in, or sorted with negative ones in front, and
    reshapes them without moving elements.
    """
    tensors = layer.variables(dict.fromkeys(names))
    for name, tensor in zip(names, tensors, strict=True):
        if sorted(tensor.shape) != sorted(shape):
            raise layer.invalid(
                f"{name} has shape {list(tensor.shape)} in the file, and should have {list(shape)}"
            )
    return {name: tensor.reshape(shape) for name, tensor in zip(names, tensors, strict=True)}


def _scaled_by_variance(b: Builder, x: Value, axes: tuple[int, ...], epsilon: float, scale: Value) -> Value:
    """x * gamma / sqrt(variance + epsilon): what Keras does under the name ``rms_scaling``."""
    mean = ReduceMean(axes=axes, keepdims=True)
    variance = b(mean, b(SquaredDifference(), x, b(mean, x)))
    shape = tuple(extent if axis in axes else 1 for axis, extent in enumerate(x.type.shape))
    factor = b(Mul(), b(Rsqrt(), b(Add(), variance, epsilon)), b(Reshape(shape=shape), scale))
    return b(Mul(), x, factor)


@rule("RMSNormalization")
def rms_normalization(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    axes = layer.axes(x)
    scale = _over_axes(layer, ["scale"], tuple(layer.extent(x, axis) for axis in axes))["scale"]
    op = RMSNorm(axes=axes, epsilon=layer.number("epsilon", 1e-6))
    x = layer.cast(x, _precise(x.type.dtype))
    weight = layer.weight("scale", scale, x.type.dtype)
    return layer.cast(b(op, x, weight), layer.dtype)


@rule("GroupNormalization")
def group_normalization(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    axis = layer.axis(x)
    channels, groups = layer.extent(x, axis), layer.integer("groups", 32)
    groups = channels if groups == -1 else groups
    if axis not in (1, x.type.rank - 1):
        raise layer.refuse(f"axis {axis} of {x.type.rank}")
    names = _affine(layer)
    found = dict(zip(names, layer.variables(dict.fromkeys(names, (channels,))), strict=True))
    x = layer.cast(x, _precise(x.type.dtype))
    scale, offset = (
        layer.weight(
            name, found.get(name) or Tensor.of(np.full(channels, name == "gamma", np.float32)), x.type.dtype
        )
        for name in ("gamma", "beta")
    )
    layout = Layout.NHWC if axis == x.type.rank - 1 else Layout.NCHW
    op = GroupNorm(groups=groups, epsilon=layer.number("epsilon", 1e-3), layout=layout)
    return layer.cast(b(op, x, scale, offset), layer.dtype)


@rule("UnitNormalization")
def unit_normalization_2(layer: KerasLayer, b: Builder) -> Value:
    """x / sqrt(max(sum x^2, epsilon))."""
    x = layer.input()
    return b(L2Normalization(axes=layer.axes(x), epsilon=1e-12), x)


@rule("UnitNormalization", since=3)
def unit_normalization(layer: KerasLayer, b: Builder) -> Value:
    """x / max(norm of x, epsilon), so the square of Keras's epsilon."""
    x = layer.input()
    return b(L2Normalization(axes=layer.axes(x), epsilon=1e-24), x)


@rule("Normalization")
def normalization(layer: KerasLayer, b: Builder) -> Value:
    """(x - mean) / max(sqrt(variance), epsilon), over the axes that are not kept."""
    x = layer.cast(layer.input(), layer.dtype)
    axis = layer.setting("axis", -1)
    kept = () if axis is None else layer.axes(x)
    mean, variance = _moments(layer, x, kept)
    deviation = variance.map(lambda v: np.asarray(np.maximum(np.sqrt(v), v.dtype.type(EPSILON))))
    center = layer.weight("mean", _broadcast(mean, kept, x.type.rank))
    scale = layer.weight("deviation", _broadcast(deviation, kept, x.type.rank))
    if layer.flag("invert", False):
        return b(Add(), center, b(Mul(), x, scale))
    return b(Div(), b(Sub(), x, center), scale)


def _moments(layer: KerasLayer, x: Value, kept: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance: from the config when the user gave them, else learned."""
    if layer.setting("mean", None) is not None:
        mean, variance = layer.array("mean"), layer.array("variance")
        if mean.shape != variance.shape or mean.ndim > len(kept):
            raise layer.invalid(f"a mean of shape {mean.shape} and a variance of shape {variance.shape}")
        return Tensor.of(mean), Tensor.of(variance)
    layer.ignore("variance")
    shape = tuple(layer.extent(x, axis) for axis in kept)
    found = layer.variables({"mean": shape, "variance": shape, "count": ()})
    return found[0], found[1]


def _broadcast(tensor: Tensor, kept: tuple[int, ...], rank: int) -> Tensor:
    """``tensor`` with its axes in the places of the last ``kept`` ones, and 1 elsewhere."""
    shape = [1] * rank
    for axis, extent in zip(reversed(kept), reversed(tensor.shape), strict=False):
        shape[axis] = extent
    return tensor.reshape(tuple(shape))
