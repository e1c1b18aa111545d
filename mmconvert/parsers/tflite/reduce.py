"""TFLite rules for reductions, extrema and their positions, and running sums."""

from __future__ import annotations

import math
from collections.abc import Callable

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

REDUCTIONS: dict[str, Callable[..., Op]] = {
    "MEAN": ops.ReduceMean,
    "SUM": ops.ReduceSum,
    "REDUCE_PROD": ops.ReduceProd,
    "REDUCE_MAX": ops.ReduceMax,
    "REDUCE_MIN": ops.ReduceMin,
    "REDUCE_ANY": ops.ReduceAny,
    "REDUCE_ALL": ops.ReduceAll,
}


@rule(*REDUCTIONS)
def reduction(n: Source, b: Builder) -> Value:
    keep = n.flag("keep_dims")
    x = n.operand(0)
    if n.kind in ("REDUCE_MAX", "REDUCE_MIN") and n.alike(0):
        x = n.stored(0)
    axes = tuple(sorted({x.type.axis(axis) for axis in n.integers_of(1, "axes")}))
    if n.kind == "MEAN" and x.type.is_static:
        n.multiplies(0, count=math.prod(x.type.static_shape[axis] for axis in axes))
    if n.kind == "SUM" and not n.alike(0) and n.record(0).dtype == dtypes.U8:
        n.multiplies(0)  # so do the reference kernels; of int8 these are wrong, and others round once
    return b(REDUCTIONS[n.kind](axes=axes, keepdims=keep), x)


@rule("ARG_MAX", "ARG_MIN")
def arg_extremum(n: Source, b: Builder) -> Value:
    x, kind = n.stored(0), ops.ArgMax if n.kind == "ARG_MAX" else ops.ArgMin
    if x.type.dtype == dtypes.BOOL:
        x = convert(b, x, dtypes.I32)
    axis = x.type.axis(n.whole(1, "an axis"))
    return b(kind(axis=axis, keepdims=False, dtype=n.dtype("output_type")), x)


@rule("TOPK_V2")
def topk(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.stored(0)
    op = ops.TopK(k=n.extent(1, "k"), axis=x.type.axis(-1))
    values, positions = b.multi(op, x)
    return values, convert(b, positions, n.output_record(1).dtype)


@rule("CUMSUM")
def cumsum(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    axis = x.type.axis(n.whole(1, "an axis"))
    op = ops.CumSum(axis=axis, exclusive=n.flag("exclusive"), reverse=n.flag("reverse"))
    return b(op, x)
