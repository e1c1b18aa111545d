"""TFLite rules that gather elements into groups: distinct ones, buckets, segments; and diagonals."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.quantize import limits
from mmconvert.ir.ops.scatter import Reduction
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("UNIQUE")
def unique(n: Source, b: Builder) -> tuple[Value, ...]:
    """The distinct elements in the order of first appearance, and which of them each element is."""
    x = n.stored(0)
    x.type.require_rank(1)
    op = ops.Unique(count=n.context.symbols.fresh(f"{n.origin.name}_count"), sorted=False)
    values, _, which, _ = b.multi(op, x)
    return values, convert(b, which, n.dtype("idx_out_type"))


@rule("BUCKETIZE")
def bucketize(n: Source, b: Builder) -> Value:
    """How many of the boundaries are not above an element."""
    x, bounds = convert(b, n.operand(0), dtypes.F32), np.array(n.option("boundaries"), np.float32)
    if (np.diff(bounds) < 0).any():
        raise n.invalid("its boundaries do not ascend")
    rank = x.type.rank
    passed = b(ops.GreaterEqual(), b(ops.Unsqueeze(axes=(rank,)), x), bounds)
    return b(ops.ReduceSum(axes=(rank,), keepdims=False), b(ops.Cast(to=dtypes.I32), passed))


@rule("SEGMENT_SUM")
def segment_sum(n: Source, b: Builder) -> Value:
    """Segments are numbered from 0 on without gaps, so the last number says how many there are."""
    ids = n.stored(1)
    ids.type.require_rank(1)
    most = b(ops.ReduceMax(axes=(0,), keepdims=True), convert(b, ids, dtypes.I64))
    (count,) = n.read(b(ops.Add(), most, np.ones(1, np.int64)), "how many segments there are")
    return _reduced(b, n.stored(0), ids, count, "add", 0)


@rule("UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN")
def unsorted_segment(n: Source, b: Builder) -> Value:
    """Operands: data, the segment of each slice, how many segments there are. A negative one is none."""
    x, ids, count = n.stored(0), n.stored(1), n.extent(2, "how many segments there are")
    low, high = limits(x.type.dtype)
    reductions: dict[str, tuple[Reduction, float]] = {
        "SUM": ("add", 0), "PROD": ("mul", 1), "MAX": ("max", low), "MIN": ("min", high),
    }  # fmt: skip
    how, start = reductions[n.kind.rpartition("_")[2]]
    rank = ids.type.rank
    if rank > x.type.rank or not rank:
        raise n.invalid(f"segments of {ids.type} for {x.type}")
    slices = dims.product(ids.type.shape)
    x = b(ops.Reshape(shape=(slices, *x.type.shape[rank:])), x) if rank > 1 else x
    ids = b(ops.Reshape(shape=(slices,)), convert(b, ids, dtypes.I64))
    known = n.known(1)
    if known is not None and (known >= 0).all():
        return _reduced(b, x, ids, count, how, start)
    # What belongs to no segment goes to one behind the last, which is cut off again.
    last = b(ops.Where(), b(ops.Less(), ids, np.array(0, np.int64)), _number(b, count), ids)
    whole = _reduced(b, x, last, count + 1, how, start)
    return b(ops.Slice(axes=(0,), starts=(0,), sizes=(count,), steps=(1,)), whole)


def _number(b: Builder, extent: Extent) -> Value:
    """An extent as an i64 scalar."""
    if isinstance(extent, int):
        return b.constant(extent, dtypes.I64)
    shape = b(ops.Shape(), b(ops.Fill(shape=(extent,), value=0, dtype=dtypes.I8)))
    return b(ops.Reshape(shape=()), shape)


def _reduced(b: Builder, x: Value, ids: Value, count: Extent, how: Reduction, start: float) -> Value:
    empty = b(ops.Fill(shape=(count, *x.type.shape[1:]), value=start, dtype=x.type.dtype))
    return b(ops.ScatterND(reduction=how), empty, b(ops.Unsqueeze(axes=(1,)), ids), x)


@rule("MATRIX_DIAG")
def matrix_diag(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    size = dims.numbers(x.type.shape[-1:])[0]
    q = n.quantization(0)
    zero = np.array(0 if q is None else q.zero_point, x.type.dtype)
    return b(ops.Where(), np.eye(size, dtype=bool), b(ops.Unsqueeze(axes=(x.type.rank,)), x), zero)


@rule("MATRIX_SET_DIAG")
def matrix_set_diag(n: Source, b: Builder) -> Value:
    x, diagonal = n.stored(0), n.stored(1)
    rows, columns = dims.numbers(x.type.shape[-2:])
    rank = diagonal.type.rank
    if columns < rows:
        pads = (*((0, 0),) * (rank - 1), (0, rows - columns))
        diagonal = b(ops.Pad(pads=pads, mode="constant"), diagonal)
    return b(ops.Where(), np.eye(rows, columns, dtype=bool), b(ops.Unsqueeze(axes=(rank,)), diagonal), x)


@rule("SPARSE_TO_DENSE")
def sparse_to_dense(n: Source, b: Builder) -> Value:
    """Operands: positions, the shape, values (one for all, or one for each), what stands elsewhere."""
    n.ignore("validate_indices")  # what does not fit is an error in every runtime
    places, shape, values = n.stored(0), n.extents(1, "a shape"), n.stored(2)
    if places.type.rank < 2:  # one position, or several along one axis
        places = b(ops.Reshape(shape=(places.type.size, 1)), places)
    count = places.type.shape[0]
    if values.type.rank == 0:
        values = b(ops.Expand(shape=(count,)), values)
    dense = b(ops.Expand(shape=shape), b(ops.Reshape(shape=()), n.stored(3)))
    return b(ops.ScatterND(), dense, convert(b, places, dtypes.I64), values)
