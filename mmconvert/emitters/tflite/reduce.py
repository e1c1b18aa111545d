"""TFLite rules for reductions, extremes and running sums."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    ArgMax,
    ArgMin,
    CumSum,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    TopK,
)
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_REDUCTIONS: dict[type[Op], tfl.Builtin] = {
    ReduceSum: tfl.SUM,
    ReduceMean: tfl.MEAN,
    ReduceMax: tfl.REDUCE_MAX,
    ReduceMin: tfl.REDUCE_MIN,
    ReduceProd: tfl.REDUCE_PROD,
    ReduceAny: tfl.REDUCE_ANY,
    ReduceAll: tfl.REDUCE_ALL,
}
Reduction = ReduceSum | ReduceMean | ReduceMax | ReduceMin | ReduceProd | ReduceAny | ReduceAll


@rule(*_REDUCTIONS)
def reduction(node: Node[Reduction], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), out.tail(node).output
    if not op.axes:
        out.copy(x, y)
        return
    axes = out.integers(sorted(op.axes))
    out(_REDUCTIONS[type(op)], (x, axes), y, keep_dims=y.type.rank == x.type.rank)


@rule(ArgMax, ArgMin)
def extreme(node: Node[ArgMax | ArgMin], out: Writer) -> None:
    """The first one; the last one is the first of the reversed tensor."""
    op, x, y = node.op, node.operand(0), node.output
    if op.select_last:
        x = out.make(tfl.REVERSE_V2, (x, out.integers((op.axis,))), x.type)
    dtype = op.dtype if op.dtype in (dtypes.I32, dtypes.I64) else dtypes.I32
    shape = tuple(e for a, e in enumerate(x.type.shape) if a != op.axis)
    direct = (dtype, shape) == (y.type.dtype, y.type.shape) and not op.select_last
    found = y if direct else Value(TensorType(dtype, shape))
    out(
        tfl.ARG_MAX if isinstance(op, ArgMax) else tfl.ARG_MIN,
        (x, out.constant(op.axis, dtypes.I32)),
        found,
        output_type=tensor_type(dtype),
    )
    if direct:
        return
    if op.select_last:
        last = out.cast(out.extents.scalar(x.type.shape[op.axis] - 1), dtype)
        found = out.make(tfl.SUB, (last, found), found.type)
    out.reshape_into(out.cast(found, y.type.dtype), y)


@rule(TopK)
def top_k(node: Node[TopK], out: Writer) -> None:
    """The largest along the last axis; another axis is brought there, for the smallest order is reversed."""
    op, x = node.op, node.operand(0)
    values, indices = node.outputs
    rank = x.type.rank
    swap = list(range(rank))
    swap[op.axis], swap[-1] = rank - 1, op.axis
    perm = tuple(swap)
    x = out.transpose(x, perm)
    x = x if op.largest else _turned(x, out)
    shape = (*x.type.shape[:-1], op.k)
    best = Value(x.type.with_shape(shape), f"{out.scope}/best")
    places = Value(TensorType(dtypes.I32, shape), f"{out.scope}/places")
    out(tfl.TOPK_V2, (x, out.extents.scalar(op.k)), (best, places))
    best = best if op.largest else _turned(best, out)
    out.transpose_into(best, perm, values)
    out.cast_into(out.transpose(places, perm), indices)


def _turned(x: Value, out: Writer) -> Value:
    """``x`` with the order of its elements reversed, by a function that is its own inverse."""
    dtype = x.type.dtype
    if dtypes.is_float(dtype):
        return out.make(tfl.NEG, (x,), x.type)
    # Inverting the bits; unlike negation this has no exception.
    ones = np.iinfo(dtype).max if dtype.kind == "u" else -1
    return out.make(tfl.SUB, (out.constant(ones, dtype), x), x.type)


@rule(CumSum)
def running_sum(node: Node[CumSum], out: Writer) -> None:
    op = node.op
    axis = out.constant(op.axis, dtypes.I32)
    out(tfl.CUMSUM, (node.operand(0), axis), node.output, exclusive=op.exclusive, reverse=op.reverse)
