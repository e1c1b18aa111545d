"""MNN rules for operators that pick or place elements by position."""

from __future__ import annotations

from itertools import pairwise

from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.scatter import Reduction
from mmconvert.ir.slicing import normalize_slice
from mmconvert.parsers.mnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")

_ONNX = 1
_AVERAGE = 1


@rule("StridedSlice")
def strided_slice(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    if record.number("fromType") == _ONNX:
        return _onnx_slice(n, b, x)
    if record.number("ellipsisMask") or record.number("newAxisMask"):
        raise n.unsupported("an ellipsis, or new axes")
    starts, ends = n.extents(1, "starts"), n.extents(2, "ends")
    steps = n.integers_of(3, "steps") if n.has(3) else (1,) * len(starts)
    begin, end, shrunk = (record.number(f"{name}Mask") for name in ("begin", "end", "shrinkAxis"))
    if not len(starts) == len(ends) == len(steps) <= x.type.rank:
        raise n.invalid("starts, ends and steps are not equally many, or too many")
    cuts: list[tuple[Extent, Extent, int]] = []
    dropped: list[int] = []
    for i, (start, stop, step) in enumerate(zip(starts, ends, steps, strict=True)):
        extent = x.type.shape[i]
        if shrunk >> i & 1:
            dropped.append(i)
            first = start + extent if isinstance(start, int) and start < 0 else start
            cuts.append((first, 1, 1))
        else:
            bounds = None if begin >> i & 1 else start, None if end >> i & 1 else stop
            cuts.append((*normalize_slice(extent, *bounds, step), step))
    y = _cut(b, x, tuple(range(len(cuts))), cuts)
    return b(ops.Squeeze(axes=tuple(dropped)), y) if dropped else y


def _onnx_slice(n: Source, b: Builder, x: Value) -> Value:
    starts, ends = n.extents(1, "starts"), n.extents(2, "ends")
    axes = x.type.axes(n.integers_of(3, "axes")) if n.has(3) else tuple(range(len(starts)))
    steps = n.integers_of(4, "steps") if n.has(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(steps) == len(axes):
        raise n.invalid("starts, ends, axes and steps are not equally many")
    bounds = zip(axes, starts, ends, steps, strict=True)
    cuts = [(*normalize_slice(x.type.shape[a], start, end, step), step) for a, start, end, step in bounds]
    return _cut(b, x, axes, cuts)


def _cut(b: Builder, x: Value, axes: tuple[int, ...], cuts: list[tuple[Extent, Extent, int]]) -> Value:
    if not cuts:
        return b(ops.Identity(), x)
    starts, sizes, steps = zip(*cuts, strict=True)
    return b(ops.Slice(axes=axes, starts=starts, sizes=sizes, steps=steps), x)


@rule("SliceTf")
def slice_tf(n: Source, b: Builder) -> Value:
    """A size of -1 goes to the end."""
    x, starts, sizes = n.operand(0), n.extents(1, "starts"), n.extents(2, "sizes")
    if not len(starts) == len(sizes) <= x.type.rank:
        raise n.invalid("starts and sizes are not as many as axes")
    cuts: list[tuple[Extent, Extent, int]] = [
        (start, extent - start if size == -1 else size, 1)
        for start, size, extent in zip(starts, sizes, x.type.shape, strict=False)
    ]
    return _cut(b, x, tuple(range(len(cuts))), cuts)


_EVENLY, _BY_SIZES = 1, 3


@rule("Slice")
def slice_(n: Source, b: Builder) -> tuple[Value, ...]:
    """Cut at points, or into parts of given sizes, or evenly."""
    record, x = n.parameters, n.operand(0)
    axis, points = x.type.axis(record.number("axis")), list(record.integers("slicePoints"))
    extent = x.type.shape[axis]
    if n.has(1):
        sizes = n.extents(1, "sizes")
    elif not points or (record.number("sourceType") == _EVENLY and len(points) == 1):
        sizes = (dims.floordiv(extent, len(n.outputs) or 1),) * len(n.outputs)
    elif record.number("sourceType") == _BY_SIZES or (
        len(points) == len(n.outputs) and record.number("sourceType") != 0
    ):
        sizes = tuple(points)
    else:
        edges = [0, *points, extent]
        sizes = tuple(last - first for first, last in pairwise(edges))
    if len(sizes) != len(n.outputs):
        raise n.invalid(f"{len(sizes)} parts for {len(n.outputs)} outputs")
    return b.multi(ops.Split(axis=axis, sizes=sizes), x)


@rule("GatherV2", "Gather")
def gather(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axis = (
        n.whole(2, "an axis") if n.has(2) else (n.main.number("axis") if n.main and n.kind == "Gather" else 0)
    )
    return b(ops.Gather(axis=x.type.axis(axis)), x, n.operand(1))


@rule("GatherElements")
def gather_elements(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.GatherElements(axis=x.type.axis(n.whole(2, "an axis") if n.has(2) else 0)), x, n.operand(1))


@rule("GatherND")
def gather_nd(n: Source, b: Builder) -> Value:
    return b(ops.GatherND(), n.operand(0), n.operand(1))


@rule("ReverseSequence")
def reverse_sequence(n: Source, b: Builder) -> Value:
    time, batch = (n.parameters.number(f"{name}Dim") for name in ("seq", "batch"))
    return b(ops.ReverseSequence(time_axis=time, batch_axis=batch), n.operand(0), n.operand(1))


_REDUCTIONS: dict[int, Reduction] = {-1: "none", 0: "add", 2: "mul"}


@rule("ScatterElements")
def scatter_elements(n: Source, b: Builder) -> Value:
    x, indices, updates = (n.operand(i) for i in range(3))
    axis = x.type.axis(n.whole(3, "an axis") if n.has(3) else 0)
    return b(ops.ScatterElements(axis=axis, reduction=_reduction(n)), x, indices, updates)


@rule("ScatterNd")
def scatter_nd(n: Source, b: Builder) -> Value:
    indices, updates = n.operand(0), n.operand(1)
    if n.has(3):
        return b(ops.ScatterND(reduction=_reduction(n)), n.operand(3), indices, updates)
    dtype = updates.type.dtype
    zeros = b(ops.Fill(shape=n.extents(2, "a shape"), value=0, dtype=dtype))
    return b(ops.ScatterND(reduction="add"), zeros, indices, updates)


def _reduction(n: Source) -> Reduction:
    number = n.main.number("opType") if n.main else -1
    if number not in _REDUCTIONS:
        raise n.unsupported(f"the reduction {number}")
    return _REDUCTIONS[number]


@rule("OneHot")
def one_hot(n: Source, b: Builder) -> Value:
    indices, on, off = n.operand(0), n.operand(2), n.operand(3)
    axis = n.parameters.number("axis") % (indices.type.rank + 1)
    return b(ops.OneHot(depth=n.extent(1, "a depth"), axis=axis), indices, off, on)


@rule("ROIAlign")
def roi_align(n: Source, b: Builder) -> Value:
    record = n.parameters
    if record.number("poolType") != _AVERAGE or record.number("outputGrad") or not n.has(2):
        raise n.unsupported("maxima, gradients, or regions that say themselves which picture they lie in")
    op = ops.RoiAlign(
        height=record.number("pooledHeight"),
        width=record.number("pooledWidth"),
        ratio=max(record.number("samplingRatio"), 0),
        scale=record.real("spatialScale"),
        half_pixel=bool(record.number("aligned")),
    )
    return b(op, *n.operands())
