"""Normalisation, softmax and reductions."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")


@rule("BatchNorm")
def batch_norm(layer: Source) -> Value:
    count = (layer.p.count("channels", 1),)
    names = ("slope", "bias", "mean", "variance")
    vectors = [layer.constant(name, count) for name in names]
    return layer.b(ops.BatchNorm(epsilon=layer.p.real("eps"), axis=1), layer.x, *vectors)


@rule("LayerNorm", "RMSNorm")
def layer_norm(layer: Source) -> Value:
    """Over the last axis, or the last ones that have as many elements together as there are factors."""
    size, shape = layer.p.count("affine_size", 1), layer.x.type.shape
    count, product = 0, 1
    while product != size and count < layer.rank():
        count += 1
        extent = shape[-count]
        if not isinstance(extent, int):
            raise layer.unsupported("normalisation over axes of unknown extent")
        product *= extent
    if product != size:
        raise layer.invalid(f"no last axes of {layer.x.type} have {size} elements")
    count = max(count, 1)
    axes = tuple(range(len(shape) - count, len(shape)))
    extents = tuple(int(str(e)) for e in shape[-count:])
    gamma = layer.optional("gamma", extents)
    epsilon = layer.p.real("eps")
    layer.p.flag("affine")
    if layer.kind == "RMSNorm":
        return layer.b(ops.RMSNorm(axes=axes, epsilon=epsilon), layer.x, gamma)
    return layer.b(ops.LayerNorm(axes=axes, epsilon=epsilon), layer.x, gamma, layer.optional("beta", extents))


def _affine(layer: Source) -> tuple[Value, Value]:
    layer.p.flag("affine")
    count = (layer.p.count("channels", 1),)
    gamma, beta = layer.optional("gamma", count), layer.optional("beta", count)
    one, zero = np.ones(count, np.float32), np.zeros(count, np.float32)
    return gamma or layer.b.constant(one), beta or layer.b.constant(zero)


@rule("GroupNorm")
def group_norm(layer: Source) -> Value:
    op = ops.GroupNorm(groups=layer.p.count("group", 1), epsilon=layer.p.real("eps"), layout=Layout.NCHW)
    return layer.b(op, layer.x, *_affine(layer))


@rule("InstanceNorm")
def instance_norm(layer: Source) -> Value:
    return layer.b(
        ops.InstanceNorm(epsilon=layer.p.real("eps"), layout=Layout.NCHW), layer.x, *_affine(layer)
    )


@rule("MVN")
def mvn(layer: Source) -> Value:
    axes = tuple(range(1 if layer.p.flag("across_channels") else 2, layer.x.type.rank))
    centred = layer.b(ops.Sub(), layer.x, layer.b(ops.ReduceMean(axes=axes, keepdims=True), layer.x))
    epsilon = layer.p.real("eps")
    if not layer.p.flag("normalize_variance"):
        return centred
    variance = layer.b(ops.ReduceMean(axes=axes, keepdims=True), layer.b(ops.Square(), centred))
    return layer.b(ops.Div(), centred, layer.b(ops.Add(), layer.b(ops.Sqrt(), variance), epsilon))


@rule("Normalize")
def normalize(layer: Source) -> Value:
    """By the root of the sum of squares, with an epsilon as Caffe, PyTorch or TensorFlow have it."""
    spatial, channel = layer.p.flag("across_spatial"), layer.p.flag("across_channel")
    axes = (*((1,) if channel else ()), *(range(2, layer.x.type.rank) if spatial else ()))
    if not axes:
        raise layer.unsupported("normalisation over nothing")
    epsilon, mode = layer.p.real("eps"), layer.p.integer("eps_mode")
    total = layer.b(ops.ReduceSumSquare(axes=axes, keepdims=True), layer.x)
    if mode == 0:
        norm = layer.b(ops.Sqrt(), layer.b(ops.Add(), total, epsilon))
    elif mode == 1:
        norm = layer.b(ops.Max(), layer.b(ops.Sqrt(), total), epsilon)
    elif mode == 2:
        norm = layer.b(ops.Sqrt(), layer.b(ops.Max(), total, epsilon))
    else:
        raise layer.invalid(f"there is no epsilon of mode {mode}")
    y = layer.b(ops.Div(), layer.x, norm)
    shared, count = layer.p.flag("channel_shared"), layer.p.count("scale_data_size")
    if not count:
        return y
    shape = (1,) if shared else (count, *(1,) * (layer.rank() - 1))
    return layer.b(ops.Mul(), y, layer.constant("scale", shape))


@rule("LRN")
def lrn(layer: Source) -> Value:
    size = layer.p.count("local_size", 1)
    numbers = {name: layer.p.real(name) for name in ("alpha", "beta", "bias")}
    if layer.p.integer("region_type") == 0:
        return layer.b(ops.LRN(size=size, axis=1, **numbers), layer.x)
    if size % 2 == 0 or layer.rank() != 3:
        raise layer.unsupported("an uneven window of the response normalisation within channels")
    from mmconvert.ir.geometry import Explicit

    pads = Explicit(((size // 2, size // 2),) * 2)
    mean = ops.AveragePool(
        kernel=(size, size),
        strides=(1, 1),
        dilations=(1, 1),
        padding=pads,
        count_include_pad=True,
        layout=Layout.NCHW,
    )
    total = layer.b(ops.Mul(), layer.b(mean, layer.b(ops.Square(), layer.x)), numbers["alpha"])
    base = layer.b(ops.Pow(), layer.b(ops.Add(), total, numbers["bias"]), numbers["beta"])
    return layer.b(ops.Div(), layer.x, base)


@rule("Softmax")
def softmax(layer: Source) -> Value:
    axis = layer.p.integer("axis")
    if not layer.p.flag("fixbug0") and axis != 0:
        raise layer.unsupported("a softmax of old releases, which counted axes in another way")
    return layer.b(ops.Softmax(axis=layer.axis(axis)), layer.x)


_REDUCTIONS: list[type[Op]] = [
    ops.ReduceSum,
    ops.ReduceL1,
    ops.ReduceSumSquare,
    ops.ReduceMean,
    ops.ReduceMax,
    ops.ReduceMin,
    ops.ReduceProd,
    ops.ReduceL1,
    ops.ReduceL2,
    ops.ReduceLogSum,
    ops.ReduceLogSumExp,
]


@rule("Reduction")
def reduction(layer: Source) -> Value:
    number, keep = layer.p.integer("operation"), layer.p.flag("keepdims")
    if not 0 <= number < len(_REDUCTIONS):
        raise layer.invalid(f"there is no reduction {number}")
    given, everything = layer.p.integers("axes"), layer.p.flag("reduce_all")
    if given and not everything and not layer.p.flag("fixbug0"):
        raise layer.unsupported("a reduction of old releases, which counted axes in another way")
    rank = layer.rank()
    axes = tuple(sorted({layer.axis(a) for a in given})) if given and not everything else ()
    axes = axes or tuple(range(1, rank + 1))
    layer.p.flag("fixbug0")
    make = _REDUCTIONS[number]
    y = layer.b(make(axes=axes, keepdims=keep), layer.x)
    if y.type.rank == 1:
        y = layer.reshape(y, (1, 1))
    factor = layer.p.real("coeff")
    return y if factor == 1 else layer.b(ops.Mul(), y, factor)


@rule("ArgMax")
def arg_max(layer: Source) -> Value:
    if layer.p.flag("out_max_val") or layer.p.count("topk") != 1:
        raise layer.unsupported("an ArgMax of more than one place")
    flat = layer.reshape(layer.x, (1, layer.x.type.size))
    found = layer.b(ops.ArgMax(axis=1, keepdims=True), flat)
    return layer.b(ops.Cast(to=dtypes.F32), found)
