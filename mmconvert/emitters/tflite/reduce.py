"""TFLite rules for reductions, extremes and running sums."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.errors import UnsupportedError
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
    op, x = node.op, node.operand(0)
    if not op.axes:
        out.copy(x, node.output)
        return
    axes = out.integers(sorted(op.axes))
    out(_REDUCTIONS[type(op)], (x, axes), node.output, keep_dims=op.keepdims)


@rule(ArgMax, ArgMin)
def extreme(node: Node[ArgMax | ArgMin], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if op.select_last:
        raise UnsupportedError("TFLite finds the first extreme element, not the last")
    dtype = op.dtype if op.dtype in (dtypes.I32, dtypes.I64) else dtypes.I32
    shape = tuple(e for a, e in enumerate(x.type.shape) if a != op.axis)
    found = y if (dtype, shape) == (y.type.dtype, y.type.shape) else Value(TensorType(dtype, shape))
    out(
        tfl.ARG_MAX if isinstance(op, ArgMax) else tfl.ARG_MIN,
        (x, out.constant(op.axis, dtypes.I32)),
        found,
        output_type=tensor_type(dtype),
    )
    if found is not y:
        out.reshape_into(out.cast(found, y.type.dtype), y)


@rule(TopK)
def top_k(node: Node[TopK], out: Writer) -> None:
    """Of the last axis and the largest elements; another axis is brought there, smallest ones are negated."""
    op, x = node.op, node.operand(0)
    values, indices = node.outputs
    if not op.largest and not dtypes.is_float(x.type.dtype):
        raise UnsupportedError("TFLite finds the largest integers only, and not every integer can be negated")
    last = x.type.rank - 1
    swap = (
        (*range(op.axis), last, *range(op.axis + 1, last), op.axis)
        if op.axis != last
        else tuple(range(last + 1))
    )
    x = out.transpose(x, swap)
    x = x if op.largest else out.make(tfl.NEG, (x,), x.type)
    shape = (*x.type.shape[:-1], op.k)
    best = Value(x.type.with_shape(shape), f"{out.scope}/best")
    places = Value(TensorType(dtypes.I32, shape), f"{out.scope}/places")
    out(tfl.TOPK_V2, (x, out.extents.scalar(op.k)), (best, places))
    best = best if op.largest else out.make(tfl.NEG, (best,), best.type)
    out.transpose_into(best, swap, values)
    out.cast_into(out.transpose(places, swap), indices)


@rule(CumSum)
def running_sum(node: Node[CumSum], out: Writer) -> None:
    op = node.op
    axis = out.constant(op.axis, dtypes.I32)
    out(tfl.CUMSUM, (node.operand(0), axis), node.output, exclusive=op.exclusive, reverse=op.reverse)
