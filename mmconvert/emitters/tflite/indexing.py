"""TFLite rules for operators that pick or place elements by position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    ArgMax,
    ArgMin,
    Cast,
    Expand,
    Gather,
    GatherElements,
    GatherND,
    Identity,
    NonZero,
    OneHot,
    Reshape,
    ScatterElements,
    ScatterND,
    Shape,
    Slice,
    Squeeze,
    Tile,
    TopK,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.types import Array, Extent, TensorType
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
    indices = _from_front(node.operand(1), (x.type.shape[axis],), out)
    out(tfl.GATHER, (x, indices), node.output, axis=axis)


@rule(GatherND)
def gather_nd(node: Node[GatherND], out: Writer) -> None:
    x, indices, batch = node.operand(0), node.operand(1), node.op.batch_dims
    tuples = _from_front(indices, x.type.shape[batch : batch + _length(indices)], out)
    if batch:
        shape = known(indices.type.shape[:-1], "the shape of the indices")
        tuples = _joined([*_grid(shape)[:batch], out.cast(tuples, dtypes.I32)], out)
    out(tfl.GATHER_ND, (x, tuples), node.output)


@rule(GatherElements)
def gather_elements(node: Node[GatherElements], out: Writer) -> None:
    x, indices, axis = node.operand(0), node.operand(1), node.op.axis
    out(tfl.GATHER_ND, (x, _tuples(x, indices, axis, out)), node.output)


@rule(ScatterND)
def scatter_nd(node: Node[ScatterND], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    tuples = _from_front(indices, x.type.shape[: _length(indices)], out)
    _scatter(x, tuples, updates, node.op.reduction, node.output, out)


@rule(ScatterElements)
def scatter_elements(node: Node[ScatterElements], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    tuples = _tuples(x, indices, node.op.axis, out)
    _scatter(x, tuples, updates, node.op.reduction, node.output, out)


def _scatter(x: Value, tuples: Value, updates: Value, reduction: str, y: Value, out: Writer) -> None:
    """TFLite adds up what it scatters over zeros; where it does so is found by scattering ones."""
    if reduction not in ("none", "add"):
        raise UnsupportedError(f"TFLite cannot scatter with the reduction {reduction!r}")
    if reduction == "none" and _repeats(tuples):
        raise UnsupportedError("TFLite cannot scatter twice to one place")
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


def _repeats(tuples: Value) -> bool:
    if tuples.constant is None:
        return False
    rows = tuples.constant.numpy().reshape(-1, tuples.constant.shape[-1])
    return len(np.unique(rows, axis=0)) < len(rows)


def _length(indices: Value) -> int:
    return known(indices.type.shape[-1:], "the length of index tuples")[0]


def _tuples(x: Value, indices: Value, axis: int, out: Writer) -> Value:
    """The full position in ``x`` that each of ``indices``, which speak of one axis, stands for."""
    shape = known(indices.type.shape, "the shape of the indices")
    indices = out.cast(_from_front(indices, (x.type.shape[axis],), out), dtypes.I32)
    parts: list[Array | Value] = [*_grid(shape)]
    parts[axis] = out.reshape(indices, (*shape, 1))
    return _joined(parts, out)


def _grid(shape: tuple[int, ...]) -> list[Array]:
    """For each axis the position along it of every element of ``shape``, with one more axis of extent 1."""
    return [np.broadcast_to(g, shape)[..., None].astype(np.int32) for g in np.indices(shape, sparse=True)]


def _joined(parts: Sequence[Array | Value], out: Writer) -> Value:
    """Columns of positions, constant or not, side by side."""
    values: list[Value] = []
    for constant, run in groupby(parts, lambda part: not isinstance(part, Value)):
        columns = list(run)
        if constant:
            values.append(out.constant(np.concatenate([c for c in columns if not isinstance(c, Value)], -1)))
        else:
            values += [c for c in columns if isinstance(c, Value)]
    if len(values) == 1:
        return values[0]
    lead = values[0].type.shape[:-1]
    width: Extent = 0
    for value in values:
        width = width + value.type.shape[-1]
    return out.make(tfl.CONCATENATION, values, TensorType(dtypes.I32, (*lead, width)), axis=len(lead))


def _from_front(indices: Value, extents: tuple[Extent, ...], out: Writer) -> Value:
    """``indices`` with those that count from the end counted from the front, as i32 or i64.

    The last axis of ``indices`` speaks of ``extents``, or every element of the only one.
    """
    constant = indices.constant
    if constant is not None:
        negative = bool((constant.numpy() < 0).any())
        if not negative:
            return out.cast(indices, dtypes.I32)
        if all(isinstance(e, int) for e in extents):
            limits = np.array(extents if len(extents) > 1 else extents[0])
            wrapped = constant.map(
                lambda a: np.where(a < 0, a + limits, a).astype(np.int32), dtype=dtypes.I32
            )
            return out.tensor(wrapped, indices.name)
    if indices.type.dtype not in (dtypes.I32, dtypes.I64):
        indices = out.cast(indices, dtypes.I64 if indices.type.dtype == dtypes.U32 else dtypes.I32)
    if constant is None and (not out.wrap_indices or _is_natural(indices)):
        return indices
    bounds = out.extents.vector(extents) if len(extents) > 1 else out.extents.scalar(extents[0])
    return out.make(tfl.FLOOR_MOD, (indices, out.cast(bounds, indices.type.dtype)), indices.type)


_MOVES = (Cast, Expand, Gather, Identity, Reshape, Slice, Squeeze, Tile, Transpose, Unsqueeze)


def _is_natural(value: Value) -> bool:
    """True when no element can be negative: positions that another operator found, passed on."""
    node = value.producer
    while is_op(node, *_MOVES):
        value = node.operand(0)
        node = value.producer
    if value.type.dtype.kind in "ub":
        return True
    if is_op(node, TopK):
        return value.index == 1
    return is_op(node, ArgMax, ArgMin, NonZero, Shape)


@rule(OneHot)
def one_hot(node: Node[OneHot], out: Writer) -> None:
    indices, off, on = (node.operand(i) for i in range(3))
    if indices.type.dtype not in (dtypes.I32, dtypes.I64):
        indices = out.cast(indices, dtypes.I32)
    if out.wrap_indices and not _is_natural(indices):
        indices = _lifted(indices, node.op.depth, out)
    depth = out.extents.scalar(node.op.depth)
    out(tfl.ONE_HOT, (indices, depth, on, off), node.output, axis=node.op.axis)


def _lifted(indices: Value, depth: Extent, out: Writer) -> Value:
    """Negative indices plus ``depth``; not its remainder, because what is out of range stays so."""
    type = indices.type
    zero, bound = out.constant(0, type.dtype), out.cast(out.extents.scalar(depth), type.dtype)
    negative = out.make(tfl.LESS, (indices, zero), type.with_dtype(dtypes.BOOL))
    lifted = out.make(tfl.ADD, (indices, bound), type)
    return out.make(tfl.SELECT_V2, (negative, lifted, indices), type)


@rule(NonZero)
def non_zero(node: Node[NonZero], out: Writer) -> None:
    x, y = node.operand(0), node.output
    rows = out.make(tfl.WHERE, (x,), y.type.with_shape((y.type.shape[1], y.type.shape[0])))
    out.transpose_into(rows, (1, 0), y)
