"""PyTorch rules for pooling."""

from __future__ import annotations

import itertools
import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape
from mmconvert.parsers.pytorch.conv import LAYOUT, batched, unbatched
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("PyTorch")


def _count(n: Source) -> int:
    """The number of spatial axes, which the operator's name says."""
    return next(int(c) for c in n.kind if c.isdigit())


def _windows(n: Source, count: int) -> tuple[tuple[int, ...], tuple[int, ...], Explicit, bool]:
    kernel = n.integers("kernel_size", count=count)
    stride = n.integers("stride", kernel) if n.raw("stride", ()) else kernel
    strides = stride * count if len(stride) == 1 else stride
    pads = n.integers("padding", 0, count=count)
    return kernel, strides, Explicit(tuple((p, p) for p in pads)), n.flag("ceil_mode")


@rule("aten.max_pool1d.default", "aten.max_pool2d.default", "aten.max_pool3d.default")
def max_pool(n: Source, b: Builder) -> Value:
    x, count = n.value("self"), _count(n)
    kernel, strides, padding, ceil = _windows(n, count)
    op = ops.MaxPool(
        kernel=kernel,
        strides=strides,
        dilations=n.integers("dilation", 1, count=count),
        padding=padding,
        ceil=ceil,
        layout=LAYOUT,
    )
    return unbatched(b, b(op, batched(b, x, count + 2)), x)


@rule(
    "aten.max_pool1d_with_indices.default",
    "aten.max_pool2d_with_indices.default",
    "aten.max_pool3d_with_indices.default",
)
def max_pool_with_indices(n: Source, b: Builder) -> tuple[Value, Value]:
    """Positions are counted in each channel's own picture, not in the whole tensor."""
    x, count = n.value("self"), _count(n)
    kernel, strides, padding, ceil = _windows(n, count)
    op = ops.MaxPoolIndices(
        kernel=kernel,
        strides=strides,
        dilations=n.integers("dilation", 1, count=count),
        padding=padding,
        ceil=ceil,
        layout=LAYOUT,
    )
    values, indices = b.multi(op, batched(b, x, count + 2))
    area = n.scalar(dims.product(x.type.shape[-count:]), indices.type.dtype)
    return unbatched(b, values, x), unbatched(b, b(ops.Mod(), indices, area), x)


@rule("aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default")
def average_pool(n: Source, b: Builder) -> Value:
    x, count = n.value("self"), _count(n)
    kernel, strides, padding, ceil = _windows(n, count)
    counted, divisor = n.flag("count_include_pad", default=True), n.raw("divisor_override", None)
    if divisor is not None and ceil:
        return _summed(n, b, x, kernel, strides, padding)
    op = ops.AveragePool(
        kernel=kernel,
        strides=strides,
        dilations=(1,) * count,
        padding=padding,
        ceil=ceil,
        count_include_pad=counted or divisor is not None,
        layout=LAYOUT,
    )
    y = unbatched(b, b(op, batched(b, x, count + 2)), x)
    return y if divisor is None else b(ops.Mul(), y, math.prod(kernel) / n.integer("divisor_override"))


def _summed(
    n: Source, b: Builder, x: Value, kernel: tuple[int, ...], strides: tuple[int, ...], padding: Explicit
) -> Value:
    """Windows that may hang over, each summed up and divided by one number: over explicit zeros."""
    count = len(kernel)
    wanted = n.result().shape[-count:]
    pads: list[tuple[Extent, Extent]] = [(0, 0)] * (x.type.rank - count)
    for axis in range(count):
        before, _ = padding.pads[axis]
        extent = x.type.shape[-count + axis]
        needed = (wanted[axis] - 1) * strides[axis] + kernel[axis] - extent - before
        pads.append((before, dims.maximum(needed, 0)))
    op = ops.AveragePool(
        kernel=kernel,
        strides=strides,
        dilations=(1,) * count,
        padding=Explicit.zero(count),
        layout=LAYOUT,
    )
    y = b(op, batched(b, b(ops.Pad(pads=tuple(pads)), x), count + 2))
    return b(ops.Mul(), unbatched(b, y, x), math.prod(kernel) / n.integer("divisor_override"))


@rule(
    "aten.adaptive_avg_pool1d.default",
    "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default",
    "aten._adaptive_avg_pool2d.default",
    "aten._adaptive_avg_pool3d.default",
)
def adaptive_average_pool(n: Source, b: Builder) -> Value:
    x, sizes = n.value("self"), _adaptive_sizes(n)
    axes = _spatial(x, len(sizes))
    if all(size == 1 for size in sizes):
        return b(ops.ReduceMean(axes=axes, keepdims=True), x)
    kernel = _even(x, sizes)
    if kernel is not None:
        op = ops.AveragePool(
            kernel=kernel,
            strides=kernel,
            dilations=(1,) * len(kernel),
            padding=Explicit.zero(len(kernel)),
            layout=LAYOUT,
        )
        return unbatched(b, b(op, batched(b, x, len(kernel) + 2)), x)
    y = x
    for axis, size in zip(axes, sizes, strict=True):
        extent = x.type.shape[axis]
        if isinstance(extent, Dim) and isinstance(size, int):
            y = _along(b, y, axis, _open_shares(n, b, x, extent, size))
        else:
            y = _along(b, y, axis, _shares(n, x, extent, size))
    return y


def _shares(n: Source, x: Value, extent: Extent, size: Extent) -> Array:
    """How much of each element is in each mean."""
    known, wanted = _known(n, extent, size)
    shares = np.zeros((known, wanted), x.type.dtype)
    for i, (start, end) in enumerate(_regions(known, wanted)):
        shares[start:end, i] = 1 / (end - start)
    return shares


def _open_shares(n: Source, b: Builder, x: Value, extent: Dim, size: int) -> Value:
    """The same of an extent that the run decides: places, compared with where the regions begin and end."""
    number, region = n.scalar(extent, dtypes.I32), np.arange(size, dtype=np.int32)
    places = b(ops.Range(size=extent), np.array(0, np.int32), number, np.array(1, np.int32))
    row = b(ops.Unsqueeze(axes=(1,)), places)
    start = b(ops.Div(), b(ops.Mul(), number, region), size)
    end = b(ops.Div(), b(ops.Add(), b(ops.Mul(), number, region + 1), size - 1), size)
    within = b(ops.And(), b(ops.GreaterEqual(), row, start), b(ops.Less(), row, end))
    length = n.cast(b(ops.Sub(), end, start), x.type.dtype)
    return b(ops.Div(), n.cast(within, x.type.dtype), length)


@rule(
    "aten.adaptive_max_pool1d.default",
    "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
)
def adaptive_max_pool(n: Source, b: Builder) -> tuple[Value, ...]:
    x, sizes = n.value("self"), _adaptive_sizes(n)
    axes = _spatial(x, len(sizes))
    count = len(sizes)
    kernel = tuple(int(e) for e in x.type.shape[-count:] if isinstance(e, int)) if set(sizes) == {1} else ()
    kernel = kernel if len(kernel) == count else _even(x, sizes) or ()
    if n.wants(1) and kernel:
        op = ops.MaxPoolIndices(
            kernel=kernel,
            strides=kernel,
            dilations=(1,) * count,
            padding=Explicit.zero(count),
            layout=LAYOUT,
        )
        values, indices = b.multi(op, batched(b, x, count + 2))
        area = n.scalar(dims.product(x.type.shape[-count:]), indices.type.dtype)
        return unbatched(b, values, x), unbatched(b, b(ops.Mod(), indices, area), x)
    if all(size == 1 for size in sizes) and not n.wants(1):
        return (b(ops.ReduceMax(axes=axes, keepdims=True), x),)
    return _uneven_max(n, b, x, sizes)


def _uneven_max(n: Source, b: Builder, x: Value, sizes: Shape) -> tuple[Value, ...]:
    """The largest element of regions of different extents: each is looked up as a row of its own."""
    count = len(sizes)
    outer = x.type.shape[:-count]
    extents, wanted = zip(
        *(_known(n, e, s) for e, s in zip(x.type.shape[-count:], sizes, strict=True)), strict=True
    )
    lines = []
    for extent, size in zip(extents, wanted, strict=True):
        regions = _regions(extent, size)
        longest = max(end - start for start, end in regions)
        lines.append([[min(start + k, end - 1) for k in range(longest)] for start, end in regions])
    places = [
        [np.ravel_multi_index(tap, extents) for tap in itertools.product(*region)]
        for region in itertools.product(*lines)
    ]
    flat = b(ops.Reshape(shape=(*outer, math.prod(extents))), x)
    table = np.array(places, np.int64)
    rows = b(ops.Gather(axis=len(outer)), flat, table)
    axis = len(outer) + 1
    values = b(ops.ReduceMax(axes=(axis,), keepdims=False), rows)
    best = b(ops.ArgMax(axis=axis, keepdims=True), rows)
    named = b(ops.Expand(shape=rows.type.shape), b.constant(table))
    found = b(ops.Squeeze(axes=(axis,)), b(ops.GatherElements(axis=axis), named, best))
    return tuple(b(ops.Reshape(shape=(*outer, *sizes)), v) for v in (values, found))


def _adaptive_sizes(n: Source) -> Shape:
    count = _count(n)
    n.ignore("output_size")
    return n.result().shape[-count:]


def _spatial(x: Value, count: int) -> tuple[int, ...]:
    return tuple(range(x.type.rank - count, x.type.rank))


def _even(x: Value, sizes: Shape) -> tuple[int, ...] | None:
    """The windows, when all of an axis are equally long."""
    kernel = []
    for extent, size in zip(x.type.shape[-len(sizes) :], sizes, strict=True):
        if extent == size:
            kernel.append(1)
        elif isinstance(extent, int) and isinstance(size, int) and size and extent % size == 0:
            kernel.append(extent // size)
        else:
            return None
    return tuple(kernel)


def _known(n: Source, extent: Extent, size: Extent) -> tuple[int, int]:
    if not isinstance(extent, int) or not isinstance(size, int):
        raise n.unsupported(
            f"from {extent} elements to {size}",
            hint="export it with fixed extents of the axes that are pooled",
        )
    return extent, size


def _regions(extent: int, size: int) -> list[tuple[int, int]]:
    return [(i * extent // size, -(-(i + 1) * extent // size)) for i in range(size)]


def _along(b: Builder, x: Value, axis: int, matrix: Value | Array) -> Value:
    """``x`` times a matrix along one axis."""
    rank = x.type.rank
    perm = (*(a for a in range(rank) if a != axis), axis)
    back = tuple(perm.index(a) for a in range(rank))
    product = b(ops.MatMul(), b(ops.Transpose(perm=perm), x), matrix)
    return b(ops.Transpose(perm=back), product)
