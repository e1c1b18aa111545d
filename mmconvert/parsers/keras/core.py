"""Dense, Embedding, Rescaling, and layers that do nothing outside of training."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    Cast,
    Gather,
    Gemm,
    Identity,
    MatMul,
    Mul,
    NotEqual,
    ReduceAny,
    Squeeze,
    Where,
)
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_AUGMENTATION = (
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomWidth",
    "RandomZoom",
)


@rule("Dense")
def dense(layer: KerasLayer, b: Builder) -> Value:
    x, units = layer.input(), layer.integer("units")
    layer.ignore("lora_rank", "lora_alpha")  # merged into the kernel when Keras saves
    shapes: dict[str, tuple[int, ...] | None] = {"kernel": (layer.extent(x, -1), units)}
    if layer.flag("use_bias", True):
        shapes["bias"] = (units,)
    kernel, *bias = layer.variables(shapes)
    weight = layer.weight("kernel", kernel)
    offset = layer.weight("bias", bias[0]) if bias else None
    if x.type.rank == 2:
        return activate(layer, b(Gemm(), x, weight, offset))
    y = b(MatMul(), x, weight)
    return activate(layer, y if offset is None else b(Add(), y, offset))


@rule("Embedding")
def embedding(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    layer.ignore("input_length", "lora_rank", "lora_alpha")
    rows, columns = layer.integer("input_dim"), layer.integer("output_dim")
    (table,) = layer.variables({"embeddings": (rows, columns)})
    indices = x if dtypes.is_integer(x.type.dtype) else b(Cast(to=dtypes.I32), x)
    if layer.flag("mask_zero", False):
        layer.mask = b(NotEqual(), indices, 0)
    return b(Gather(axis=0), layer.weight("embeddings", table), indices)


@rule("Masking")
def masking(layer: KerasLayer, b: Builder) -> Value:
    """Steps whose features all equal the mask value become 0, and are skipped by what comes after."""
    x = layer.input()
    last = x.type.rank - 1
    seen = b(ReduceAny(axes=(last,), keepdims=True), b(NotEqual(), x, layer.number("mask_value", 0.0)))
    layer.mask = b(Squeeze(axes=(last,)), seen)
    return b(Where(), seen, x, np.zeros((), x.type.dtype))


@rule("Rescaling")
def rescaling(layer: KerasLayer, b: Builder) -> Value:
    x = layer.cast(layer.input(), layer.dtype)
    scale, offset = (layer.array(key).astype(layer.dtype) for key in ("scale", "offset"))
    return b(Add(), b(Mul(), x, scale), offset)


@rule(
    "Identity",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)
def identity(layer: KerasLayer, b: Builder) -> Value:
    layer.ignore("rate", "noise_shape", "stddev", "l1", "l2", "data_format")
    return b(Identity(), layer.input())


@rule(*_AUGMENTATION)
def augmentation(layer: KerasLayer, b: Builder) -> Value:
    """Random changes of images are made in training only."""
    layer.ignore(*layer.record.settings)
    return b(Identity(), layer.floats(layer.input()))
