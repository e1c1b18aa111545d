"""Operations of `keras.ops` on samples: those that skip NaN, quantiles, correlations, histograms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    And,
    ArgMax,
    ArgMin,
    Cast,
    Clip,
    CumProd,
    CumSum,
    Div,
    Equal,
    Gather,
    GatherElements,
    GreaterEqual,
    IsNan,
    LessEqual,
    MatMul,
    Mul,
    Not,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Reshape,
    Slice,
    Sqrt,
    Square,
    Sub,
    TopK,
    Transpose,
    Unsqueeze,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.numeric import finite
from mmconvert.parsers.keras.operations import reduced
from mmconvert.parsers.keras.promotion import floating
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")

# --- without NaN ---------------------------------------------------------------------------------------

_NEUTRAL: dict[str, tuple[float, Callable[..., Op]]] = {
    "Nansum": (0.0, ReduceSum),
    "Nanprod": (1.0, ReduceProd),
    "Nanmax": (-math.inf, ReduceMax),
    "Nanmin": (math.inf, ReduceMin),
}


def _replaced(b: Builder, x: Value, number: float) -> Value:
    return b(Where(), b(IsNan(), x), b.constant(number, x.type.dtype), x)


@rule(*(f"ops.{name}" for name in _NEUTRAL))
def reduction(layer: KerasLayer, b: Builder) -> Value:
    """NaN counts as the number that changes nothing; of nothing but NaN the extremes are NaN."""
    x = layer.tensor(0, "x")
    axes, keepdims = reduced(layer, x)
    neutral, cls = _NEUTRAL[layer.kind]
    op = cls(axes=axes, keepdims=keepdims)
    if not dtypes.is_float(x.type.dtype):
        return b(op, x)
    y = b(op, _replaced(b, x, neutral))
    if math.isfinite(neutral):
        return y
    nothing = b(ReduceAll(axes=axes, keepdims=keepdims), b(IsNan(), x))
    return b(Where(), nothing, b.constant(math.nan, x.type.dtype), y)


def _mean(b: Builder, x: Value, axes: tuple[int, ...], *, keepdims: bool) -> Value:
    total = ReduceSum(axes=axes, keepdims=keepdims)
    count = b(total, b(Cast(to=x.type.dtype), b(Not(), b(IsNan(), x))))
    return b(Div(), b(total, _replaced(b, x, 0.0)), count)


@rule("ops.Nanmean", "ops.Nanvar", "ops.Nanstd")
def spread(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    axes, keepdims = reduced(layer, x)
    if layer.kind == "Nanmean":
        return _mean(b, x, axes, keepdims=keepdims)
    squares = b(Square(), b(Sub(), x, _mean(b, x, axes, keepdims=True)))
    variance = _mean(b, squares, axes, keepdims=keepdims)
    return variance if layer.kind == "Nanvar" else b(Sqrt(), variance)


@rule("ops.Nanargmax", "ops.Nanargmin")
def arg_reduction(layer: KerasLayer, b: Builder) -> Value:
    """-1 where there is nothing but NaN."""
    x = floating(b, layer.tensor(0, "x"))
    if layer.setting("axis", None) is None:
        raise layer.refuse("an index into all elements", "give an axis")
    axis, keepdims = layer.axis(x), layer.flag("keepdims", False)
    op: Op = ArgMax(axis=axis, keepdims=keepdims)
    if layer.kind == "Nanargmin":
        op = ArgMin(axis=axis, keepdims=keepdims)
    least = -math.inf if layer.kind == "Nanargmax" else math.inf
    found = b(Cast(to=dtypes.I32), b(op, _replaced(b, x, least)))
    nothing = b(ReduceAll(axes=(axis,), keepdims=keepdims), b(IsNan(), x))
    return b(Where(), nothing, b.constant(-1, dtypes.I32), found)


@rule("ops.Nancumsum", "ops.Nancumprod")
def cumulation(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    layer.ignore("dtype")
    if layer.setting("axis", None) is None:
        raise layer.refuse("cumulation over all elements", "give an axis")
    total = layer.kind == "Nancumsum"
    if dtypes.is_float(x.type.dtype):
        x = finite(b, x, 0.0 if total else 1.0)
    return b((CumSum if total else CumProd)(axis=layer.axis(x)), x)


# --- quantiles -----------------------------------------------------------------------------------------

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@rule("ops.Median", "ops.Quantile", "ops.Percentile")
def quantile(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    axes, keepdims = reduced(layer, x)
    line, count = _line(layer, b, x, axes)
    line = b.multi(TopK(k=count, axis=line.type.rank - 1, largest=False), line)[0]
    shares = _shares(layer)
    if layer.kind == "Quantile" and layer.setting("method", "linear") != "linear":
        raise layer.refuse("a method that Keras does not heed in a model", "use percentile")
    low, high, weight = _places(layer, count, shares)
    axis = line.type.rank - 1
    left, right = (b(Gather(axis=axis), line, places) for places in (low, high))
    y = _between(b, left, right, weight.astype(x.type.dtype))
    odd = b(ReduceAny(axes=(axis,), keepdims=shares.ndim == 1), b(IsNan(), line))
    y = b(Where(), odd, b.constant(math.nan, x.type.dtype), y)
    return _arranged(b, y, x, axes, keepdims=keepdims, vector=shares.ndim == 1)


@rule("ops.Nanmedian", "ops.Nanquantile", "ops.Nanpercentile")
def nan_quantile(layer: KerasLayer, b: Builder) -> Value:
    """How many elements count is only known when they are: the places for every count are in a table."""
    x = floating(b, layer.tensor(0, "x"))
    axes, keepdims = reduced(layer, x)
    line, size = _line(layer, b, x, axes)
    axis = line.type.rank - 1
    counted = b(Cast(to=dtypes.I32), b(Not(), b(IsNan(), line)))
    count = b(ReduceSum(axes=(axis,), keepdims=False), counted)
    ascending = b.multi(TopK(k=size, axis=axis, largest=False), _replaced(b, line, math.inf))[0]
    shares = _shares(layer)
    table = [_places(layer, max(n, 1), np.atleast_1d(shares)) for n in range(size + 1)]
    low, high, weight = (
        b(Gather(axis=0), b.constant(np.stack(column)), count) for column in zip(*table, strict=True)
    )
    left, right = (b(GatherElements(axis=axis), ascending, places) for places in (low, high))
    y = _between(b, left, right, b(Cast(to=x.type.dtype), weight))
    nothing = b(Unsqueeze(axes=(axis,)), b(Equal(), count, 0))
    y = b(Where(), nothing, b.constant(math.nan, x.type.dtype), y)
    if shares.ndim == 0:
        y = b(Reshape(shape=y.type.shape[:-1]), y)
    return _arranged(b, y, x, axes, keepdims=keepdims, vector=shares.ndim == 1)


def _line(layer: KerasLayer, b: Builder, x: Value, axes: tuple[int, ...]) -> tuple[Value, int]:
    """``x`` with ``axes`` joined as the last one, and the extent of that."""
    count = dims.product(tuple(x.type.shape[axis] for axis in axes))
    if not isinstance(count, int) or count < 1:
        raise layer.refuse("over an axis of unknown extent", "build the model with that extent given")
    rest = tuple(axis for axis in range(x.type.rank) if axis not in axes)
    moved = b(Transpose(perm=(*rest, *axes)), x)
    return b(Reshape(shape=(*(x.type.shape[axis] for axis in rest), count)), moved), count


def _shares(layer: KerasLayer) -> Array:
    """The quantiles that are asked for, from 0 to 1, one number or a line of them; Keras rounds them."""
    if layer.kind.endswith(("Median", "median")):
        return np.array(0.5)
    given = layer.argument(1, "q")
    if isinstance(given, Value) or layer.setting("method", "linear") not in _METHODS:
        raise layer.refuse("quantiles that a tensor says, or an unknown method")
    try:
        shares = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise layer.invalid(f"q = {given!r} is not made of numbers") from error
    if shares.ndim > 1:
        raise layer.refuse("quantiles in more than one dimension")
    if "ercentile" in layer.kind:
        shares = shares / np.float32(100)
    return shares.astype(np.float64)


def _places(layer: KerasLayer, count: int, shares: Array) -> tuple[Array, Array, Array]:
    """Of each quantile of ``count`` sorted elements: the element below, the one above, and its weight."""
    exact = (count - 1) * shares
    low, high = (np.clip(f(exact), 0, count - 1).astype(np.int64) for f in (np.floor, np.ceil))
    match layer.setting("method", "linear"):
        case "lower":
            return low, low, np.zeros(shares.shape)
        case "higher":
            return high, high, np.zeros(shares.shape)
        case "nearest":
            nearest = np.clip(np.round(exact), 0, count - 1).astype(np.int64)
            return nearest, nearest, np.zeros(shares.shape)
        case "midpoint":
            return low, high, np.full(shares.shape, 0.5)
    return low, high, exact - low


def _between(b: Builder, left: Value, right: Value, weight: Array | Value) -> Value:
    """Where both are one element, that is it, be it infinite."""
    mixed = b(Add(), left, b(Mul(), b(Sub(), right, left), weight))
    return b(Where(), b(Equal(), left, right), left, mixed)


def _arranged(
    b: Builder, y: Value, x: Value, axes: tuple[int, ...], *, keepdims: bool, vector: bool
) -> Value:
    """The quantiles first, the axes that were joined kept with one element where that is asked for."""
    if vector:
        last = y.type.rank - 1
        y = b(Transpose(perm=(last, *range(last))), y)
    if keepdims:
        y = b(Unsqueeze(axes=tuple(axis + vector for axis in axes)), y)
    return y


# --- others --------------------------------------------------------------------------------------------


@rule("ops.Corrcoef")
def correlation(layer: KerasLayer, b: Builder) -> Value:
    """The rows' products about their means over their norms, bounded by 1."""
    x = floating(b, layer.tensor(0, "x"))
    x.type.require_rank(2)
    centered = b(Sub(), x, b(ReduceMean(axes=(1,), keepdims=True), x))
    norm = b(Sqrt(), b(ReduceSum(axes=(1,), keepdims=True), b(Square(), centered)))
    scaled = b(Div(), centered, norm)
    return b(Clip(low=-1.0, high=1.0), b(MatMul(), scaled, b(Transpose(perm=(1, 0)), scaled)))


@rule("ops.Trapezoid")
def trapezoid(layer: KerasLayer, b: Builder) -> Value:
    y = floating(b, layer.tensor(0, "y"))
    axis, rest = layer.axis(y), y.type.shape[layer.axis(y)] - 1
    steps = layer.array("dx") if layer.setting("x", None) is None else np.diff(layer.array("x"))
    layer.ignore("dx")
    if steps.ndim > 1:
        raise layer.refuse("distances in more than one dimension")
    steps = steps.reshape([-1] + [1] * (y.type.rank - 1 - axis)) if steps.ndim else steps
    before, after = (
        b(Slice(axes=(axis,), starts=(start,), sizes=(rest,), steps=(1,)), y) for start in (0, 1)
    )
    areas = b(Mul(), b(Add(), before, after), (0.5 * steps).astype(y.type.dtype))
    return b(ReduceSum(axes=(axis,), keepdims=False), areas)


@rule("ops.Histogram")
def histogram(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    """Numbers in each bin, those on a border in the upper one, and the borders."""
    x = layer.floats(layer.tensor(0, "x"))
    bins, given = layer.sizes("bins", 1, 10)[0], layer.setting("range", None)
    flat = b(Reshape(shape=(1, dims.product(x.type.shape))), x)
    if given is None:
        low, high = (b(cls(axes=(0, 1), keepdims=False), flat) for cls in (ReduceMin, ReduceMax))
    else:
        low, high = (b.constant(float(bound), x.type.dtype) for bound in layer.array("range"))
    shares = np.linspace(0, 1, bins + 1).astype(x.type.dtype)
    edges = b(Add(), low, b(Mul(), b(Sub(), high, low), shares))
    column = b(Unsqueeze(axes=(1,)), edges)
    reached = b(GreaterEqual(), flat, column)
    inside = b(And(), b(GreaterEqual(), flat, low), b(LessEqual(), flat, high))
    above = b(Cast(to=dtypes.I32), b(And(), reached, inside))
    counts = b(ReduceSum(axes=(1,), keepdims=False), above)
    first, later = (
        b(Slice(axes=(0,), starts=(start,), sizes=(bins,), steps=(1,)), counts) for start in (0, 1)
    )
    last = np.arange(bins) < bins - 1  # what lies on the last border stays in the last bin
    return b(Cast(to=x.type.dtype), b(Sub(), first, b(Mul(), later, last.astype(np.int32)))), edges
