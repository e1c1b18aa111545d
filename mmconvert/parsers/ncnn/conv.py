"""Convolution, and its transpose."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Array, Layout
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[str] = Rules("NCNN")

AXES = {"1D": "w", "": "hw", "3D": "dhw"}
"""The spatial axes of a kind of layer, by the end of its name."""

_SIDES = {"w": ("pad_left", "pad_right"), "h": ("pad_top", "pad_bottom"), "d": ("pad_front", "pad_behind")}
_UPPER, _LOWER = -233, -234


def letters(layer: Source) -> str:
    """The spatial axes of a layer over windows."""
    return AXES[layer.kind[-2:] if layer.kind.endswith(("1D", "3D")) else ""]


def along(layer: Source, name: str, least: int = 1) -> tuple[int, ...]:
    """A parameter of each spatial axis."""
    return tuple(layer.p.count(f"{name}_{letter}", least) for letter in letters(layer))


def padding(layer: Source) -> Padding:
    """The padding of a layer over windows."""
    pads = [[layer.p.integer(name) for name in _SIDES[letter]] for letter in letters(layer)]
    everywhere = {pad for pair in pads for pad in pair}
    if everywhere in ({_UPPER}, {_LOWER}):
        return Same(extra_after=everywhere == {_UPPER})
    if any(pad < 0 for pad in everywhere):
        raise layer.invalid(f"there is no padding of {pads}")
    return Explicit(tuple((before, after) for before, after in pads))


@rule(*(f"Convolution{group}{axes}" for group in ("", "DepthWise") for axes in AXES))
def convolution(layer: Source) -> Value:
    kernel, strides, dilations = (along(layer, name) for name in ("kernel", "stride", "dilation"))
    pads = padding(layer)
    if (value := layer.p.real("pad_value")) and not (isinstance(pads, Explicit) and pads.is_zero):
        raise layer.unsupported(f"padding with {value} in a convolution")
    groups = layer.p.count("group", 1) if "group" in layer.p.names else 1
    filters = layer.p.count("num_output", 1)
    x = layer.x
    if "dynamic_weight" in layer.p.names and layer.p.flag("dynamic_weight"):
        given = layer.operand(1)
        weight = layer.reshape(given, given.type.shape[1:])
        bias = layer.reshape(layer.operand(2), (filters,)) if layer.p.flag("bias_term") else None
    else:
        shape = _weight_shape(layer, filters, kernel, layer.p.count("weight_data_size", 1))
        bias = layer.optional("bias", (filters,))
        weight = layer.b.constant(
            _real_weight(layer, shape, groups), name=f"{layer.stored.layer.name}.weight"
        )
        x = _quantized(layer, x)
    op = ops.Conv(strides=strides, dilations=dilations, padding=pads, groups=groups, layout=Layout.NCHW)
    made = layer.activated(layer.b(op, x, weight, bias))
    if "output_scales" in layer.stored.weights:
        layer.warnings.append(f"{layer.stored.layer.name}: its output is not rounded to 8 bits here")
    return made


def _weight_shape(layer: Source, filters: int, kernel: tuple[int, ...], size: int) -> tuple[int, ...]:
    seen = size // (filters * math.prod(kernel))
    if not seen or seen * filters * math.prod(kernel) != size:
        raise layer.invalid(f"{size} weights are none of {filters} filters with the kernel {kernel}")
    return (filters, seen, *kernel)


def _real_weight(layer: Source, shape: tuple[int, ...], groups: int) -> Tensor:
    """The weight as real numbers: integers over their scales."""
    weight = layer.weight("weight", shape)
    if weight.dtype != dtypes.I8:
        return weight
    scales = layer.weight("weight_scales").numpy().reshape(-1)
    return dequantized(weight, np.repeat(scales, shape[0] // max(scales.size, 1)), layer)


def dequantized(weight: Tensor, scales: Array, layer: Source) -> Tensor:
    """Integers over the scale of each output."""
    rows = weight.shape[0]
    if scales.size != rows:
        raise layer.invalid(f"{scales.size} scales for {rows} filters")
    factors = np.where(scales == 0, 0, 1 / np.where(scales == 0, 1, scales)).astype(np.float32)
    column = factors.reshape(rows, *(1,) * (len(weight.shape) - 1))
    return weight.map(lambda array: array.astype(np.float32) * column, dtype=dtypes.F32)


def _quantized(layer: Source, x: Value) -> Value:
    """``x`` rounded to the 8 bits that the layer computes with."""
    if "int8_scale_term" not in layer.p.names or not layer.p.flag("int8_scale_term"):
        return x
    return rounded(layer, x)


def rounded(layer: Source, x: Value) -> Value:
    """``x`` on the grid of 8 bits that the layer's scale of inputs says."""
    (scale,) = layer.weight("input_scales").numpy().reshape(-1).tolist()
    if not scale or not math.isfinite(scale):
        raise layer.invalid(f"{scale} is no scale")
    limit = 127 / scale
    inside = layer.b(ops.Clip(low=-limit, high=limit), x)
    unit = layer.b.constant(1 / scale, dtypes.F32)
    codes = layer.b(ops.Quantize(dtype=dtypes.I8), inside, unit)
    return layer.b(ops.Dequantize(), codes, unit)


@rule(*(f"Deconvolution{group}{axes}" for group in ("", "DepthWise") for axes in AXES))
def deconvolution(layer: Source) -> Value:
    kernel, strides, dilations = (along(layer, name) for name in ("kernel", "stride", "dilation"))
    axes, filters = letters(layer), layer.p.count("num_output", 1)
    groups = layer.p.count("group", 1) if "group" in layer.p.names else 1
    if "dynamic_weight" in layer.p.names and layer.p.flag("dynamic_weight"):
        raise layer.unsupported("weights of a transposed convolution that are computed")
    names = {"w": "output_pad_right", "h": "output_pad_bottom", "d": "output_pad_behind"}
    extra = tuple(layer.p.count(names[letter]) for letter in axes)
    wanted = tuple(layer.p.count(f"output_{letter}") for letter in axes)
    pads = padding(layer)
    if any(wanted):
        # The extents that are wanted take the place of the padding; only what SAME gives is read.
        expected = tuple(e * s for e, s in zip(layer.x.type.shape[2:], strides, strict=True))
        if not isinstance(pads, Same) or wanted != expected:
            raise layer.unsupported(f"a transposed convolution with an output of {wanted}")
    shape = _weight_shape(layer, filters, kernel, layer.p.count("weight_data_size", 1))
    weight = _turned(layer.weight("weight", shape), groups, layer)
    op = ops.ConvTranspose(
        strides=strides,
        dilations=dilations,
        padding=pads,
        output_padding=extra,
        groups=groups,
        layout=Layout.NCHW,
    )
    turned = layer.b.constant(weight, name=f"{layer.stored.layer.name}.weight")
    return layer.activated(layer.b(op, layer.x, turned, layer.optional("bias", (filters,))))


def _turned(weight: Tensor, groups: int, layer: Source) -> Tensor:
    """The weight with the inputs of each group before its outputs."""
    filters, seen, *kernel = weight.shape
    if filters % groups:
        raise layer.invalid(f"{filters} filters in {groups} groups")
    grouped = weight.reshape((groups, filters // groups, seen, math.prod(kernel)))
    return grouped.transpose((0, 2, 1, 3)).reshape((groups * seen, filters // groups, *kernel))


@rule("DeformableConv2D")
def deformable(layer: Source) -> Value:
    kernel, strides, dilations = (along(layer, name) for name in ("kernel", "stride", "dilation"))
    pads, filters = padding(layer), layer.p.count("num_output", 1)
    if not isinstance(pads, Explicit):
        raise layer.unsupported("a deformable convolution that finds its padding")
    shape = _weight_shape(layer, filters, kernel, layer.p.count("weight_data_size", 1))
    mask = layer.operand(2) if len(layer.inputs) > 2 else None
    op = ops.DeformConv(strides=strides, dilations=dilations, pads=pads.pads)
    weight, bias = layer.constant("weight", shape), layer.optional("bias", (filters,))
    return layer.activated(layer.b(op, layer.x, weight, layer.operand(1), bias, mask))


@rule("InnerProduct")
def inner_product(layer: Source) -> Value:
    outputs, size = layer.p.count("num_output", 1), layer.p.count("weight_data_size", 1)
    inputs = size // outputs
    if not inputs or inputs * outputs != size:
        raise layer.invalid(f"{size} weights are none of {outputs} outputs")
    weight = layer.weight("weight", (outputs, inputs))
    if weight.dtype == dtypes.I8:
        weight = dequantized(weight, layer.weight("weight_scales").numpy().reshape(-1), layer)
    x = rounded(layer, layer.x) if layer.p.flag("int8_scale_term") else layer.x
    rows = layer.rank() == 2 and x.type.shape[-1] == inputs
    if not rows:
        total = dims.product(x.type.shape)
        if isinstance(total, int) and total != inputs:
            raise layer.invalid(f"{inputs} weights for each output, and {total} inputs")
        x = layer.reshape(x, (1, inputs))
    matrix = layer.b.constant(weight.transpose((1, 0)), name=f"{layer.stored.layer.name}.weight")
    made = layer.b(ops.MatMul(), x, matrix)
    bias = layer.optional("bias", (outputs,))
    return layer.activated(made if bias is None else layer.b(ops.Add(), made, bias))
