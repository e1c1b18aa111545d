"""TFLite rules for operators that pick elements by position."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.positions import as_index, count_up, from_front, is_natural
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gather, NonZero, OneHot, Slice, Trilu
from mmconvert.ir.types import Extent, TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(Slice)
def slice_(node: Node[Slice], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    starts: list[Extent] = [0] * x.type.rank
    steps = [1] * x.type.rank
    for axis, start, step in zip(op.axes, op.starts, op.steps, strict=True):
        starts[axis], steps[axis] = start, step
    sizes = y.type.shape
    if all(step == 1 for step in steps):
        # -1 means "to the end" and needs no arithmetic when the model runs.
        spelled = tuple(
            -1 if not isinstance(size, int) and start + size == extent else size
            for start, size, extent in zip(starts, sizes, x.type.shape, strict=True)
        )
        out(tfl.SLICE, (x, out.extents.vector(starts), out.extents.vector(spelled)), y)
        return
    _strided(x, starts, sizes, steps, y, out)


def _strided(
    x: Value, starts: list[Extent], sizes: tuple[Extent, ...], steps: list[int], y: Value, out: Writer
) -> None:
    ends: list[Extent] = []
    open_ends = 0
    for axis, (start, size, step, extent) in enumerate(zip(starts, sizes, steps, x.type.shape, strict=True)):
        end = start + (size - 1) * step + (1 if step > 0 else -1)
        if end == (extent if step > 0 else -1) or (start == 0 and step == 1 and size == extent):
            open_ends |= 1 << axis
            end = 0
        ends.append(end)
    operands = (x, out.extents.vector(starts), out.extents.vector(ends), out.integers(steps))
    out(tfl.STRIDED_SLICE, operands, y, end_mask=open_ends)


@rule(Gather)
def gather(node: Node[Gather], out: Writer) -> None:
    x, axis = node.operand(0), node.op.axis
    indices = from_front(node.operand(1), (x.type.shape[axis],), out)
    out(tfl.GATHER, (x, indices), node.output, axis=axis)


@rule(OneHot)
def one_hot(node: Node[OneHot], out: Writer) -> None:
    indices, off, on = (node.operand(i) for i in range(3))
    indices = as_index(indices, out)
    if out.wrap_indices and not is_natural(indices):
        indices = _lifted(indices, node.op.depth, out)
    depth = out.extents.scalar(node.op.depth)
    out(tfl.ONE_HOT, (indices, depth, on, off), node.output, axis=node.op.axis)


def _lifted(indices: Value, depth: Extent, out: Writer) -> Value:
    """Negative indices plus ``depth``; not its remainder, because what is out of range stays so."""
    like = indices.type
    zero, bound = out.constant(0, like.dtype), out.cast(out.extents.scalar(depth), like.dtype)
    negative = out.make(tfl.LESS, (indices, zero), like.with_dtype(dtypes.BOOL))
    lifted = out.make(tfl.ADD, (indices, bound), like)
    return out.make(tfl.SELECT_V2, (negative, lifted, indices), like)


@rule(NonZero)
def non_zero(node: Node[NonZero], out: Writer) -> None:
    x, y = node.operand(0), node.output
    rows = out.make(tfl.WHERE, (x,), y.type.with_shape((y.type.shape[1], y.type.shape[0])))
    out.transpose_into(rows, (1, 0), y)


@rule(Trilu)
def triangle(node: Node[Trilu], out: Writer) -> None:
    """Of unknown extents, by comparing positions; of known ones a constant mask is as good."""
    op, x, y = node.op, node.operand(0), node.output
    rows, columns = x.type.shape[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        raise UnsupportedError("TFLite has no Trilu")
    down = out.reshape(count_up(rows, out), (rows, 1))
    across = out.make(
        tfl.SUB, (count_up(columns, out), out.constant(op.k, dtypes.I32)), TensorType(dtypes.I32, (columns,))
    )
    compare = tfl.GREATER_EQUAL if op.upper else tfl.LESS_EQUAL
    mask = out.make(compare, (across, down), TensorType(dtypes.BOOL, (rows, columns)))
    out(tfl.SELECT_V2, (mask, x, out.constant(np.zeros((), x.type.dtype))), y)
