"""ONNX rules for reductions, searches along an axis, and running sums."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.reduce import Reduce
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

REDUCTIONS: dict[str, type[Reduce]] = {
    "ReduceSum": ops.ReduceSum,
    "ReduceMean": ops.ReduceMean,
    "ReduceMax": ops.ReduceMax,
    "ReduceMin": ops.ReduceMin,
    "ReduceProd": ops.ReduceProd,
    "ReduceL1": ops.ReduceL1,
    "ReduceL2": ops.ReduceL2,
    "ReduceLogSum": ops.ReduceLogSum,
    "ReduceLogSumExp": ops.ReduceLogSumExp,
    "ReduceSumSquare": ops.ReduceSumSquare,
}
_OF_BOOLEANS: dict[str, type[Reduce]] = {"ReduceMax": ops.ReduceAny, "ReduceMin": ops.ReduceAll}


@rule(*REDUCTIONS)
def reduce_1(n: Source, b: Builder) -> Value:
    """Axes as an attribute; none are all."""
    return _reduce(n, b, n.integers("axes", ()), noop=False)


@rule("ReduceSum", since=13)
@rule(*(kind for kind in REDUCTIONS if kind != "ReduceSum"), since=18)
def reduce_18(n: Source, b: Builder) -> Value:
    """Axes as an operand; none are all, or with ``noop_with_empty_axes`` none."""
    axes = n.integers_of(1, "axes") if n.has(1) else ()
    return _reduce(n, b, axes, noop=n.flag("noop_with_empty_axes"))


def _reduce(n: Source, b: Builder, axes: tuple[int, ...], *, noop: bool) -> Value:
    x = n.operand(0)
    if not axes and not noop:
        axes = tuple(range(x.type.rank))
    table = REDUCTIONS | _OF_BOOLEANS if x.type.dtype == dtypes.BOOL else REDUCTIONS
    return b(table[n.kind](axes=x.type.axes(axes), keepdims=n.flag("keepdims", True)), x)


@rule("ArgMax", "ArgMin")
def arg_extreme(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    op = ops.ArgMax if n.kind == "ArgMax" else ops.ArgMin
    axis, keepdims = x.type.axis(n.integer("axis", 0)), n.flag("keepdims", True)
    return b(op(axis=axis, keepdims=keepdims, select_last=n.flag("select_last_index")), x)


@rule("TopK")
def top_k_1(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.operand(0)
    op = ops.TopK(k=n.integer("k"), axis=x.type.axis(n.integer("axis", -1)), largest=True, sorted=True)
    return b.multi(op, x)


@rule("TopK", since=10)
def top_k_10(n: Source, b: Builder) -> tuple[Value, ...]:
    x, k = n.operand(0), n.extent(1, "k")
    axis = x.type.axis(n.integer("axis", -1))
    largest, ordered = n.flag("largest", True), n.flag("sorted", True)
    return b.multi(ops.TopK(k=k, axis=axis, largest=largest, sorted=ordered), x)


@rule("CumSum", "CumProd")
def cumulate(n: Source, b: Builder) -> Value:
    x, axis = n.operand(0), n.whole(1, "the axis")
    op = ops.CumSum if n.kind == "CumSum" else ops.CumProd
    return b(op(axis=x.type.axis(axis), exclusive=n.flag("exclusive"), reverse=n.flag("reverse")), x)
