"""PyTorch rules for quantized programs: what PT2E makes, and the fake quantization of training."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.quantize import limits
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

_STORED = (dtypes.I8, dtypes.U8, dtypes.I16, dtypes.U16, dtypes.I32)
"""What fake quantization may be stored in: the first one that has all its levels."""


def _scale(n: Source, name: str, dtype: DType) -> Value:
    """A scale, which is a number or a tensor, in the element type of real numbers."""
    found = n.cast(n.value(name), dtype) if n.is_tensor(name) else n.scalar(n.real(name), dtype)
    return _single(n, found)


def _zero(n: Source, name: str, dtype: DType) -> Value | None:
    """A zero point in the element type of what is stored; None for a 0."""
    if not n.given(name):
        return None
    if n.is_tensor(name):
        return _single(n, n.cast(n.value(name), dtype))
    number = n.integer(name)
    return n.builder.constant(number, dtype) if number else None


def _single(n: Source, x: Value) -> Value:
    if x.type.rank == 1 and x.type.size == 1 and "per_channel" not in n.kind:
        return n.builder(ops.Reshape(shape=()), x)
    return x


def _axis(n: Source, x: Value) -> int:
    return x.type.axis(n.integer("axis")) if n.given("axis") else 0


def _range(n: Source, dtype: DType) -> tuple[int, int]:
    """The levels that are used.

    Raises:
        UnsupportedError: they are computed.
        InvalidModelError: the element type does not have them.
    """
    if n.is_tensor("quant_min"):
        raise n.unsupported("with a range that is a tensor", hint="export it with numbers")
    low, high = n.integer("quant_min"), n.integer("quant_max")
    least, most = limits(dtype)
    if not least <= low <= high <= most:
        raise n.invalid(f"levels from {low} to {high}, of {dtypes.name(dtype)}")
    return low, high


def _quantized(n: Source, b: Builder, x: Value, dtype: DType, scale: Value, zero: Value | None) -> Value:
    low, high = _range(n, dtype)
    y = b(ops.Quantize(axis=_axis(n, x), dtype=dtype), x, scale, zero)
    return y if (low, high) == limits(dtype) else b(ops.Clip(low=float(low), high=float(high)), y)


@rule(
    "quantized_decomposed.quantize_per_tensor.default",
    "quantized_decomposed.quantize_per_tensor.tensor",
    "quantized_decomposed.quantize_per_tensor.tensor2",
    "quantized_decomposed.quantize_per_channel.default",
)
def quantize(n: Source, b: Builder) -> Value:
    x, dtype = n.value("input"), n.result().dtype
    n.ignore("dtype")
    scale, zero = ("scales", "zero_points") if "per_channel" in n.kind else ("scale", "zero_point")
    return _quantized(n, b, x, dtype, _scale(n, scale, x.type.dtype), _zero(n, zero, dtype))


@rule(
    "quantized_decomposed.dequantize_per_tensor.default",
    "quantized_decomposed.dequantize_per_tensor.tensor",
    "quantized_decomposed.dequantize_per_tensor.tensor2",
    "quantized_decomposed.dequantize_per_channel.default",
)
def dequantize(n: Source, b: Builder) -> Value:
    x, dtype = n.value("input"), n.result().dtype
    n.ignore("dtype", "out_dtype", "quant_min", "quant_max")
    scale, zero = ("scales", "zero_points") if "per_channel" in n.kind else ("scale", "zero_point")
    return b(ops.Dequantize(axis=_axis(n, x)), x, _scale(n, scale, dtype), _zero(n, zero, x.type.dtype))


@rule(
    "aten.fake_quantize_per_tensor_affine.default",
    "aten.fake_quantize_per_tensor_affine.tensor_qparams",
    "aten.fake_quantize_per_channel_affine.default",
    "quantized_decomposed.fake_quant_per_channel.default",
)
def fake_quantize(n: Source, b: Builder) -> Value:
    x = n.value("input" if n.given("input") else "self")
    scale, zero = ("scales", "zero_points") if n.given("scales") else ("scale", "zero_point")
    return _faked(n, b, x, scale, zero)


@rule(
    "aten.fake_quantize_per_tensor_affine_cachemask.default",
    "aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default",
    "aten.fake_quantize_per_channel_affine_cachemask.default",
)
def fake_quantize_with_mask(n: Source, b: Builder) -> tuple[Value, None]:
    """The mask is for training; nothing else reads it."""
    x = n.value("self")
    if n.given("fake_quant_enabled") and not _is_on(n, "fake_quant_enabled"):
        n.ignore("scale", "zero_point", "quant_min", "quant_max")
        return x, None
    return _faked(n, b, x, "scale", "zero_point"), None


@rule("aten.fused_moving_avg_obs_fake_quant.default")
def observed(n: Source, b: Builder) -> Value:
    """What quantization-aware training has in place of a tensor, once it no longer observes."""
    x = n.value("self")
    n.ignore("running_min", "running_max", "averaging_const", "symmetric_quant")
    if _is_on(n, "observer_on"):
        raise n.unsupported(
            "an observer that still changes the scale",
            hint="model.apply(torch.ao.quantization.disable_observer)",
        )
    each = n.flag("per_row_fake_quant")
    axis = n.integer("ch_axis", -1)
    if not _is_on(n, "fake_quant_on"):
        n.ignore("scale", "zero_point", "quant_min", "quant_max")
        return x
    return _faked(n, b, x, "scale", "zero_point", x.type.axis(axis) if each else None)


def _is_on(n: Source, name: str) -> bool:
    constant = n.value(name).constant
    if constant is None:
        raise n.unsupported(f"{name}, which is known only while the model runs")
    return bool(np.asarray(constant.numpy()).any())


def _faked(n: Source, b: Builder, x: Value, scale: str, zero: str, axis: int | None = None) -> Value:
    """Quantized, and at once taken back."""
    low, high = n.integer("quant_min"), n.integer("quant_max")
    dtype = next((d for d in _STORED if limits(d)[0] <= low and high <= limits(d)[1]), None)
    if dtype is None:
        raise n.unsupported(f"with levels from {low} to {high}")
    factor, point = _scale(n, scale, x.type.dtype), _zero(n, zero, dtype)
    along = _axis(n, x) if axis is None else axis
    if axis is None and "per_channel" not in n.kind:
        factor = _whole(b, factor)
        point = None if point is None else _whole(b, point)
    y = b(ops.Quantize(axis=along, dtype=dtype), x, factor, point)
    if (low, high) != limits(dtype):
        y = b(ops.Clip(low=float(low), high=float(high)), y)
    return b(ops.Dequantize(axis=along), y, factor, point)


def _whole(b: Builder, x: Value) -> Value:
    return b(ops.Reshape(shape=()), x) if x.type.rank else x


@rule("quantized_decomposed.choose_qparams.tensor", "quantized_decomposed.choose_qparams_symmetric.tensor")
def choose_parameters(n: Source, b: Builder) -> tuple[Value, Value]:
    """The scale and the zero point for the range of a tensor, which has 0 in it."""
    x = n.value("input")
    low, high, eps = n.integer("quant_min"), n.integer("quant_max"), n.real("eps")
    flat = b(ops.Reshape(shape=(x.type.size,)), x)
    least = b(ops.Min(), b(ops.ReduceMin(axes=(0,), keepdims=True), flat), 0.0)
    most = b(ops.Max(), b(ops.ReduceMax(axes=(0,), keepdims=True), flat), 0.0)
    symmetric = "symmetric" in n.kind
    if symmetric:
        most, least = b(ops.Max(), b(ops.Neg(), least), most), n.scalar(0.0, x.type.dtype)
    steps = (high - low) / 2 if symmetric else float(high - low)
    scale = b(ops.Max(), b(ops.Div(), b(ops.Sub(), most, least), steps), eps)
    if symmetric:
        zero = b.constant(np.array([128 if n.element() == dtypes.U8 else 0]), dtypes.I64)
    else:
        n.ignore("dtype")
        places = b(ops.Sub(), float(low), b(ops.Round(), b(ops.Div(), least, scale)))
        zero = n.cast(b(ops.Clip(low=float(low), high=float(high)), places), dtypes.I64)
    return n.cast(scale, dtypes.F64), zero
