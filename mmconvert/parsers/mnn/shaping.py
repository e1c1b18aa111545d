"""MNN rules that move elements without looking at them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.pad import PadMode
from mmconvert.ir.types import Layout, Shape
from mmconvert.parsers.mnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")


@rule("ConvertTensor")
def convert_tensor(n: Source, b: Builder) -> Value:
    """NC4HW4 is NCHW packed; only NHWC has another order of axes."""
    x = n.operand(0)
    source, dest = n.parameters.number("source"), n.parameters.number("dest")
    if (source == mnnlib.NHWC) == (dest == mnnlib.NHWC):
        return b(ops.Identity(), x)
    ends = (Layout.NHWC, Layout.NCHW) if source == mnnlib.NHWC else (Layout.NCHW, Layout.NHWC)
    return b(ops.Transpose(perm=ends[0].permutation_to(ends[1], x.type.rank)), x)


@rule("Reshape")
def reshape(n: Source, b: Builder) -> Value:
    """0 keeps an extent, -1 takes what is left."""
    x = n.operand(0)
    if n.main is not None and n.main.number("dimType") == mnnlib.NHWC and x.type.rank == 4:
        raise n.unsupported("in the order NHWC")
    wanted = n.extents(1, "a shape") if n.has(1) else n.parameters.integers("dims")
    if any(e == 0 and i >= x.type.rank for i, e in enumerate(wanted)):
        raise n.invalid(f"{x.type} cannot keep an axis that it has not")
    return _reshaped(n, b, x, tuple(x.type.shape[i] if e == 0 else e for i, e in enumerate(wanted)))


def _reshaped(n: Source, b: Builder, x: Value, wanted: Shape) -> Value:
    free = [axis for axis, extent in enumerate(wanted) if extent == -1]
    if free:
        known = dims.product(tuple(extent for extent in wanted if extent != -1))
        if len(free) > 1 or known == 0:
            raise n.invalid(f"{x.type} cannot take the shape {list(map(str, wanted))}")
        left = dims.floordiv(x.type.size, known)
        wanted = tuple(left if axis == free[0] else extent for axis, extent in enumerate(wanted))
    return b(ops.Reshape(shape=wanted), x)


@rule("Flatten")
def flatten(n: Source, b: Builder) -> Value:
    """Into a matrix, with the axes before ``axis`` as rows."""
    x, axis = n.operand(0), n.parameters.number("axis")
    if n.parameters.number("endAxis"):
        raise n.unsupported("up to an axis")
    axis = axis + x.type.rank if axis < 0 else axis
    if not 0 <= axis <= x.type.rank:
        raise n.invalid(f"there is no axis {axis} in {x.type}")
    shape = x.type.shape
    return b(ops.Reshape(shape=(dims.product(shape[:axis]), dims.product(shape[axis:]))), x)


@rule("Permute", "Transpose")
def permute(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    perm = n.integers_of(1, "an order of axes") if n.has(1) else n.parameters.integers("dims")
    return b(ops.Transpose(perm=x.type.axes(perm)), x)


@rule("Squeeze")
def squeeze(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axes = n.integers_of(1, "axes") if n.has(1) else n.main.integers("squeezeDims") if n.main else ()
    if not axes:
        if not x.type.is_static:
            raise n.unsupported(f"without axes, of {x.type}")
        axes = tuple(axis for axis, extent in enumerate(x.type.shape) if extent == 1)
    return b(ops.Squeeze(axes=tuple(sorted(x.type.axes(axes)))), x)


@rule("Unsqueeze")
def unsqueeze(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axes = n.integers_of(1, "axes") if n.has(1) else n.parameters.integers("squeezeDims")
    rank = x.type.rank + len(axes)
    if rank > 32 or not all(-rank <= a < rank for a in axes):
        raise n.invalid(f"there is no place for the axes {list(axes)} in {x.type}")
    return b(ops.Unsqueeze(axes=tuple(sorted(a % rank for a in axes))), x)


@rule("ExpandDims")
def expand_dims(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axis = n.whole(1, "an axis") if n.has(1) else n.parameters.number("axis")
    if not -x.type.rank - 1 <= axis <= x.type.rank:
        raise n.invalid(f"there is no place for axis {axis} in {x.type}")
    return b(ops.Unsqueeze(axes=(axis % (x.type.rank + 1),)), x)


@rule("Concat")
def concat(n: Source, b: Builder) -> Value:
    xs = n.operands()
    if not xs:
        raise n.invalid("of nothing")
    return b(ops.Concat(axis=xs[0].type.axis(n.parameters.number("axis"))), *xs)


@rule("Pack")
def pack(n: Source, b: Builder) -> Value:
    xs, axis = n.operands(), n.parameters.number("axis")
    if not xs or not -xs[0].type.rank - 1 <= axis <= xs[0].type.rank:
        raise n.invalid("of nothing, or along no axis")
    axis %= xs[0].type.rank + 1
    return b(ops.Concat(axis=axis), *(b(ops.Unsqueeze(axes=(axis,)), x) for x in xs))


@rule("Unpack")
def unpack(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.operand(0)
    axis = x.type.axis(n.parameters.number("axis"))
    parts = b.multi(ops.Split(axis=axis, sizes=(1,) * len(n.outputs)), x)
    return tuple(b(ops.Squeeze(axes=(axis,)), part) for part in parts)


@rule("Tile")
def tile(n: Source, b: Builder) -> Value:
    return b(ops.Tile(repeats=n.extents(1, "repeats")), n.operand(0))


@rule("BroadcastTo")
def broadcast_to(n: Source, b: Builder) -> Value:
    return b(ops.Expand(shape=n.extents(1, "a shape")), n.operand(0))


_MODES: dict[int, PadMode] = {0: "constant", 1: "reflect", 2: "symmetric", 3: "edge"}


@rule("Padding")
def padding(n: Source, b: Builder) -> Value:
    x, flat = n.operand(0), _flat(n, b)
    mode = _MODES.get(n.main.number("mode") if n.main else 0)
    if mode is None or len(flat) != 2 * x.type.rank:
        raise n.invalid(f"{len(flat)} pads for {x.type}")
    value = float(n.scalar(2, "a value")) if n.has(2) else 0.0
    return b(ops.Pad(pads=tuple(zip(flat[::2], flat[1::2], strict=True)), mode=mode, value=value), x)


def _flat(n: Source, b: Builder) -> Shape:
    """The pads, which may be a matrix."""
    known = n.known(1)
    return n.extents(1, "pads") if known is None else tuple(int(p) for p in known.reshape(-1))


@rule("Shape")
def shape(n: Source, b: Builder) -> Value:
    return b(ops.Cast(to=dtypes.I32), b(ops.Shape(), n.operand(0)))


@rule("Rank")
def rank(n: Source, b: Builder) -> Value:
    return b.constant(np.array(n.operand(0).type.rank, np.int32))


@rule("Fill")
def fill(n: Source, b: Builder) -> Value:
    return b(ops.Expand(shape=n.extents(0, "a shape")), n.operand(1))


@rule("Range")
def range_(n: Source, b: Builder) -> Value:
    return b(ops.Range(size=_steps(n)), *n.operands())


def _steps(n: Source) -> Extent:
    """How many numbers there are."""
    if n.operand(0).type.dtype != dtypes.I32:
        start, limit, delta = (float(n.scalar(i, "a bound")) for i in range(3))
        steps = (limit - start) / delta if delta else math.nan
        if not 0 <= steps < 1 << 31:
            raise n.invalid(f"from {start} to {limit} by {delta}")
        return math.ceil(steps)
    first, last, step = (n.extent(i, "a bound") for i in range(3))
    if not isinstance(step, int) or step == 0:
        raise n.unsupported("by a step that is not known")
    span = last - first if step > 0 else first - last
    return dims.maximum(dims.ceildiv(span, abs(step)), 0)


@rule("DepthToSpace")
def depth_to_space(n: Source, b: Builder) -> Value:
    record = n.parameters
    op = ops.DepthToSpace(
        block=record.number("blockSize"), mode="CRD" if record.number("mode") else "DCR", layout=Layout.NCHW
    )
    return b(op, n.operand(0))


@rule("SpaceToDepth")
def space_to_depth(n: Source, b: Builder) -> Value:
    return b(ops.SpaceToDepth(block=n.parameters.number("blockSize"), layout=Layout.NCHW), n.operand(0))


_SAMPLES: dict[int, Literal["linear", "nearest"]] = {0: "linear", 1: "nearest"}
_BORDERS: dict[int, Literal["zeros", "border"]] = {0: "zeros", 1: "border"}


@rule("GridSample")
def grid_sample(n: Source, b: Builder) -> Value:
    record = n.parameters
    mode, border = _SAMPLES.get(record.number("mode")), _BORDERS.get(record.number("paddingMode"))
    if mode is None or border is None:
        raise n.unsupported("reflections, or another way of sampling")
    op = ops.GridSample(mode=mode, padding=border, align_corners=bool(record.number("alignCorners")))
    return b(op, n.operand(0), n.operand(1))
