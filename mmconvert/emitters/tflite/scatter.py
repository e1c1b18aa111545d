"""TFLite rules for operators that pick and place elements at index tuples."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.positions import from_front, grid, joined, tuple_length, tuples
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import GatherElements, GatherND, ScatterElements, ScatterND
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(GatherND)
def gather_nd(node: Node[GatherND], out: Writer) -> None:
    x, indices, batch = node.operand(0), node.operand(1), node.op.batch_dims
    places = from_front(indices, x.type.shape[batch : batch + tuple_length(indices)], out)
    if batch:
        lead = indices.type.shape[:-1]
        columns = [grid(lead, axis, out) for axis in range(batch)]
        places = joined([*columns, out.cast(places, dtypes.I32)], out)
    out(tfl.GATHER_ND, (x, places), node.output)


@rule(GatherElements)
def gather_elements(node: Node[GatherElements], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    out(tfl.GATHER_ND, (x, tuples(x, indices, node.op.axis, out)), node.output)


@rule(ScatterND)
def scatter_nd(node: Node[ScatterND], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    places = from_front(indices, x.type.shape[: tuple_length(indices)], out)
    _scatter(x, places, updates, node.op.reduction, node.output, out)


@rule(ScatterElements)
def scatter_elements(node: Node[ScatterElements], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    places = tuples(x, indices, node.op.axis, out)
    _scatter(x, places, updates, node.op.reduction, node.output, out)


def _scatter(x: Value, places: Value, updates: Value, reduction: str, y: Value, out: Writer) -> None:
    """TFLite adds up what it scatters over zeros; where it does so is found by scattering ones."""
    if reduction not in ("none", "add"):
        raise UnsupportedError(f"TFLite cannot scatter with the reduction {reduction!r}")
    if reduction == "none" and _repeats(places):
        raise UnsupportedError("TFLite cannot scatter twice to one place")
    shape = out.extents.vector(x.type.shape)
    places = out.cast(places, dtypes.I32)
    sums = out.make(tfl.SCATTER_ND, (places, updates, shape), x.type)
    if reduction == "add":
        out(tfl.ADD, (x, sums), y)
        return
    one, zero = out.constant(1, dtypes.I32), out.constant(0, dtypes.I32)
    many = updates.type.with_dtype(dtypes.I32)
    ones = out.make(tfl.BROADCAST_TO, (one, out.extents.vector(many.shape)), many)
    marks = out.make(tfl.SCATTER_ND, (places, ones, shape), x.type.with_dtype(dtypes.I32))
    hit = out.make(tfl.GREATER, (marks, zero), x.type.with_dtype(dtypes.BOOL))
    out(tfl.SELECT_V2, (hit, sums, x), y)


def _repeats(places: Value) -> bool:
    if places.constant is None:
        return False
    rows = places.constant.numpy().reshape(-1, places.constant.shape[-1])
    return len(np.unique(rows, axis=0)) < len(rows)
