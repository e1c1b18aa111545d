"""ONNX rules that move, cut and join, without looking at the numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape, TensorType, broadcast
from mmconvert.parsers.onnx.source import Source
from mmconvert.parsers.onnx.windows import LAYOUT
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("Reshape", since=5)
def reshape(n: Source, b: Builder) -> Value:
    x, copies_zero = n.operand(0), not n.flag("allowzero")
    if n.follows(1):
        return reshape_to(n, b, n.extents(1, "a shape"), copies_zero=copies_zero)
    shape = n.read(_computed(b, x, n.operand(1), copies_zero=copies_zero), "a shape")
    return b(ops.Reshape(shape=shape), x)


def reshape_to(n: Source, b: Builder, wanted: Shape, *, copies_zero: bool = True) -> Value:
    """The operand in the shape that ``wanted`` means."""
    x = n.operand(0)
    return b(ops.Reshape(shape=_resolve(n, x.type, wanted, copies_zero=copies_zero)), x)


def _computed(b: Builder, x: Value, wanted: Value, *, copies_zero: bool) -> Value:
    """The shape that ``wanted`` means, where only the run tells which of its elements are 0 and -1."""
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    have, rank = b(ops.Shape(), x), wanted.type.size
    if copies_zero and isinstance(rank, int):
        pads = ((0, max(rank - x.type.rank, 0)),)
        kept = b(ops.Pad(pads=pads, mode="constant"), have)
        kept = b(ops.Slice(axes=(0,), starts=(0,), sizes=(rank,), steps=(1,)), kept)
        wanted = b(ops.Where(), b(ops.Equal(), wanted, zero), kept, wanted)
    free = b(ops.Less(), wanted, zero)
    known = b(ops.ReduceProd(axes=(0,), keepdims=True), b(ops.Where(), free, one, wanted))
    size = b(ops.ReduceProd(axes=(0,), keepdims=True), have)
    left = b(ops.Div(), size, b(ops.Max(), known, one))
    return b(ops.Where(), free, left, wanted)


def _resolve(n: Source, x: TensorType, wanted: Shape, *, copies_zero: bool) -> Shape:
    """``wanted`` without 0 for "as in x" and without -1 for "what is left"."""
    shape: list[Extent] = []
    for axis, extent in enumerate(wanted):
        if isinstance(extent, int) and (extent < -1 or (extent == 0 and copies_zero and axis >= x.rank)):
            raise n.invalid(f"{x} cannot take the shape [{','.join(map(str, wanted))}]")
        shape.append(x.shape[axis] if extent == 0 and copies_zero else extent)
    free = [axis for axis, extent in enumerate(shape) if extent == -1]
    if len(free) > 1:
        raise n.invalid("two extents of the shape are -1")
    for axis in free:
        known = dims.product((*shape[:axis], *shape[axis + 1 :]))
        if known == 0 or (isinstance(x.size, int) and isinstance(known, int) and x.size % known):
            raise n.invalid(f"{x} cannot take the shape [{','.join(map(str, wanted))}]")
        shape[axis] = dims.floordiv(x.size, known)
    return tuple(shape)


@rule("Flatten")
def flatten(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axis = n.integer("axis", 1)
    axis = axis if axis == x.type.rank else x.type.axis(axis)
    shape = dims.product(x.type.shape[:axis]), dims.product(x.type.shape[axis:])
    return b(ops.Reshape(shape=shape), x)


@rule("Transpose")
def transpose(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    perm = x.type.axes(n.integers("perm", tuple(reversed(range(x.type.rank)))))
    return b(ops.Transpose(perm=perm), x)


@rule("Squeeze")
def squeeze_1(n: Source, b: Builder) -> Value:
    return _squeeze(n, b, n.integers("axes") if n.given("axes") else None)


@rule("Squeeze", since=13)
def squeeze_13(n: Source, b: Builder) -> Value:
    return _squeeze(n, b, n.integers_of(1, "axes") if n.has(1) else None)


def _squeeze(n: Source, b: Builder, axes: tuple[int, ...] | None) -> Value:
    x = n.operand(0)
    if axes is None:
        if not x.type.is_static:
            raise n.unsupported(f"without axes, of {x.type}", hint="name the axes to remove")
        axes = tuple(axis for axis, extent in enumerate(x.type.shape) if extent == 1)
    return b(ops.Squeeze(axes=x.type.axes(axes)), x)


@rule("Unsqueeze")
def unsqueeze_1(n: Source, b: Builder) -> Value:
    return _unsqueeze(n, b, n.integers("axes"))


@rule("Unsqueeze", since=13)
def unsqueeze_13(n: Source, b: Builder) -> Value:
    return _unsqueeze(n, b, n.integers_of(1, "axes"))


def _unsqueeze(n: Source, b: Builder, axes: tuple[int, ...]) -> Value:
    x = n.operand(0)
    rank = x.type.rank + len(axes)
    positions = x.type.with_shape((1,) * rank).axes(axes)
    return b(ops.Unsqueeze(axes=tuple(sorted(positions))), x)


@rule("Concat", since=4)
def concat(n: Source, b: Builder) -> Value:
    xs = n.operands()
    return b(ops.Concat(axis=xs[0].type.axis(n.integer("axis"))), *xs)


@rule("Split", since=2)
def split_2(n: Source, b: Builder) -> tuple[Value, ...]:
    return split(n, b, n.integers("split") if n.given("split") else None)


@rule("Split", since=13)
def split_13(n: Source, b: Builder) -> tuple[Value, ...]:
    return split(n, b, n.extents(1, "sizes") if n.has(1) else None)


def split(n: Source, b: Builder, sizes: Shape | None) -> tuple[Value, ...]:
    """The parts of the operand; equal ones without ``sizes``."""
    x = n.operand(0)
    axis = x.type.axis(n.integer("axis", 0))
    count = n.integer("num_outputs", len(n.outputs))
    if sizes is None:
        if count != len(n.outputs):
            raise n.invalid(f"num_outputs={count}, and there are {len(n.outputs)} outputs")
        sizes = _parts(n, x.type.shape[axis], count)
    if len(sizes) != len(n.outputs):
        raise n.invalid(f"{len(sizes)} sizes for {len(n.outputs)} outputs")
    return b.multi(ops.Split(axis=axis, sizes=sizes), x)


def _parts(n: Source, extent: Extent, count: int) -> Shape:
    """Equal parts; from opset 18 on the last one may be smaller."""
    if n.version < 18:
        if isinstance(extent, int) and extent % count:
            raise n.invalid(f"an axis of {extent} does not split into {count} equal parts")
        return (dims.floordiv(extent, count),) * count
    size = dims.ceildiv(extent, count)
    last = extent - size * (count - 1)
    if isinstance(last, int) and last < 0:
        raise n.invalid(f"an axis of {extent} does not split into {count} parts of {size}")
    return *(size,) * (count - 1), last


@rule("Tile", since=6)
def tile(n: Source, b: Builder) -> Value:
    return b(ops.Tile(repeats=n.extents(1, "repeats")), n.operand(0))


@rule("Expand")
def expand(n: Source, b: Builder) -> Value:
    x, wanted = n.operand(0), n.extents(1, "a shape")
    if any(isinstance(extent, int) and extent < 0 for extent in wanted):
        raise n.invalid(f"an extent is negative: {list(wanted)}")
    return b(ops.Expand(shape=broadcast(x.type, x.type.with_shape(wanted))), x)


@rule("DepthToSpace")
def depth_to_space(n: Source, b: Builder) -> Value:
    op = ops.DepthToSpace(block=_block(n), mode=_mode(n), layout=LAYOUT)
    return b(op, n.operand(0))


@rule("SpaceToDepth")
def space_to_depth(n: Source, b: Builder) -> Value:
    x, block = n.operand(0), _block(n)
    if _mode(n) == "DCR":
        return b(ops.SpaceToDepth(block=block, layout=LAYOUT), x)
    batch, channels, height, width = x.type.require_rank(4).shape
    rows, columns = dims.floordiv(height, block), dims.floordiv(width, block)
    parts = b(ops.Reshape(shape=(batch, channels, rows, block, columns, block)), x)
    parts = b(ops.Transpose(perm=(0, 1, 3, 5, 2, 4)), parts)
    return b(ops.Reshape(shape=(batch, channels * block * block, rows, columns)), parts)


def _block(n: Source) -> int:
    block = n.integer("blocksize")
    if block < 1:
        raise n.invalid(f"blocksize={block} must be at least 1")
    return block


def _mode(n: Source) -> Literal["DCR", "CRD"]:
    return "DCR" if n.choice("mode", "DCR", "DCR", "CRD") == "DCR" else "CRD"


@rule("Shape")
def shape(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    start, stop, _ = slice(n.integer("start", 0), n.integer("end", x.type.rank)).indices(x.type.rank)
    whole = b(ops.Shape(), x)
    if (start, stop) == (0, x.type.rank):
        return whole
    size = max(stop - start, 0)
    return b(ops.Slice(axes=(0,), starts=(start if size else 0,), sizes=(size,), steps=(1,)), whole)


@rule("Size")
def size(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    if isinstance(x.type.size, int):
        return b.constant(x.type.size, dtypes.I64)
    return b(ops.ReduceProd(axes=(0,), keepdims=False), b(ops.Shape(), x))
