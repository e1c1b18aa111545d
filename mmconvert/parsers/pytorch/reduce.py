"""PyTorch rules for reductions and running totals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


def axes_of(n: Source, x: Value, name: str = "dim") -> tuple[int, ...]:
    """The axes that an argument names; all of them where it names none. A scalar has none to name."""
    found = n.integers(name, ())
    if not x.type.rank:
        return ()
    return tuple(sorted(x.type.axes(found))) if found else tuple(range(x.type.rank))


def _reduced(n: Source, b: Builder, op: type[Op], x: Value) -> Value:
    axes, keepdims = axes_of(n, x), n.flag("keepdim")
    return b(op(axes=axes, keepdims=keepdims), x)


@rule("aten.sum.default", "aten.sum.dim_IntList", "aten.nansum.default")
def total(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    x = n.cast(n.value("self"), n.result().dtype)
    if "nan" in n.kind and dtypes.is_float(x.type.dtype):
        x = b(ops.Where(), b(ops.IsNan(), x), n.scalar(0.0, x.type.dtype), x)
    return _reduced(n, b, ops.ReduceSum, x)


@rule("aten.mean.default", "aten.mean.dim")
def mean(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    return _reduced(n, b, ops.ReduceMean, n.cast(n.value("self"), n.result().dtype))


@rule("aten.nanmean.default")
def nanmean(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    x = n.value("self")
    axes, keepdims = axes_of(n, x), n.flag("keepdim")
    hole = b(ops.IsNan(), x)
    whole = b(
        ops.ReduceSum(axes=axes, keepdims=keepdims), b(ops.Where(), hole, n.scalar(0.0, x.type.dtype), x)
    )
    count = b(ops.Cast(to=x.type.dtype), b(ops.Not(), hole))
    return b(ops.Div(), whole, b(ops.ReduceSum(axes=axes, keepdims=keepdims), count))


@rule("aten.prod.default")
def product(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    return _reduced(n, b, ops.ReduceProd, n.cast(n.value("self"), n.result().dtype))


@rule("aten.prod.dim_int")
def product_along(n: Source, b: Builder) -> Value:
    return product(n, b)


def _numbers(n: Source, b: Builder, x: Value, reduce: Callable[[Value], Value]) -> Value:
    """A reduction of booleans in integers, and back."""
    if x.type.dtype != dtypes.BOOL:
        return reduce(x)
    return b(ops.Cast(to=dtypes.BOOL), reduce(b(ops.Cast(to=dtypes.I32), x)))


@rule("aten.amax.default", "aten.amin.default", "aten.max.default", "aten.min.default")
def extreme(n: Source, b: Builder) -> Value:
    op = ops.ReduceMax if "max" in n.kind else ops.ReduceMin
    return _numbers(n, b, n.value("self"), lambda x: _reduced(n, b, op, x))


@rule("aten.aminmax.default")
def aminmax(n: Source, b: Builder) -> tuple[Value, Value]:
    x = n.value("self")
    return _reduced(n, b, ops.ReduceMin, x), _reduced(n, b, ops.ReduceMax, x)


@rule("aten.max.dim", "aten.min.dim")
def extreme_along(n: Source, b: Builder) -> tuple[Value, Value]:
    x, keepdims = n.value("self"), n.flag("keepdim")
    if not x.type.rank:
        n.ignore("dim")
        return x, b.constant(0, dtypes.I64)
    axis = x.type.axis(n.integer("dim"))
    best, place = (ops.ReduceMax, ops.ArgMax) if "max" in n.kind else (ops.ReduceMin, ops.ArgMin)
    values = _numbers(n, b, x, lambda v: b(best(axes=(axis,), keepdims=keepdims), v))
    whole = b(ops.Cast(to=dtypes.I32), x) if x.type.dtype == dtypes.BOOL else x
    return values, b(place(axis=axis, keepdims=keepdims), whole)


@rule("aten.argmax.default", "aten.argmin.default")
def position(n: Source, b: Builder) -> Value:
    x, keepdims = n.value("self"), n.flag("keepdim")
    op = ops.ArgMax if "max" in n.kind else ops.ArgMin
    if not n.given("dim") or not x.type.rank:
        n.ignore("dim")
        flat = b(ops.Reshape(shape=(x.type.size,)), x)
        return b(ops.Reshape(shape=n.result().shape), b(op(axis=0, keepdims=False), flat))
    return b(op(axis=x.type.axis(n.integer("dim")), keepdims=keepdims), x)


@rule(
    "aten.any.default", "aten.any.dim", "aten.any.dims", "aten.all.default", "aten.all.dim", "aten.all.dims"
)
def truth(n: Source, b: Builder) -> Value:
    x = n.cast(n.value("self"), dtypes.BOOL)
    made = _reduced(n, b, ops.ReduceAny if ".any" in n.kind else ops.ReduceAll, x)
    return n.cast(made, n.result().dtype)


@rule("aten.count_nonzero.default", "aten.count_nonzero.dim_IntList")
def count_nonzero(n: Source, b: Builder) -> Value:
    present = b(ops.Cast(to=dtypes.I64), n.cast(n.value("self"), dtypes.BOOL))
    return _reduced(n, b, ops.ReduceSum, present)


@rule("aten.logsumexp.default", "aten.special_logsumexp.default")
def logsumexp(n: Source, b: Builder) -> Value:
    return _reduced(n, b, ops.ReduceLogSumExp, n.cast(n.value("self"), n.result().dtype))


# --- deviations ------------------------------------------------------------------------------------------


@rule("aten.var.default", "aten.var.dim", "aten.var.correction")
def variance(n: Source, b: Builder) -> Value:
    return _variance(n, b)[0]


@rule("aten.std.default", "aten.std.dim", "aten.std.correction")
def deviation(n: Source, b: Builder) -> Value:
    return b(ops.Sqrt(), _variance(n, b)[0])


@rule("aten.var_mean.default", "aten.var_mean.dim", "aten.var_mean.correction")
def variance_and_mean(n: Source, b: Builder) -> tuple[Value, Value]:
    return _variance(n, b)


@rule("aten.std_mean.default", "aten.std_mean.dim", "aten.std_mean.correction")
def deviation_and_mean(n: Source, b: Builder) -> tuple[Value, Value]:
    found, middle = _variance(n, b)
    return b(ops.Sqrt(), found), middle


def _variance(n: Source, b: Builder) -> tuple[Value, Value]:
    x = n.value("self")
    correction = (
        n.number("correction", 1) if "correction" in n.kind else int(n.flag("unbiased", default=True))
    )
    axes, keepdims = axes_of(n, x), n.flag("keepdim")
    middle = b(ops.ReduceMean(axes=axes, keepdims=True), x)
    centred = b(ops.Sub(), x, middle)
    squares = b(ops.Mul(), centred, centred)
    count = dims.product(tuple(x.type.shape[a] for a in axes))
    if correction == 0:
        found = b(ops.ReduceMean(axes=axes, keepdims=keepdims), squares)
    else:
        whole = b(ops.ReduceSum(axes=axes, keepdims=keepdims), squares)
        if isinstance(count, int):
            left = n.scalar(max(count - correction, 0), x.type.dtype)
        else:
            left = b(ops.Sub(), n.scalar(count, x.type.dtype), n.scalar(correction, x.type.dtype))
        found = b(ops.Div(), whole, left)
    shape = found.type.shape
    return found, middle if keepdims else b(ops.Reshape(shape=shape), middle)


# --- norms -----------------------------------------------------------------------------------------------


@rule("aten.linalg_vector_norm.default")
def vector_norm(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    x = n.cast(n.value("self"), n.result().dtype)
    return _norm(n, b, x, n.real("ord", 2.0))


@rule(
    "aten.norm.Scalar",
    "aten.norm.ScalarOpt_dim",
    "aten.norm.ScalarOpt_dtype",
    "aten.norm.ScalarOpt_dim_dtype",
)
def norm(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    x = n.cast(n.value("self"), n.result().dtype)
    return _norm(n, b, x, n.real("p", 2.0))


def _norm(n: Source, b: Builder, x: Value, order: float) -> Value:
    if order == 2:
        return _reduced(n, b, ops.ReduceL2, x)
    if order == 1:
        return _reduced(n, b, ops.ReduceL1, x)
    size = b(ops.Abs(), x)
    if math.isinf(order):
        return _reduced(n, b, ops.ReduceMax if order > 0 else ops.ReduceMin, size)
    if order == 0:
        return _reduced(n, b, ops.ReduceSum, b(ops.Cast(to=x.type.dtype), b(ops.NotEqual(), x, 0.0)))
    return b(ops.Pow(), _reduced(n, b, ops.ReduceSum, b(ops.Pow(), size, order)), 1 / order)


# --- running totals --------------------------------------------------------------------------------------


@rule("aten.cumsum.default", "aten.cumprod.default")
def cumulative(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    x = n.cast(n.value("self"), n.result().dtype)
    if not x.type.rank:
        n.ignore("dim")
        return x
    axis = x.type.axis(n.integer("dim"))
    return b(ops.CumSum(axis=axis) if "cumsum" in n.kind else ops.CumProd(axis=axis), x)


@rule("aten.cummax.default", "aten.cummin.default")
def running_extreme(n: Source, b: Builder) -> tuple[Value, Value]:
    """For a known extent: the best of all that came before, of equal ones the last."""
    x = n.value("self")
    if not x.type.rank:
        n.ignore("dim")
        return x, b.constant(0, dtypes.I64)
    axis = x.type.axis(n.integer("dim"))
    extent = x.type.shape[axis]
    if not isinstance(extent, int):
        raise n.unsupported("along an axis of unknown extent")
    rows = b(ops.Unsqueeze(axes=(axis,)), x)
    seen = np.tri(extent, dtype=bool).reshape(extent, extent, *[1] * (x.type.rank - 1 - axis))
    largest = "max" in n.kind
    floating = dtypes.is_float(x.type.dtype)
    worst = -math.inf if floating else np.iinfo(x.type.dtype).min
    best = math.inf if floating else np.iinfo(x.type.dtype).max
    hidden = np.asarray(worst if largest else best, x.type.dtype)
    masked = b(ops.Where(), seen, rows, hidden)
    op = (ops.ArgMax if largest else ops.ArgMin)(axis=axis + 1, keepdims=False, select_last=True)
    places = b(op, masked)
    return b(ops.GatherElements(axis=axis), x, places), places


@rule("aten.logcumsumexp.default")
def running_logsumexp(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if not x.type.rank:
        n.ignore("dim")
        return x
    axis = x.type.axis(n.integer("dim"))
    extent = x.type.shape[axis]
    if not isinstance(extent, int):
        raise n.unsupported("along an axis of unknown extent")
    rows = b(ops.Unsqueeze(axes=(axis,)), x)
    seen = np.tri(extent, dtype=bool).reshape(extent, extent, *[1] * (x.type.rank - 1 - axis))
    masked = b(ops.Where(), seen, rows, np.asarray(-math.inf, x.type.dtype))
    return b(ops.ReduceLogSumExp(axes=(axis + 1,), keepdims=False), masked)
