"""ONNX rules that pick and put elements by position; and Pad."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.attention import extent
from mmconvert.ir.slicing import normalize_slice
from mmconvert.ir.types import Array, Shape
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("Slice")
def slice_1(n: Source, b: Builder) -> Value:
    starts, ends = n.integers("starts"), n.integers("ends")
    return _slice(n, b, starts, ends, n.integers("axes", tuple(range(len(starts)))), (1,) * len(starts))


@rule("Slice", since=10)
def slice_10(n: Source, b: Builder) -> Value:
    count = n.operand(1).type.size
    if not isinstance(count, int):
        raise n.unsupported("along an unknown number of axes")
    axes = n.integers_of(3, "axes") if n.has(3) else tuple(range(count))
    steps = n.integers_of(4, "steps") if n.has(4) else (1,) * count
    if n.follows(1) and n.follows(2):
        return _slice(n, b, n.extents(1, "starts"), n.extents(2, "ends"), axes, steps)
    if not count == n.operand(2).type.size == len(axes) == len(steps):
        raise n.invalid("starts, ends, axes and steps are not equally many")
    axes = n.operand(0).type.axes(axes)
    first, sizes = _computed(n, b, axes, np.array(steps, np.int64))
    return b(ops.Slice(axes=axes, starts=first, sizes=sizes, steps=steps), n.operand(0))


def _computed(n: Source, b: Builder, axes: tuple[int, ...], steps: Array) -> tuple[Shape, Shape]:
    """Starts and sizes of slices whose bounds only the run tells, which may be negative or outside."""
    if not steps.all():
        raise n.invalid("the step of a slice is 0")
    back, zero = steps < 0, np.zeros_like(steps)
    extents = b(ops.Gather(axis=0), b(ops.Shape(), n.operand(0)), np.array(axes, np.int64))
    low, high = -back.astype(np.int64), b(ops.Sub(), extents, back.astype(np.int64))

    def bound(index: int) -> Value:
        value = cast(b, n.operand(index), dtypes.I64)
        from_front = b(ops.Where(), b(ops.Less(), value, zero), b(ops.Add(), value, extents), value)
        return b(ops.Min(), b(ops.Max(), from_front, low), high)

    first, last = bound(1), bound(2)
    span = b(ops.Mul(), b(ops.Sub(), last, first), np.sign(steps))
    width = np.abs(steps)
    size = b(ops.Div(), b(ops.Max(), b(ops.Add(), span, width - 1), zero), width)
    start = b(ops.Max(), first, zero)
    return n.read(start, "starts"), n.read(size, "ends")


def _slice(
    n: Source, b: Builder, starts: Shape, ends: Shape, axes: tuple[int, ...], steps: tuple[int, ...]
) -> Value:
    x = n.operand(0)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise n.invalid("starts, ends, axes and steps are not equally many")
    axes = x.type.axes(axes)
    found = [
        normalize_slice(x.type.shape[axis], start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    ]
    first, sizes = tuple(start for start, _ in found), tuple(size for _, size in found)
    return b(ops.Slice(axes=axes, starts=first, sizes=sizes, steps=steps), x)


@rule("Gather")
def gather(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.Gather(axis=x.type.axis(n.integer("axis", 0))), x, n.operand(1))


@rule("GatherElements")
def gather_elements(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.GatherElements(axis=x.type.axis(n.integer("axis", 0))), x, n.operand(1))


@rule("GatherND")
def gather_nd(n: Source, b: Builder) -> Value:
    return b(ops.GatherND(batch_dims=n.integer("batch_dims", 0)), n.operand(0), n.operand(1))


@rule("Compress")
def compress(n: Source, b: Builder) -> Value:
    """The slices for which the condition holds: how many they are, only the data tell."""
    x, condition = n.operand(0), n.operand(1)
    if n.given("axis"):
        axis = x.type.axis(n.integer("axis"))
    else:
        x, axis = b(ops.Reshape(shape=(x.type.size,)), x), 0
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    positions = b(ops.NonZero(count=count), condition)
    return b(ops.Gather(axis=axis), x, b(ops.Squeeze(axes=(0,)), positions))


@rule("Scatter", "ScatterElements")
def scatter_elements(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    op = ops.ScatterElements(axis=x.type.axis(n.integer("axis", 0)), reduction=_reduction(n))
    return b(op, x, n.operand(1), n.operand(2))


@rule("ScatterND")
def scatter_nd(n: Source, b: Builder) -> Value:
    return b(ops.ScatterND(reduction=_reduction(n)), n.operand(0), n.operand(1), n.operand(2))


def _reduction(n: Source) -> Literal["none", "add", "mul", "max", "min"]:
    match n.choice("reduction", "none", "none", "add", "mul", "max", "min"):
        case "add" | "mul" | "max" | "min" as name:
            return name
    return "none"


@rule("Pad", since=2)
def pad_2(n: Source, b: Builder) -> Value:
    return _pad(n, b, n.integers("pads"), n.real("value", 0.0), None)


@rule("Pad", since=11)
def pad_11(n: Source, b: Builder) -> Value:
    value = n.scalar(2, "a padding value") if n.has(2) else 0.0
    axes = n.integers_of(3, "axes") if n.has(3) else None
    if float(value) != value and value == value:
        raise n.unsupported(f"with {value}, which has too many digits")
    return _pad(n, b, n.extents(1, "pads"), float(value), axes)


def _pad(n: Source, b: Builder, flat: Shape, value: float, axes: tuple[int, ...] | None) -> Value:
    x = n.operand(0)
    axes = tuple(range(x.type.rank)) if axes is None else x.type.axes(axes)
    if len(flat) != 2 * len(axes):
        raise n.invalid(f"{len(flat)} pads for {len(axes)} axes")
    pads: list[tuple[Extent, Extent]] = [(0, 0)] * x.type.rank
    for axis, before, after in zip(axes, flat[: len(axes)], flat[len(axes) :], strict=True):
        pads[axis] = before, after
    return b(ops.Pad(pads=tuple(pads), mode=_mode(n), value=value), x)


@rule("CenterCropPad")
def center_crop_pad(n: Source, b: Builder) -> Value:
    """Cut or filled to a size around the middle; an odd element is lost, or added, at the back."""
    x, wanted = n.operand(0), n.extents(1, "a shape")
    axes = x.type.axes(n.integers("axes", tuple(range(x.type.rank))))
    if len(wanted) != len(axes):
        raise n.invalid(f"{len(wanted)} extents for {len(axes)} axes")
    pads: list[tuple[Extent, Extent]] = [(0, 0)] * x.type.rank
    for index, (axis, want) in enumerate(zip(axes, wanted, strict=True)):
        more = want - x.type.shape[axis]
        if isinstance(more, int):
            before = int(more / 2)  # towards 0, unlike //
            pads[axis] = before, more - before
        else:
            x = _centred(n, b, x, axis, (want, index))
    return b(ops.Pad(pads=tuple(pads), mode="constant"), x) if any(p != (0, 0) for p in pads) else x


def _centred(n: Source, b: Builder, x: Value, axis: int, wanted: tuple[Extent, int]) -> Value:
    """``x`` cut or filled along an axis, when only the running model knows which: elements are looked up."""
    want, index = wanted
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    size = cast(b, b(ops.Gather(axis=0), n.operand(1), np.array(index, np.int64)), dtypes.I64)
    have = extent(b, x, axis)
    before = b(ops.Div(), b(ops.Sub(), size, have), np.array(2, np.int64))
    places = b(ops.Sub(), b(ops.Range(size=want), zero, size, one), before)
    last = b(ops.Sub(), have, one)
    inside = b(ops.And(), b(ops.GreaterEqual(), places, zero), b(ops.LessEqual(), places, last))
    found = b(ops.Gather(axis=axis), x, b(ops.Max(), b(ops.Min(), places, last), zero))
    rest = (1,) * (x.type.rank - 1 - axis)
    mask = b(ops.Reshape(shape=(want, *rest)), inside) if rest else inside
    return b(ops.Where(), mask, found, np.zeros((), x.type.dtype))


def _mode(n: Source) -> Literal["constant", "reflect", "edge", "wrap"]:
    match n.choice("mode", "constant", "constant", "reflect", "edge", "wrap"):
        case "reflect" | "edge" | "wrap" as name:
            return name
    return "constant"
