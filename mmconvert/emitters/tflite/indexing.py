"""TFLite rules for operators that pick or place elements by position."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    ArgMax,
    ArgMin,
    Gather,
    GatherElements,
    GatherND,
    NonZero,
    OneHot,
    Range,
    ScatterElements,
    ScatterND,
    Slice,
    TopK,
)
from mmconvert.ir.types import Array, Extent, Shape, TensorType
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
    x: Value, starts: list[Extent], sizes: Shape, steps: list[int], y: Value, out: Writer
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
    indices = _from_front(node.operand(1), (x.type.shape[axis],), out)
    out(tfl.GATHER, (x, indices), node.output, axis=axis)


@rule(GatherND)
def gather_nd(node: Node[GatherND], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    if node.op.batch_dims:
        raise UnsupportedError("TFLite's GATHER_ND has no batch axes")
    extents = x.type.shape[: known(indices.type.shape[-1:], "the length of index tuples")[0]]
    out(tfl.GATHER_ND, (x, _from_front(indices, extents, out)), node.output)


@rule(GatherElements)
def gather_elements(node: Node[GatherElements], out: Writer) -> None:
    x, indices, axis = node.operand(0), node.operand(1), node.op.axis
    out(tfl.GATHER_ND, (x, _tuples(x, indices, axis, out)), node.output)


@rule(ScatterND)
def scatter_nd(node: Node[ScatterND], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    extents = x.type.shape[: known(indices.type.shape[-1:], "the length of index tuples")[0]]
    _scatter(x, _from_front(indices, extents, out), updates, node.op.reduction, node.output, out)


@rule(ScatterElements)
def scatter_elements(node: Node[ScatterElements], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    tuples = _tuples(x, indices, node.op.axis, out)
    _scatter(x, tuples, updates, node.op.reduction, node.output, out)


def _scatter(x: Value, tuples: Value, updates: Value, reduction: str, y: Value, out: Writer) -> None:
    """TFLite adds up what it scatters over zeros; where it does so is found by scattering ones."""
    if reduction not in ("none", "add"):
        raise UnsupportedError(f"TFLite cannot scatter with the reduction {reduction!r}")
    shape = out.extents.vector(x.type.shape)
    tuples = out.cast(tuples, dtypes.I32)
    sums = out.make(tfl.SCATTER_ND, (tuples, updates, shape), x.type)
    if reduction == "add":
        out(tfl.ADD, (x, sums), y)
        return
    counted = updates.type.with_dtype(dtypes.I32)
    one = out.constant(1, dtypes.I32)
    ones = out.make(tfl.BROADCAST_TO, (one, out.extents.vector(updates.type.shape)), counted)
    marks = out.make(tfl.SCATTER_ND, (tuples, ones, shape), x.type.with_dtype(dtypes.I32))
    hit = out.make(tfl.GREATER, (marks, out.constant(0, dtypes.I32)), x.type.with_dtype(dtypes.BOOL))
    out(tfl.SELECT_V2, (hit, sums, x), y)


def _tuples(x: Value, indices: Value, axis: int, out: Writer) -> Value:
    """The full position in ``x`` that each of ``indices``, which speak of one axis, stands for."""
    shape = known(indices.type.shape, "the shape of the indices")
    indices = out.cast(_from_front(indices, (x.type.shape[axis],), out), dtypes.I32)
    rank = len(shape)
    grids = [np.broadcast_to(grid, shape)[..., None] for grid in np.indices(shape, sparse=True)]
    column = out.reshape(indices, (*shape, 1))
    parts: list[Value] = []
    for part in (grids[:axis], None, grids[axis + 1 :]):
        if part is None:
            parts.append(column)
        elif part:
            parts.append(out.constant(np.concatenate(part, -1).astype(np.int32)))
    type = TensorType(dtypes.I32, (*shape, rank))
    return parts[0] if len(parts) == 1 else out.make(tfl.CONCATENATION, parts, type, axis=rank)


def _from_front(indices: Value, extents: Shape, out: Writer) -> Value:
    """``indices`` with those that count from the end counted from the front, as i32 or i64.

    The last axis speaks of ``extents``, or every element of the only one.
    """
    if indices.constant is not None:
        return out.tensor(_wrapped(indices, extents), indices.name)
    if indices.type.dtype not in (dtypes.I32, dtypes.I64):
        indices = out.cast(indices, dtypes.I32 if indices.type.dtype != dtypes.U32 else dtypes.I64)
    if not out.wrap_indices or _is_natural(indices):
        return indices
    limits = out.extents.vector(extents) if len(extents) > 1 else out.extents.scalar(extents[0])
    return out.make(tfl.FLOOR_MOD, (indices, out.cast(limits, indices.type.dtype)), indices.type)
