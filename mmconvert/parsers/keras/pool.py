"""Pooling over windows and over everything."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import AveragePool, Div, MaxPool, Mul, ReduceMax, ReduceMean, ReduceSum, Unsqueeze
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule(
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"
)
def pool(layer: KerasLayer, b: Builder) -> Value:
    x, rank = layer.image(), layer.spatial_rank
    kernel = layer.sizes("pool_size", rank)
    strides = kernel if layer.setting("strides", None) is None else layer.sizes("strides", rank)
    # TensorFlow leaves the padding out of the average, as AveragePool does when not told otherwise.
    cls = MaxPool if layer.kind.startswith("Max") else AveragePool
    op = cls(
        kernel=kernel,
        strides=strides,
        dilations=(1,) * rank,
        padding=_padding(layer, rank),
        layout=layer.layout(),
    )
    return b(op, x)


def _padding(layer: KerasLayer, rank: int) -> Padding:
    match layer.string("padding", "valid").lower():
        case "same":
            return Same()
        case "valid":
            return Explicit.zero(rank)
        case other:
            raise layer.refuse(f"padding {other!r}")


@rule("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
def global_max(layer: KerasLayer, b: Builder) -> Value:
    x = layer.image()
    axes = tuple(layer.layout().spatial_axes(x.type.rank))
    return b(ReduceMax(axes=axes, keepdims=layer.flag("keepdims", False)), x)


@rule("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
def global_average(layer: KerasLayer, b: Builder) -> Value:
    x, layout, keepdims = layer.image(), layer.layout(), layer.flag("keepdims", False)
    axes = tuple(layout.spatial_axes(x.type.rank))
    mask = layer.masks[0] if layer.spatial_rank == 1 else None
    if mask is None:
        return b(ReduceMean(axes=axes, keepdims=keepdims), x)
    # Steps that are masked out count neither in the sum nor in the number.
    weights = b(Unsqueeze(axes=(2 if layout is Layout.NHWC else 1,)), layer.cast(mask, x.type.dtype))
    total = ReduceSum(axes=axes, keepdims=keepdims)
    return b(Div(), b(total, b(Mul(), x, weights)), b(total, weights))
