"""Operations of `keras.ops` that arrange, sort, multiply and convolve whole tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    AveragePool,
    BatchNorm,
    Cast,
    Concat,
    Conv,
    DepthToSpace,
    Einsum,
    Equal,
    Expand,
    Fill,
    GatherElements,
    Inverse,
    LayerNorm,
    MatMul,
    MaxPool,
    Mul,
    ReduceSum,
    Reshape,
    Reverse,
    RMSNorm,
    Slice,
    SpaceToDepth,
    Split,
    Squeeze,
    Sub,
    TopK,
    Transpose,
    Trilu,
    Unsqueeze,
)
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import floating, operands
from mmconvert.parsers.keras.source import element_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("ops.Ravel")
def ravel(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Reshape(shape=(dims.product(x.type.shape),)), x)


@rule("ops.Moveaxis")
def move_axis(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    source, target = (x.type.axes(layer.integers(key)) for key in ("source", "destination"))
    perm = [axis for axis in range(x.type.rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        perm.insert(place, axis)
    return b(Transpose(perm=tuple(perm)), x)


@rule("ops.Fliplr", "ops.Flipud")
def flip(layer: KerasLayer, b: Builder) -> Value:
    return b(Reverse(axes=(1 if layer.kind == "Fliplr" else 0,)), layer.tensor(0, "x"))


@rule("ops.Roll")
def roll(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    if layer.setting("axis", None) is None:
        raise layer.refuse("rolling over all elements", "give an axis")
    axes = layer.integers("axis", None)
    shifts = layer.integers("shift", len(axes))
    for axis, shift in zip(x.type.axes(axes), shifts, strict=True):
        extent = layer.extent(x, axis)
        shift %= max(extent, 1)
        if shift:
            head, tail = b.multi(Split(axis=axis, sizes=(extent - shift, shift)), x)
            x = b(Concat(axis=axis), tail, head)
    return x


@rule("ops.Repeat")
def repeat(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    if layer.setting("axis", None) is None:
        raise layer.refuse("repeating all elements", "give an axis")
    axis, times = layer.axis(x), layer.integer("repeats")
    shape = x.type.shape
    wide = b(Expand(shape=(*shape[: axis + 1], times, *shape[axis + 1 :])), b(Unsqueeze(axes=(axis + 1,)), x))
    return b(Reshape(shape=(*shape[:axis], shape[axis] * times, *shape[axis + 1 :])), wide)


@rule("ops.Unstack")
def unstack(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    x = layer.tensor(0, "x")
    axis = layer.axis(x, default=0)
    layer.ignore("num")
    parts = b.multi(Split(axis=axis, sizes=(1,) * layer.extent(x, axis)), x)
    return tuple(b(Squeeze(axes=(axis,)), part) for part in parts)


@rule("ops.Hstack", "ops.Vstack", "ops.Dstack")
def stack(layer: KerasLayer, b: Builder) -> Value:
    items: Any = layer.argument(0, "xs")
    if not isinstance(items, list) or not items or not all(isinstance(item, Value) for item in items):
        raise layer.invalid("a list of tensors is needed")
    values = operands(b, *items)
    axis, rank = {"Hstack": (1, 2), "Vstack": (0, 2), "Dstack": (2, 3)}[layer.kind]
    if min(value.type.rank for value in values) < rank:
        raise layer.refuse("tensors of a rank that grows", "use concatenate")
    return b(Concat(axis=axis), *values)


@rule("ops.Append")
def append(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    if layer.setting("axis", None) is None:
        raise layer.refuse("joining all elements", "give an axis")
    return b(Concat(axis=layer.axis(left)), left, right)


@rule("ops.ZerosLike", "ops.OnesLike", "ops.EmptyLike")
def filled(layer: KerasLayer, b: Builder) -> Value:
    x, given = layer.tensor(0, "x"), layer.setting("dtype", None)
    dtype = x.type.dtype if given is None else element_type(given, layer.place)
    return b(Fill(shape=x.type.shape, value=float(layer.kind == "OnesLike"), dtype=dtype))


@rule("ops.FullLike")
def full_like(layer: KerasLayer, b: Builder) -> Value:
    x, value = layer.tensor(0, "x"), layer.operand(1, "fill_value")
    given = layer.setting("dtype", None)
    dtype = x.type.dtype if given is None else element_type(given, layer.place)
    if not isinstance(value, int | float):
        raise layer.refuse("filling with a tensor")
    return b(Fill(shape=x.type.shape, value=float(value), dtype=dtype))


@rule("ops.Tril", "ops.Triu")
def triangle(layer: KerasLayer, b: Builder) -> Value:
    return b(Trilu(k=layer.integer("k", 0), upper=layer.kind == "Triu"), layer.tensor(0, "x"))


@rule("ops.Diff")
def difference(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "a")
    axis = layer.axis(x)
    for _ in range(layer.sizes("n", 1, 1)[0]):
        rest = x.type.shape[axis] - 1
        after, before = (
            b(Slice(axes=(axis,), starts=(start,), sizes=(rest,), steps=(1,)), x) for start in (1, 0)
        )
        x = b(Sub(), after, before)
    return x


@rule("ops.TakeAlongAxis")
def take_along_axis(layer: KerasLayer, b: Builder) -> Value:
    x, indices = layer.tensor(0, "x"), layer.tensor(1, "indices")
    if layer.setting("axis", None) is None:
        raise layer.refuse("an index into all elements", "give an axis")
    return b(GatherElements(axis=layer.axis(x)), x, indices)


@rule("ops.Sort")
def sort(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axis = layer.axis(x)
    return b.multi(TopK(k=x.type.shape[axis], axis=axis, largest=False), x)[0]


@rule("ops.Argsort")
def arg_sort(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axis = layer.axis(x)
    return b(Cast(to=dtypes.I32), b.multi(TopK(k=x.type.shape[axis], axis=axis, largest=False), x)[1])


@rule("ops.TopK")
def top_k(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    x = layer.tensor(0, "x")
    layer.ignore("sorted")
    values, indices = b.multi(TopK(k=layer.integer("k"), axis=x.type.rank - 1), x)
    return values, b(Cast(to=dtypes.I32), indices)


@rule("ops.OneHot")
def one_hot(layer: KerasLayer, b: Builder) -> Value:
    x, count = layer.tensor(0, "x"), layer.sizes("num_classes", 1)[0]
    if layer.flag("sparse", False):
        raise layer.refuse("sparse outputs")
    given = layer.setting("dtype", None)
    dtype = dtypes.F32 if given is None else element_type(given, layer.place)
    rank = x.type.rank + 1
    axis = layer.integer("axis", -1)
    if not -rank <= axis < rank:
        raise layer.invalid(f"axis {axis} of rank {rank}")
    numbers = np.arange(count).astype(x.type.dtype).reshape([-1] + [1] * (rank - 1 - axis % rank))
    return b(Cast(to=dtype), b(Equal(), b(Unsqueeze(axes=(axis % rank,)), x), numbers))


# --- products ------------------------------------------------------------------------------------------


@rule("ops.Einsum")
def einsum(layer: KerasLayer, b: Builder) -> Value:
    items = layer.args[0] if len(layer.args) == 1 and isinstance(layer.args[0], list) else layer.args
    found = [layer.operand(i, f"operand {i}") for i in range(len(items))] if items is layer.args else items
    layer._used.update(range(len(layer.args)))
    return b(Einsum(equation=layer.string("subscripts").replace(" ", "")), *operands(b, *found))


@rule("ops.Outer")
def outer(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    sizes = [dims.product(value.type.shape) for value in (left, right)]
    return b(Mul(), b(Reshape(shape=(sizes[0], 1)), left), b(Reshape(shape=(1, sizes[1])), right))


@rule("ops.Dot", "ops.Inner", "ops.Vdot")
def dot(layer: KerasLayer, b: Builder) -> Value:
    """Over the last axis of the first and the last but one of the second; ``Inner`` over the last of both."""
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    if min(left.type.rank, right.type.rank) == 0:
        return b(Mul(), left, right)
    if layer.kind == "Vdot":
        left, right = (b(Reshape(shape=(dims.product(v.type.shape),)), v) for v in (left, right))
    last = right.type.rank - 1
    along = last if layer.kind != "Dot" or last == 0 else last - 1
    return _tensordot(b, left, right, (left.type.rank - 1,), (along,))


@rule("ops.Tensordot")
def tensordot(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    axes: Any = layer.setting("axes", 2)
    if isinstance(axes, int):
        first, second = list(range(left.type.rank - axes, left.type.rank)), list(range(axes))
    elif isinstance(axes, list) and len(axes) == 2:
        first, second = (axis if isinstance(axis, list) else [axis] for axis in axes)
    else:
        raise layer.invalid(f"axes = {axes!r}")
    return _tensordot(b, left, right, left.type.axes(tuple(first)), right.type.axes(tuple(second)))


def _tensordot(b: Builder, left: Value, right: Value, first: Any, second: Any) -> Value:
    rest = [axis for axis in range(left.type.rank) if axis not in first]
    other = [axis for axis in range(right.type.rank) if axis not in second]
    a = b(Transpose(perm=(*rest, *first)), left)
    c = b(Transpose(perm=(*second, *other)), right)
    outside: tuple[Extent, ...] = tuple(left.type.shape[axis] for axis in rest)
    behind: tuple[Extent, ...] = tuple(right.type.shape[axis] for axis in other)
    inside = dims.product(tuple(left.type.shape[axis] for axis in first))
    a = b(Reshape(shape=(dims.product(outside), inside)), a)
    c = b(Reshape(shape=(inside, dims.product(behind))), c)
    return b(Reshape(shape=(*outside, *behind)), b(MatMul(), a, c))


@rule("ops.Inv")
def inverse(layer: KerasLayer, b: Builder) -> Value:
    return b(Inverse(), floating(b, layer.tensor(0, "x")))


# --- neural networks -----------------------------------------------------------------------------------


@rule("ops.MaxPool", "ops.AveragePool")
def pool(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "inputs")
    rank = x.type.rank - 2
    kernel = layer.sizes("pool_size", rank)
    strides = kernel if layer.setting("strides", None) is None else layer.sizes("strides", rank)
    op = (MaxPool if layer.kind == "MaxPool" else AveragePool)(
        kernel=kernel,
        strides=strides,
        dilations=(1,) * rank,
        padding=padding(layer, rank),
        layout=layer.layout(),
    )
    return b(op, x)


def padding(layer: KerasLayer, rank: int) -> Padding:
    match layer.string("padding", "valid").lower():
        case "same":
            return Same()
        case "valid":
            return Explicit.zero(rank)
        case other:
            raise layer.refuse(f"padding {other!r}")


@rule("ops.Conv", "ops.DepthwiseConv")
def conv(layer: KerasLayer, b: Builder) -> Value:
    """A convolution with a kernel that is a tensor: spatial, channels, filters."""
    x, kernel = operands(b, layer.operand(0, "inputs"), layer.operand(1, "kernel"))
    rank, layout = x.type.rank - 2, layer.layout()
    channels = layer.extent(x, layout.channel_axis(x.type.rank))
    seen, filters = layer.extent(kernel, -2), layer.extent(kernel, -1)
    groups = channels // max(seen, 1)
    if layer.kind == "DepthwiseConv":
        groups, filters = channels, filters * channels
        kernel = b(Reshape(shape=(*kernel.type.shape[:-2], 1, filters)), kernel)
    spatial = tuple(range(rank))
    perm = (rank + 1, *spatial, rank) if layout is Layout.NHWC else (rank + 1, rank, *spatial)
    op = Conv(
        strides=layer.sizes("strides", rank, 1),
        dilations=layer.sizes("dilation_rate", rank, 1),
        padding=padding(layer, rank),
        groups=groups,
        layout=layout,
    )
    return b(op, x, b(Transpose(perm=perm), kernel))


@rule("ops.BatchNorm")
def batch_norm(layer: KerasLayer, b: Builder) -> Value:
    x, mean, variance = (layer.tensor(i, n) for i, n in enumerate(("x", "mean", "variance")))
    axis = layer.axis(x)
    channels = mean.type.shape
    offset, scale = (
        b(Fill(shape=channels, value=default, dtype=x.type.dtype))
        if layer.argument(i, name) is None
        else layer.tensor(i, name)
        for i, name, default in ((3, "offset", 0.0), (4, "scale", 1.0))
    )
    return b(BatchNorm(epsilon=layer.number("epsilon", 1e-3), axis=axis), x, scale, offset, mean, variance)


@rule("ops.LayerNorm", "ops.LayerNormalization")
def layer_norm(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.tensor(0, "x"))
    if layer.flag("rms_scaling", False):
        raise layer.refuse("rms_scaling")
    epsilon = 1e-7 if layer.setting("epsilon", None) is None else layer.number("epsilon")
    scale, offset = (
        None if layer.argument(i, n) is None else layer.tensor(i, n) for i, n in ((1, "gamma"), (2, "beta"))
    )
    return b(LayerNorm(axes=layer.axes(x), epsilon=epsilon), x, scale, offset)


@rule("ops.RMSNorm", "ops.RMSNormalization")
def rms_norm(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.tensor(0, "x"))
    epsilon = 1e-7 if layer.setting("epsilon", None) is None else layer.number("epsilon")
    scale = None if layer.argument(1, "scale") is None else layer.tensor(1, "scale")
    return b(RMSNorm(axes=layer.axes(x), epsilon=epsilon), x, scale)


@rule("ops.DepthToSpace", "ops.SpaceToDepth")
def blocks(layer: KerasLayer, b: Builder) -> Value:
    x, size, layout = layer.tensor(0, "x"), layer.sizes("block_size", 1)[0], layer.layout()
    if layer.kind == "DepthToSpace":
        return b(DepthToSpace(block=size, mode="DCR", layout=layout), x)
    return b(SpaceToDepth(block=size, layout=layout), x)


@rule("ops.RGBToGrayscale")
def grayscale(layer: KerasLayer, b: Builder) -> Value:
    x, layout = layer.floats(layer.tensor(0, "images")), layer.layout()
    axis = layout.channel_axis(4) - 4
    weights = np.array([0.2989, 0.5870, 0.1140]).astype(x.type.dtype).reshape([-1] + [1] * (-1 - axis))
    return b(ReduceSum(axes=(x.type.axis(axis),), keepdims=True), b(Mul(), x, weights))


@rule("ops.Size", "ops.Ndim")
def count(layer: KerasLayer, b: Builder) -> Value:
    raise layer.refuse("a number that depends on shapes alone", "write the number")


@rule("ops.Slice")
def slice_(layer: KerasLayer, b: Builder) -> Value:
    x, starts = layer.tensor(0, "inputs"), layer.argument(1, "start_indices")
    sizes = layer.integers("shape", x.type.rank)
    if isinstance(starts, np.ndarray):
        starts = starts.tolist()
    if not isinstance(starts, list) or not all(type(start) is int for start in starts):
        raise layer.refuse("a start that is a tensor")
    op = Slice(axes=tuple(range(x.type.rank)), starts=tuple(starts), sizes=sizes, steps=(1,) * x.type.rank)
    return b(op, x)
