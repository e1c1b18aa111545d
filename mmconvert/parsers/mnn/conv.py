"""MNN rules for convolution, pooling and what goes over channels. NC4HW4 has the axes of NCHW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.sampling import Coordinates, Mode, Nearest
from mmconvert.ir.types import Extent, Layout
from mmconvert.mnnlib import Record
from mmconvert.parsers.mnn.source import Source
from mmconvert.parsers.mnn.weights import floats, kernel, narrow
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")

_VALID, _SAME = 1, 2
_MAX, _AVERAGE = range(2)
_COUNT_PADDING = 1


def _padding(n: Source, record: Record, mode: str) -> Padding:
    kind = record.number(mode)
    if kind == _SAME:
        return Same()
    if kind == _VALID:
        return Explicit.zero(2)
    pads = record.integers("pads")
    if not pads:
        pads = (record.number("padY"), record.number("padX")) * 2
    if len(pads) != 4:
        raise n.invalid(f"the pads {list(pads)}")
    return Explicit(((pads[0], pads[2]), (pads[1], pads[3])))


@rule("Convolution", "ConvolutionDepthwise", "Deconvolution", "DeconvolutionDepthwise")
def convolution(n: Source, b: Builder) -> Value:
    common, x = n.part("common", "Convolution2DCommon"), n.operand(0)
    window = (common.number("kernelY"), common.number("kernelX"))
    filters, groups = common.number("outputCount"), common.number("group")
    transposed = n.kind.startswith("Deconvolution")
    if n.kind.endswith("Depthwise"):
        groups = filters
    seen = _seen(n, common, x)
    if min(filters, groups, seen, *window) < 1 or filters % groups or seen % groups:
        raise n.invalid(f"{filters} filters in {groups} groups over {seen} channels")
    attributes: dict[str, Any] = {
        "strides": (common.number("strideY"), common.number("strideX")),
        "dilations": (common.number("dilateY"), common.number("dilateX")),
        "padding": _padding(n, common, "padMode"),
        "groups": groups,
        "layout": Layout.NCHW,
    }
    if transposed:
        shape = (seen, filters // groups, *window)
        extra = common.integers("outPads") or (0, 0)
        op: Op = ops.ConvTranspose(output_padding=extra, **attributes)
    else:
        shape = (filters, seen // groups, *window)
        op = ops.Conv(**attributes)
    if n.has(1):
        operands = [x, *n.operands()[1:3]]
    else:
        weight, bias = kernel(n, shape)
        operands = [x, b.constant(weight)] + ([] if bias is None else [b.constant(bias)])
    return _activated(b, common, b(op, *operands))


@rule("Convolution3D", "ConvTranspose3D")
def convolution_3d(n: Source, b: Builder) -> Value:
    common, x = n.part("common", "Convolution3DCommon"), n.operand(0)
    window, pads = common.integers("kernels"), common.integers("pads") or (0,) * 6
    filters, seen, groups = (common.number(f"{name}") for name in ("outputCount", "inputCount", "group"))
    if len(window) != 3 or len(pads) not in (3, 6) or min(*window, filters, seen, groups) < 1:
        raise n.invalid(f"windows of {list(window)} with pads {list(pads)}")
    if groups != 1 or n.parameters.integers("external"):
        raise n.unsupported("groups, or weights in a file of their own")
    sides = tuple(zip(pads[:3], pads[-3:], strict=True))
    attributes: dict[str, Any] = {
        "strides": common.integers("strides"),
        "dilations": common.integers("dilates"),
        "padding": Same() if common.number("padMode") == _SAME else Explicit(sides),
        "layout": Layout.NCHW,
    }
    if n.kind == "Convolution3D":
        op: Op = ops.Conv(**attributes)
        weight = floats(n, n.parameters, "weight", (filters, seen, *window))
    else:
        op = ops.ConvTranspose(output_padding=common.integers("outPads") or (0, 0, 0), **attributes)
        weight = floats(n, n.parameters, "weight", (seen, filters, *window))
    bias = floats(n, n.parameters, "bias", (filters,))
    return _activated(b, common, b(op, x, b.constant(weight), b.constant(bias)))


def _activated(b: Builder, common: Record, y: Value) -> Value:
    if common.number("relu6"):
        return b(ops.Clip(low=0.0, high=6.0), y)
    return b(ops.Relu(), y) if common.number("relu") else y


def _seen(n: Source, common: Record, x: Value) -> int:
    """The number of input channels; old files leave it to the tensor."""
    extent = x.type.require_rank(4).shape[1]
    number = extent if isinstance(extent, int) else common.number("inputCount")
    if not number:
        raise n.unsupported("an unknown number of channels")
    return number


@rule("Pooling")
def pooling(n: Source, b: Builder) -> Value | tuple[Value, ...]:
    record, x = n.parameters, n.operand(0)
    if record.number("isGlobal"):
        return _global(n, b, record.number("type"), x)
    attributes: dict[str, Any] = {
        "kernel": (record.number("kernelY"), record.number("kernelX")),
        "strides": (record.number("strideY"), record.number("strideX")),
        "dilations": (1, 1),
        "padding": _padding(n, record, "padType"),
        "ceil": bool(record.number("ceilModel")),
        "layout": Layout.NCHW,
    }
    if isinstance(attributes["padding"], Same):
        attributes["ceil"] = False
    if record.number("type") == _MAX and len(n.outputs) == 2:
        y, positions = b.multi(ops.MaxPoolIndices(**attributes), x)
        plane = b.constant(math.prod(x.type.require_rank(4).static_shape[2:]), dtypes.I64)
        return y, b(ops.Cast(to=dtypes.I32), b(ops.Mod(), positions, plane))
    if record.number("type") == _MAX:
        return b(ops.MaxPool(**attributes), x)
    include = record.number("countType") == _COUNT_PADDING
    return b(ops.AveragePool(count_include_pad=include, **attributes), x)


@rule("Pooling3D")
def pooling_3d(n: Source, b: Builder) -> Value:
    record = n.parameters
    if not record.number("isGlobal"):
        raise n.unsupported("windows over three axes")
    return _global(n, b, record.number("type"), n.operand(0))


def _global(n: Source, b: Builder, kind: int, x: Value) -> Value:
    axes = tuple(range(2, x.type.rank))
    if kind not in (_MAX, _AVERAGE):
        raise n.unsupported(f"pooling of the type {kind}")
    op = ops.ReduceMax if kind == _MAX else ops.ReduceMean
    return b(op(axes=axes, keepdims=True), x)


@rule("InnerProduct")
def inner_product(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    filters, axis = record.number("outputCount"), x.type.axis(record.number("axis"))
    seen = math.prod(e if isinstance(e, int) else 0 for e in x.type.shape[axis:])
    if not seen or record.number("transpose"):
        raise n.unsupported("its weights are transposed, or as many as only the run tells")
    quantized = record.record("quanParameter", "IDSTQuan")
    if quantized is None:
        matrix = floats(n, record, "weight", (filters, seen))
    else:
        matrix = narrow(n, quantized, (filters, seen), filters, quantized.vector("buffer"))
    weight = b.constant(matrix)
    flat = b(ops.Reshape(shape=(*x.type.shape[:axis], seen)), x)
    y = b(ops.MatMul(), flat, b(ops.Transpose(perm=(1, 0)), weight))
    return (
        b(ops.Add(), y, b.constant(floats(n, record, "bias", (filters,)))) if record.number("biasTerm") else y
    )


@rule("Scale")
def scale(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    if record.integers("external"):
        raise n.unsupported("scales in a file of their own")
    shape = (record.number("channels"), *(1,) * (x.type.rank - 2))
    y = b(ops.Mul(), x, b.constant(floats(n, record, "scaleData", shape)))
    return (
        b(ops.Add(), y, b.constant(floats(n, record, "biasData", shape)))
        if record.vector("biasData").size
        else y
    )


@rule("PReLU")
def prelu(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    count = record.number("slopeCount")
    shape = (count, *(1,) * (x.type.rank - 2))
    return b(ops.PRelu(), x, b.constant(floats(n, record, "slope", shape)))


_COORDINATES: dict[int, Coordinates] = {
    1: "align_corners",
    2: "half_pixel",
    3: "pytorch_half_pixel",
    4: "asymmetric",
}
_KINDS: dict[int, tuple[Mode, Nearest]] = {
    1: ("nearest", "floor"),
    2: ("linear", "floor"),
    3: ("cubic", "floor"),
    4: ("nearest", "round_prefer_floor"),
}


@rule("Interp")
def interp(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    where = _COORDINATES.get(record.number("ctm"))
    if where is None:
        where = "align_corners" if record.number("alignCorners") else "asymmetric"
        where = "half_pixel" if record.number("halfPixelCenters") else where
    kind = _KINDS.get(record.number("resizeType"))
    x.type.require_rank(4)
    if kind is None or (kind[0] == "cubic" and where not in ("align_corners", "asymmetric")):
        raise n.unsupported(f"resizing of the type {record.number('resizeType')} at {where}")
    op = ops.Resize(
        axes=(2, 3),
        sizes=_sizes(n, record, x),
        mode=kind[0],
        coordinates=where,
        nearest=kind[1],
        cubic_coeff=record.real("cubicCoeffA"),
    )
    return b(op, x)


def _sizes(n: Source, record: Record, x: Value) -> tuple[Extent, ...]:
    height, width = x.type.shape[2:]
    if n.has(1):
        given = n.operand(1)
        if given.type.dtype.kind == "i":
            return n.extents(1, "sizes")[-2:]
        factors = n.array(1, "scales").reshape(-1)[-2:].tolist()
    elif record.number("outputHeight") and record.number("outputWidth"):
        return record.number("outputHeight"), record.number("outputWidth")
    else:
        factors = [record.real("heightScale"), record.real("widthScale")]
    if len(factors) != 2 or not all(f > 0 and math.isfinite(f) for f in factors):
        raise n.invalid(f"scales of {factors}")
    known = [e for e in (height, width) if isinstance(e, int)]
    if len(known) == 2:
        return tuple(math.floor(np.float32(e) * np.float32(f)) for e, f in zip(known, factors, strict=True))
    if not all(float(f).is_integer() for f in factors):
        raise n.unsupported(f"scales of {factors} for unknown extents")
    return height * int(factors[0]), width * int(factors[1])
