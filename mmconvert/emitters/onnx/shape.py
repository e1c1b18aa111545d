"""Operators that move elements, and those that make tensors out of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.onnx.extents import counted, extents, one_number, positions, reshaped
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.windows import require_nchw
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_FIRST, _LAST = -(1 << 63) + 1, (1 << 63) - 1


@rule(ops.Reshape)
def reshape(node: Node[ops.Reshape], out: Writer) -> None:
    x, shape = node.operand(0), node.op.shape
    empty = any(e == 0 and x.type.shape[i : i + 1] != (0,) for i, e in enumerate(shape))
    if not empty:
        operand = reshaped(out, x.type.shape, shape)
        # An extent that is computed and turns out to be 0 means 0, not an extent of x.
        meant = 1 if out.opset >= 14 and operand not in out.weights else None
        out("Reshape", x, operand, into=node, allowzero=meant)
        return
    if out.opset >= 14:
        out("Reshape", x, extents(out, shape), into=node, allowzero=1)
    else:  # nothing is in it
        out("ConstantOfShape", extents(out, shape), into=node, value=one_number(0, x.type.dtype))


@rule(ops.Transpose)
def transpose(node: Node[ops.Transpose], out: Writer) -> None:
    out("Transpose", node.operand(0), into=node, perm=node.op.perm or None)


@rule(ops.Expand)
def expand(node: Node[ops.Expand], out: Writer) -> None:
    x, shape = node.operand(0), node.op.shape
    have = (*(1,) * (len(shape) - x.type.rank), *x.type.shape)
    # What stays needs no number: 1 broadcasts to it.
    wanted = tuple(1 if isinstance(e, dims.Dim) and e == h else e for e, h in zip(shape, have, strict=True))
    out("Expand", x, extents(out, wanted), into=node)


@rule(ops.Squeeze, ops.Unsqueeze)
def squeeze(node: Node[ops.Squeeze] | Node[ops.Unsqueeze], out: Writer) -> None:
    if not node.op.axes:
        out("Identity", node.operand(0), into=node)
        return
    out(node.op.name, node.operand(0), out.ints(node.op.axes), into=node)


@rule(ops.Concat)
def concat(node: Node[ops.Concat], out: Writer) -> None:
    out("Concat", *node.inputs, into=node, axis=node.op.axis)


@rule(ops.Split)
def split(node: Node[ops.Split], out: Writer) -> None:
    out("Split", node.operand(0), extents(out, node.op.sizes), into=node, axis=node.op.axis)


@rule(ops.Tile)
def tile(node: Node[ops.Tile], out: Writer) -> None:
    out("Tile", node.operand(0), extents(out, node.op.repeats), into=node)


@rule(ops.Shape)
def shape(node: Node[ops.Shape], out: Writer) -> None:
    out("Shape", node.operand(0), into=node)


@rule(ops.ReadExtents)
def read_extents(node: Node[ops.ReadExtents], out: Writer) -> None:
    out("Identity", node.operand(0), into=node)


@rule(ops.Reverse)
def reverse(node: Node[ops.Reverse], out: Writer) -> None:
    count, x = len(node.op.axes), node.operand(0)
    if out.opset < 10:
        _pick(node, out, x, [(a, x.type.shape[a] - 1, x.type.shape[a], -1) for a in node.op.axes])
        return
    starts, ends, steps = (out.ints([number] * count) for number in (-1, _FIRST, -1))
    out("Slice", x, starts, ends, out.ints(node.op.axes), steps, into=node)


@rule(ops.Slice)
def slice_(node: Node[ops.Slice], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    runs = list(zip(op.axes, op.starts, op.sizes, op.steps, strict=True))
    bounds = [_bounds(x.type.shape[axis], start, size, step) for axis, start, size, step in runs]
    computed = any(isinstance(b, dims.Dim) for pair in bounds for b in pair)
    if out.opset < 10 and (computed or max(op.steps) > 1 or min(op.steps) < 1):
        _pick(node, out, x, runs)
        return
    starts, ends = (extents(out, [b[side] for b in bounds]) for side in (0, 1))
    steps = out.ints(op.steps) if out.opset >= 10 else None
    out("Slice", x, starts, ends, out.ints(op.axes), steps, into=node)


def _pick(node: Node[Any], out: Writer, x: Operand, runs: Sequence[tuple[int, Extent, Extent, int]]) -> None:
    """Slices by (axis, start, size, step), as Gathers: steps and computed ends came with opset 10."""
    for index, (axis, start, size, step) in enumerate(runs, 1):
        places = positions(out, start, size, step)
        x = out("Gather", x, places, into=node if index == len(runs) else None, axis=axis)


def _bounds(
    extent: dims.Extent, start: dims.Extent, size: dims.Extent, step: int
) -> tuple[dims.Extent, dims.Extent]:
    """Start and end as ONNX writes them: below zero they count from the end."""
    if size == 0:
        return 0, 0
    if step < 0:
        last = start + (size - 1) * step
        # One before the last may be -1, which would mean the last element of all.
        before_first = _FIRST if last == 0 else last - 1 if isinstance(last, int) else last - extent - 1
        return _from_end(extent, start), before_first
    if dims.ceildiv(extent - start, step) == size:
        return _from_end(extent, start), _LAST
    return _from_end(extent, start), _from_end(extent, start + size * step)


def _from_end(extent: dims.Extent, position: dims.Extent) -> dims.Extent:
    """``position``, counted from the end when that makes a number of it: ``n - 2`` of ``n`` is -2."""
    distance = position - extent
    return (
        distance
        if isinstance(position, dims.Dim) and isinstance(distance, int) and distance < 0
        else position
    )


@rule(ops.DepthToSpace)
def depth_to_space(node: Node[ops.DepthToSpace], out: Writer) -> None:
    require_nchw(out, node.op.layout)
    out("DepthToSpace", node.operand(0), into=node, blocksize=node.op.block, mode=node.op.mode)


@rule(ops.SpaceToDepth)
def space_to_depth(node: Node[ops.SpaceToDepth], out: Writer) -> None:
    require_nchw(out, node.op.layout)
    out("SpaceToDepth", node.operand(0), into=node, blocksize=node.op.block)


@rule(ops.Fill)
def fill(node: Node[ops.Fill], out: Writer) -> None:
    shape = extents(out, node.op.shape)
    out("ConstantOfShape", shape, into=node, value=one_number(node.op.value, node.op.dtype))


@rule(ops.Range)
def range_(node: Node[ops.Range], out: Writer) -> None:
    if out.opset >= 11:
        out("Range", *node.inputs, into=node)
        return
    dtype = node.output.type.dtype
    start, limit, delta = node.inputs
    # The size says how many there are only where it is a number: else it may stand for this very result.
    steps = out(
        "Div", *(out("Cast", v, to=element_type(dtypes.F64)) for v in (out("Sub", limit, start), delta))
    )
    count = out("Cast", out("Ceil", steps), to=element_type(dtypes.I64))
    length = out("Where", out("Less", count, out.integer(0)), out.integer(0), count)
    size = node.op.size
    vector = out.ints([size]) if isinstance(size, int) else out("Reshape", length, out.ints([1]))
    numbers = out("Cast", counted(out, vector), to=element_type(dtype))
    out("Add", out("Mul", numbers, delta), start, into=node)
