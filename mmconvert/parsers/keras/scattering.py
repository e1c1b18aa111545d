"""Operations of `keras.ops` that write or add to chosen places: scatters, updates, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Cast, Concat, Fill, Less, ScatterND, Slice, Unsqueeze, Where
from mmconvert.ir.ops.scatter import Reduction
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import operands
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_REDUCTIONS: dict[str, Reduction] = {name: name for name in get_args(Reduction)}


@rule("ops.Scatter")
def scatter(layer: KerasLayer, b: Builder) -> Value:
    """Values at their places in zeros; those that meet are added."""
    indices, values = layer.tensor(0, "indices"), layer.tensor(1, "values")
    zeros = b(Fill(shape=layer.integers("shape"), value=0.0, dtype=values.type.dtype))
    return b(ScatterND(reduction="add"), zeros, indices, values)


@rule("ops.ScatterUpdate")
def scatter_update(layer: KerasLayer, b: Builder) -> Value:
    x, indices = layer.tensor(0, "inputs"), layer.tensor(1, "indices")
    x, updates = operands(b, x, layer.operand(2, "updates"))
    reduction = layer.setting("reduction", None) or "none"
    if reduction not in _REDUCTIONS:
        raise layer.invalid(f"reduction = {reduction!r}")
    return b(ScatterND(reduction=_REDUCTIONS[reduction]), x, indices, updates)


@rule("ops.SliceUpdate")
def slice_update(layer: KerasLayer, b: Builder) -> Value:
    x, given = layer.tensor(0, "inputs"), layer.argument(1, "start_indices")
    x, update = operands(b, x, layer.operand(2, "updates"))
    starts = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(starts, list) or not all(type(start) is int for start in starts):
        raise layer.refuse("a start that is a tensor", "write the numbers, or update with where()")
    if not len(starts) == x.type.rank == update.type.rank:
        raise layer.invalid(f"{len(starts)} starts for {x.type}")
    return _replaced(layer, b, x, update, starts, 0)


def _replaced(
    layer: KerasLayer, b: Builder, x: Value, update: Value, starts: Sequence[int], axis: int
) -> Value:
    """``x`` with ``update`` in it, which is moved until it lies within ``x``; from ``axis`` on."""
    if axis == len(starts):
        return update
    if x.type.shape[axis] == update.type.shape[axis]:
        return _replaced(layer, b, x, update, starts, axis + 1)
    extent, count = layer.extent(x, axis), layer.extent(update, axis)
    start = max(min(starts[axis], extent - count), 0)
    bounds = ((0, start), (start, count), (start + count, extent - start - count))
    parts = [
        b(Slice(axes=(axis,), starts=(first,), sizes=(size,), steps=(1,)), x) if size else None
        for first, size in bounds
    ]
    assert parts[1] is not None
    parts[1] = _replaced(layer, b, parts[1], update, starts, axis + 1)
    return b(Concat(axis=axis), *(part for part in parts if part is not None))


_SEGMENTS: dict[str, Reduction] = {
    "SegmentSum": "add",
    "SegmentProd": "mul",
    "SegmentMax": "max",
    "SegmentMin": "min",
}


@rule("ops.SegmentSum", "ops.SegmentMax", "ops.SegmentMin", "ops.SegmentProd")
def segments(layer: KerasLayer, b: Builder) -> Value:
    """Rows with one number are put together; those with a number below 0 are left out."""
    data, ids = layer.tensor(0, "data"), layer.tensor(1, "segment_ids")
    if layer.setting("num_segments", None) is None:
        raise layer.refuse("a number of segments that depends on the values", "give num_segments")
    layer.ignore("sorted")
    count, dtype = layer.sizes("num_segments", 1)[0], data.type.dtype
    info = np.finfo(dtype) if dtypes.is_float(dtype) else np.iinfo(dtype)
    start = {"SegmentSum": 0, "SegmentProd": 1, "SegmentMax": info.min, "SegmentMin": info.max}[layer.kind]
    rows = b(Fill(shape=(count + 1, *data.type.shape[1:]), value=float(start), dtype=dtype))
    places = b(Where(), b(Less(), ids, 0), b.constant(count, ids.type.dtype), ids)
    places = b(Unsqueeze(axes=(1,)), b(Cast(to=dtypes.I64), places))
    whole = b(ScatterND(reduction=_SEGMENTS[layer.kind]), rows, places, data)
    return b(Slice(axes=(0,), starts=(0,), sizes=(count,), steps=(1,)), whole)
