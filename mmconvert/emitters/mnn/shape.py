"""MNN rules for operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.emitters.mnn.schema import data_type
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Concat,
    DepthToSpace,
    Expand,
    Fill,
    Pad,
    Range,
    Reshape,
    Shape,
    Slice,
    SpaceToDepth,
    Split,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.types import Extent, Layout, TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")


@rule(Reshape, Squeeze, Unsqueeze)
def reshape(node: Node[Op], out: Writer) -> None:
    out.reshape_into(node.operand(0), node.output)


@rule(Transpose)
def transpose(node: Node[Transpose], out: Writer) -> None:
    out.transpose(node.operand(0), node.op.perm, node.output)


@rule(Expand)
def expand(node: Node[Expand], out: Writer) -> None:
    out("BroadcastTo", (node.operand(0), out.extents.vector(node.op.shape)), node.output)


@rule(Concat)
def concat(node: Node[Concat], out: Writer) -> None:
    parts = [v for v in node.inputs if v is not None]
    if len(parts) == 1:
        out.copy(parts[0], node.output)
        return
    out("Concat", parts, node.output, packed=out.is_packed(*parts), axis=node.op.axis)


@rule(Split)
def split(node: Node[Split], out: Writer) -> None:
    """As one slice for each part."""
    start: Extent = 0
    for size, part in zip(node.op.sizes, node.outputs, strict=True):
        take(out, node.operand(0), (node.op.axis,), (start,), (size,), (1,), part)
        start += size


@rule(Slice)
def slice_(node: Node[Slice], out: Writer) -> None:
    op = node.op
    take(out, node.operand(0), op.axes, op.starts, op.sizes, op.steps, node.output)


def take(
    out: Writer,
    x: Value,
    axes: Sequence[int],
    starts: Sequence[Extent],
    sizes: Sequence[Extent],
    steps: Sequence[int],
    result: Value,
) -> None:
    """Writes ``result`` as ``sizes`` elements of ``x`` along axes, from ``starts`` on, ``steps`` apart."""
    if any(step < 0 for step in steps):
        _take_backwards(out, x, axes, starts, sizes, steps, result)
        return
    begin: list[Extent] = [0] * x.type.rank
    end: list[Extent] = [0] * x.type.rank
    stride = [1] * x.type.rank
    whole = (1 << x.type.rank) - 1
    for axis, start, size, step in zip(axes, starts, sizes, steps, strict=True):
        begin[axis], stride[axis] = start, step
        end[axis] = start + (size - 1) * step + 1
        if end[axis] != x.type.shape[axis]:
            whole &= ~(1 << axis)
    operands = (x, out.extents.vector(begin), out.extents.vector(end), out.integers(stride))
    kind: dict[str, Any] = {"Index": mnnlib.INT32, "T": data_type(x.type.dtype)}
    out("StridedSlice", operands, result, endMask=whole, **kind)


def _take_backwards(
    out: Writer,
    x: Value,
    axes: Sequence[int],
    starts: Sequence[Extent],
    sizes: Sequence[Extent],
    steps: Sequence[int],
    result: Value,
) -> None:
    """By positions, axis after axis: StridedSlice of MNN 3.6.1 reads beyond tensors of four axes."""
    for i, (axis, start, size, step) in enumerate(zip(axes, starts, sizes, steps, strict=True)):
        positions = _positions(out, start, size, step)
        shape = (*x.type.shape[:axis], size, *x.type.shape[axis + 1 :])
        taken = result if i == len(axes) - 1 else Value(x.type.with_shape(shape), f"{out.scope}/taken")
        out("GatherV2", (x, positions, out.constant(axis, dtypes.I32)), taken)
        x = taken


def _positions(out: Writer, start: Extent, size: Extent, step: int) -> Value:
    if isinstance(start, int) and isinstance(size, int):
        return out.integers([start + k * step for k in range(size)])
    ends = [out.extents.scalar(e) for e in (start, start + size * step)]
    type = TensorType(dtypes.I32, (size,))
    return out.make("Range", (*ends, out.constant(step, dtypes.I32)), type, Tidx=mnnlib.INT32)


@rule(Tile)
def tile(node: Node[Tile], out: Writer) -> None:
    out("Tile", (node.operand(0), out.extents.vector(node.op.repeats)), node.output)


@rule(Shape)
def shape(node: Node[Shape], out: Writer) -> None:
    out.copy(out.extents.vector(node.operand(0).type.shape), node.output)


@rule(Fill)
def fill(node: Node[Fill], out: Writer) -> None:
    op = node.op
    if not op.shape:
        out.copy(out.constant(np.asarray(op.value, op.dtype)), node.output)
        return
    out("Fill", (out.extents.vector(op.shape), out.constant(np.asarray(op.value, op.dtype))), node.output)


@rule(Range)
def range_(node: Node[Range], out: Writer) -> None:
    out(
        "Range",
        [v for v in node.inputs if v is not None],
        node.output,
        Tidx=data_type(node.output.type.dtype),
    )


@rule(Pad)
def pad(node: Node[Pad], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if any(isinstance(p, int) and p < 0 for pair in op.pads for p in pair):
        raise UnsupportedError("MNN's Padding takes no elements away")
    if op.mode != "constant":
        raise UnsupportedError(f"MNN's Padding has no {op.mode} that goes on beyond the axis")
    operands = [x, out.extents.vector([p for pair in op.pads for p in pair])]
    if op.value != 0:
        operands.append(out.constant(op.value, x.type.dtype))
    out("Padding", operands, y, mode=0)


@rule(DepthToSpace)
def depth_to_space(node: Node[DepthToSpace], out: Writer) -> None:
    op = node.op
    _require_first(op.layout)
    out(
        "DepthToSpace",
        (node.operand(0),),
        node.output,
        layout=mnnlib.NCHW,
        blockSize=op.block,
        mode=op.mode == "CRD",
    )


@rule(SpaceToDepth)
def space_to_depth(node: Node[SpaceToDepth], out: Writer) -> None:
    _require_first(node.op.layout)
    out("SpaceToDepth", (node.operand(0),), node.output, layout=mnnlib.NCHW, blockSize=node.op.block)


def _require_first(layout: Layout) -> None:
    if layout is not Layout.NCHW:
        raise UnsupportedError("MNN has channels first")
