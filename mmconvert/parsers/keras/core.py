"""Dense, Embedding, Rescaling, and layers that do nothing outside of training."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    Cast,
    Clip,
    Div,
    Dropout,
    Gather,
    Gemm,
    Identity,
    IsNan,
    MatMul,
    Mul,
    Neg,
    NotEqual,
    ReduceAny,
    ReduceMax,
    ReduceMin,
    Squeeze,
    Sub,
    Tanh,
    Where,
)
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.quantized import quantized_dense, quantized_reverse, quantized_rows
from mmconvert.parsers.keras.source import element_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_AUGMENTATION = (
    "AugMix",
    "CutMix",
    "Equalization",
    "MixUp",
    "RandAugment",
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
    "Solarization",
)


@rule("Dense")
def dense(layer: KerasLayer, b: Builder) -> Value:
    if layer.quantization is not None:
        return quantized_dense(layer, b, layer.quantization)
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
    indices = x if dtypes.is_integer(x.type.dtype) else b(Cast(to=dtypes.I32), x)
    if layer.flag("mask_zero", False):
        layer.mask = b(NotEqual(), indices, 0)
    if layer.quantization is not None:
        layer.ignore("quantization_config")
        return quantized_rows(layer, b, layer.quantization, indices, rows, columns)
    (table,) = layer.variables({"embeddings": (rows, columns)})
    return b(Gather(axis=0), layer.weight("embeddings", table), indices)


@rule("Masking")
def masking(layer: KerasLayer, b: Builder) -> Value:
    """Steps whose features all equal the mask value become 0, and are skipped by what comes after."""
    x = layer.input()
    last = x.type.rank - 1
    seen = b(ReduceAny(axes=(last,), keepdims=True), b(NotEqual(), x, layer.number("mask_value", 0.0)))
    layer.mask = b(Squeeze(axes=(last,)), seen)
    return b(Where(), seen, x, np.zeros((), x.type.dtype))


@rule("ReversibleEmbedding")
def reversible_embedding(layer: KerasLayer, b: Builder) -> Value:
    """A row for each index; in reverse the products of a vector with all rows."""
    layer.ignore("embeddings_initializer", "lora_rank", "lora_alpha")
    rows, columns = layer.integer("input_dim"), layer.integer("output_dim")
    tied = layer.flag("tie_weights", True)
    if layer.quantization is not None:
        return _quantized_reversible(layer, b, layer.quantization, rows, columns, tied=tied)
    names: dict[str, tuple[int, ...] | None] = {"embeddings": (rows, columns)}
    if not tied:
        names["reverse_embeddings"] = (columns, rows)
    tensors = layer.variables(names)
    x = layer.input()
    if not layer.keyword("reverse"):
        layer.ignore("reverse_dtype", "logit_soft_cap")
        indices = x if dtypes.is_integer(x.type.dtype) else b(Cast(to=dtypes.I32), x)
        if layer.flag("mask_zero", False):
            layer.mask = b(NotEqual(), indices, 0)
        return b(Gather(axis=0), layer.weight("embeddings", tensors[0]), indices)
    layer.ignore("mask_zero")
    given = layer.setting("reverse_dtype", None)
    dtype = layer.dtype if given is None else element_type(given, layer.place)
    kernel = tensors[0].transpose((1, 0)) if tied else tensors[1]
    return _capped(layer, b, b(MatMul(), layer.cast(x, dtype), layer.weight("reverse", kernel, dtype)))


def _capped(layer: KerasLayer, b: Builder, y: Value) -> Value:
    if layer.setting("logit_soft_cap", None) is None:
        return y
    cap = layer.number("logit_soft_cap")
    return b(Mul(), b(Tanh(), b(Div(), y, cap)), cap)


def _quantized_reversible(
    layer: KerasLayer, b: Builder, mode: str, rows: int, columns: int, *, tied: bool
) -> Value:
    if not tied:
        raise layer.refuse("quantized with weights of its own for the reverse", "tie the weights")
    layer.ignore("quantization_config", "reverse_dtype", "logit_soft_cap", "mask_zero")
    x = layer.input()
    if layer.keyword("reverse"):
        return _capped(layer, b, quantized_reverse(layer, b, mode, x, rows, columns))
    indices = x if dtypes.is_integer(x.type.dtype) else b(Cast(to=dtypes.I32), x)
    return quantized_rows(layer, b, mode, indices, rows, columns)


@rule("AutoContrast")
def auto_contrast(layer: KerasLayer, b: Builder) -> Value:
    """Each channel of an image stretched to the whole range, if it is not all the same."""
    x = layer.floats(layer.input())
    layer.ignore("data_format", "factor", "seed")
    low, high = (float(v) for v in layer.array("value_range").reshape(2))
    span = high - low
    scaled = b(Mul(), b(Sub(), x, low), 255 / span)
    least, most = (b(op(axes=(1, 2), keepdims=True), scaled) for op in (ReduceMin, ReduceMax))
    scale = b(Div(), 255.0, b(Sub(), most, least))
    y = b(Add(), b(Mul(), scaled, scale), b(Mul(), b(Neg(), least), scale))
    y = b(Add(), b(Mul(), b(Clip(low=0.0, high=255.0), y), span / 255), low)
    return b(Where(), b(IsNan(), y), x, y)


@rule("Pipeline")
def pipeline(layer: KerasLayer, b: Builder) -> Value:
    """Layers one after the other."""
    x, items = layer.input(), layer.setting("layers")
    if not isinstance(items, list):
        raise layer.invalid("the layers are not a list")
    for index, item in enumerate(items):
        x = layer.apply(item, x, f"_layers/{index}/")
    return b(Identity(), x) if not items else x


@rule("Rescaling")
def rescaling(layer: KerasLayer, b: Builder) -> Value:
    x = layer.cast(layer.input(), layer.dtype)
    scale, offset = (layer.array(key).astype(layer.dtype) for key in ("scale", "offset"))
    return b(Add(), b(Mul(), x, scale), offset)


@rule("Dropout")
def dropout(layer: KerasLayer, b: Builder) -> Value:
    rate, x = layer.number("rate"), layer.input()
    noise = layer.setting("noise_shape", None)
    layer.ignore("seed")
    usual = noise is None and 0 < rate < 1 and dtypes.is_float(x.type.dtype)
    return b(Dropout(rate=rate) if usual else Identity(), x)


@rule(
    "Identity",
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
