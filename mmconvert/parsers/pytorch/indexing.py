"""PyTorch rules that pick and put elements by position; and padding."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.slicing import normalize_slice
from mmconvert.ir.types import Shape, broadcast
from mmconvert.parsers.pytorch.records import Ref
from mmconvert.parsers.pytorch.source import Source
from mmconvert.parsers.pytorch.views import put
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

Reduction = Literal["none", "add", "mul", "max", "min"]


@rule("aten.embedding.default")
def embedding(n: Source, b: Builder) -> Value:
    n.ignore("padding_idx", "scale_grad_by_freq", "sparse")
    return b(ops.Gather(axis=0), n.value("weight"), n.value("indices"))


@rule("aten.index_select.default")
def index_select(n: Source, b: Builder) -> Value:
    x, index = n.value("self"), n.value("index")
    if not x.type.rank:
        n.ignore("dim")
        return x
    index = index if index.type.rank else b(ops.Reshape(shape=(1,)), index)
    return b(ops.Gather(axis=x.type.axis(n.integer("dim"))), x, index)


@rule("aten.take.default")
def take(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return b(ops.Gather(axis=0), b(ops.Reshape(shape=(x.type.size,)), x), n.value("index"))


@rule("aten.gather.default")
def gather(n: Source, b: Builder) -> Value:
    n.ignore("sparse_grad")
    x, index = n.value("self"), n.value("index")
    if not x.type.rank:
        n.ignore("dim")
        return x if not index.type.rank else b(ops.Expand(shape=index.type.shape), x)
    if not index.type.rank:
        axis = x.type.axis(n.integer("dim"))
        return b(ops.Gather(axis=axis), x, index)
    return b(ops.GatherElements(axis=x.type.axis(n.integer("dim"))), x, index)


@rule("aten.take_along_dim.default")
def take_along_dim(n: Source, b: Builder) -> Value:
    x, index = n.value("self"), n.value("indices")
    if not n.given("dim"):
        flat = [b(ops.Reshape(shape=(v.type.size,)), v) for v in (x, index)]
        return b(ops.GatherElements(axis=0), *flat)
    axis = x.type.axis(n.integer("dim"))
    shape = n.result().shape
    whole = (*shape[:axis], x.type.shape[axis], *shape[axis + 1 :])
    x = x if x.type.shape == whole else b(ops.Expand(shape=whole), x)
    index = index if index.type.shape == shape else b(ops.Expand(shape=shape), index)
    return b(ops.GatherElements(axis=axis), x, index)


# --- indexing with tensors -------------------------------------------------------------------------------


def _indices(n: Source, x: Value) -> list[Value | None]:
    """One index for each axis, masks as the positions where they hold."""
    found: list[Value | None] = []
    for argument in n.raw("indices"):
        index = n.tensor(argument) if isinstance(argument, Ref) else None
        if index is not None and index.type.dtype in (dtypes.BOOL, dtypes.U8):
            found += _positions(n, index)
        else:
            found.append(index)
    if len(found) > x.type.rank:
        raise n.invalid(f"{len(found)} indices for {x.type}")
    return [*found, *[None] * (x.type.rank - len(found))]


def _positions(n: Source, mask: Value) -> list[Value | None]:
    b = n.builder
    where = b(ops.NonZero(count=_length(n, mask)), mask)
    rows = b.multi(ops.Split(axis=0, sizes=(1,) * mask.type.rank), where) if mask.type.rank > 1 else (where,)
    return [b(ops.Squeeze(axes=(0,)), row) for row in rows]


def _length(n: Source, mask: Value) -> Extent:
    """The name that torch has for the number of true elements."""
    for extent in n.result().shape if n.node.outputs and "index_put" not in n.kind else ():
        if isinstance(extent, Dim) and extent.name is not None and extent.name.startswith("u"):
            return extent
    return n.context.library.symbols.fresh(f"{n.node.name}_count")


@rule("aten.index.Tensor", "aten._unsafe_index.Tensor")
def index(n: Source, b: Builder) -> Value:
    x = n.value("self")
    given = _indices(n, x)
    axes = [axis for axis, i in enumerate(given) if i is not None]
    if not axes:
        return x
    if len(axes) == 1:
        found = given[axes[0]]
        assert found is not None
        return b(ops.Gather(axis=axes[0]), x, found)
    tuples, rank = _tuples(b, given, x)
    others = [a for a in range(x.type.rank) if a not in axes]
    x = b(ops.Transpose(perm=(*axes, *others)), x) if axes != list(range(len(axes))) else x
    y = b(ops.GatherND(), x, tuples)
    if axes[-1] - axes[0] != len(axes) - 1 or axes[0] == 0:
        return y  # what was picked stands in front
    front = axes[0]
    perm = (*range(rank, rank + front), *range(rank), *range(rank + front, y.type.rank))
    return b(ops.Transpose(perm=perm), y)


def _tuples(b: Builder, given: list[Value | None], x: Value) -> tuple[Value, int]:
    """The indices of several axes, broadcast, as tuples along a last axis; and their own rank."""
    found = [i for i in given if i is not None]
    shape = broadcast(*(i.type for i in found))
    parts = []
    for i in found:
        i = i if i.type.dtype == dtypes.I64 else b(ops.Cast(to=dtypes.I64), i)
        i = i if i.type.shape == shape else b(ops.Expand(shape=shape), i)
        parts.append(b(ops.Unsqueeze(axes=(len(shape),)), i))
    return (b(ops.Concat(axis=len(shape)), *parts) if len(parts) > 1 else parts[0]), len(shape)


@rule("aten.index_put.default", "aten._unsafe_index_put.default")
def index_put(n: Source, b: Builder) -> Value:
    x, values, add = n.value("self"), n.value("values"), n.flag("accumulate")
    raw = n.raw("indices")
    if len(raw) == 1 and isinstance(raw[0], Ref) and values.type.size == 1 and not add:
        mask = n.tensor(raw[0])
        if mask.type.dtype == dtypes.BOOL:
            shape = (*mask.type.shape, *[1] * (x.type.rank - mask.type.rank))
            single = b(ops.Reshape(shape=()), values) if values.type.rank else values
            return b(ops.Where(), b(ops.Reshape(shape=shape), mask), single, x)
    given = _indices(n, x)
    axes = [axis for axis, i in enumerate(given) if i is not None]
    others = [a for a in range(x.type.rank) if a not in axes]
    perm = (*axes, *others)
    tuples, rank = _tuples(b, given, x)
    turned = b(ops.Transpose(perm=perm), x)
    picked = tuples.type.shape[:-1]
    contiguous = axes[-1] - axes[0] == len(axes) - 1
    front = axes[0] if contiguous else 0
    rest = tuple(x.type.shape[a] for a in others)
    shape = (*rest[:front], *picked, *rest[front:])
    updates = values if values.type.shape == shape else b(ops.Expand(shape=shape), values)
    if front:
        order = (*range(front, front + rank), *range(front), *range(front + rank, len(shape)))
        updates = b(ops.Transpose(perm=order), updates)
    y = b(ops.ScatterND(reduction="add" if add else "none"), turned, tuples, updates)
    return b(ops.Transpose(perm=tuple(int(p) for p in np.argsort(perm))), y)


@rule("aten.masked_select.default")
def masked_select(n: Source, b: Builder) -> Value:
    x, mask = n.value("self"), n.value("mask")
    shape = broadcast(x.type, mask.type)
    x, mask = (v if v.type.shape == shape else b(ops.Expand(shape=shape), v) for v in (x, mask))
    (count,) = n.result().shape
    size = dims.product(shape)
    places = b(ops.NonZero(count=count), b(ops.Reshape(shape=(size,)), mask))
    return b(ops.Gather(axis=0), b(ops.Reshape(shape=(size,)), x), b(ops.Squeeze(axes=(0,)), places))


@rule("aten.masked_scatter.default")
def masked_scatter(n: Source, b: Builder) -> Value:
    """The n-th place where the mask holds takes the n-th element of the source."""
    x, mask, source = n.value("self"), n.value("mask"), n.value("source")
    shape = broadcast(x.type, mask.type)
    x, mask = (v if v.type.shape == shape else b(ops.Expand(shape=shape), v) for v in (x, mask))
    flat = b(ops.Reshape(shape=(dims.product(shape),)), b(ops.Cast(to=dtypes.I64), mask))
    number = b(ops.Sub(), b(ops.CumSum(axis=0), flat), 1)
    number = b(ops.Max(), number, 0)
    taken = b(ops.Gather(axis=0), b(ops.Reshape(shape=(source.type.size,)), source), number)
    return b(ops.Where(), mask, b(ops.Reshape(shape=shape), taken), x)


@rule("aten.nonzero.default", "aten.argwhere.default")
def nonzero(n: Source, b: Builder) -> Value:
    x = n.value("self")
    count = n.result().shape[0]
    if not x.type.rank:
        places = b(ops.NonZero(count=count), b(ops.Reshape(shape=(1,)), x))
        empty = ops.Slice(axes=(1,), starts=(0,), sizes=(0,), steps=(1,))
        return b(empty, b(ops.Transpose(perm=(1, 0)), places))
    return b(ops.Transpose(perm=(1, 0)), b(ops.NonZero(count=count), x))


# --- putting ---------------------------------------------------------------------------------------------

_REDUCTIONS: dict[str, Reduction] = {
    "add": "add",
    "sum": "add",
    "multiply": "mul",
    "prod": "mul",
    "amax": "max",
    "amin": "min",
}


@rule(
    "aten.scatter.src",
    "aten.scatter.value",
    "aten.scatter.reduce",
    "aten.scatter.value_reduce",
    "aten.scatter_add.default",
    "aten.scatter_reduce.two",
)
def scatter(n: Source, b: Builder) -> Value:
    x, index = n.value("self"), n.value("index")
    reduction: Reduction = "add" if "scatter_add" in n.kind else "none"
    averages = False
    if n.given("reduce"):
        name = n.text("reduce")
        averages, name = name == "mean", "sum" if name == "mean" else name
        if name not in _REDUCTIONS:
            raise n.unsupported(f"reduce={name!r}")
        reduction = _REDUCTIONS[name]
    whole = x
    x, index = _lined(b, x), _lined(b, index)
    axis = n.integer("dim")
    if n.given("value"):
        updates = n.scalar(n.number("value"), x.type.dtype)
        updates = b(ops.Expand(shape=index.type.shape), updates)
    else:
        updates = n.value("src")
        if updates.type.shape != index.type.shape:  # it may be larger, and only its front counts
            axes = tuple(range(updates.type.rank))
            cut = ops.Slice(
                axes=axes, starts=(0,) * len(axes), sizes=index.type.shape, steps=(1,) * len(axes)
            )
            updates = b(cut, updates)
    axis = x.type.axis(axis)
    if not n.flag("include_self", default=True):
        x = _forgotten(n, b, x, (index, updates), axis, reduction)
    y = b(ops.ScatterElements(axis=axis, reduction=reduction), x, index, updates)
    if averages:
        y = b(ops.Div(), y, _shares(n, b, x, index, axis))
    return y if whole.type.rank else b(ops.Reshape(shape=()), y)


def _lined(b: Builder, x: Value) -> Value:
    """``x`` with an axis at least."""
    return x if x.type.rank else b(ops.Reshape(shape=(1,)), x)


def _forgotten(
    n: Source, b: Builder, x: Value, pair: tuple[Value, Value], axis: int, reduction: Reduction
) -> Value:
    """``x`` with a neutral element wherever something will be put."""
    floating = dtypes.is_float(x.type.dtype)
    limits = None if floating else np.iinfo(x.type.dtype)
    low, high = (-math.inf, math.inf) if limits is None else (limits.min, limits.max)
    neutral = {"none": 0, "add": 0, "mul": 1, "max": low, "min": high}[reduction]
    blank = b(ops.Expand(shape=pair[0].type.shape), n.scalar(neutral, x.type.dtype))
    return b(ops.ScatterElements(axis=axis), x, pair[0], blank)


def _shares(n: Source, b: Builder, x: Value, index: Value, axis: int) -> Value:
    """How many numbers came together at each place, those that were there before among them."""
    one = n.scalar(1, x.type.dtype)
    ones = b(ops.Expand(shape=index.type.shape), one)
    start = b(
        ops.Expand(shape=x.type.shape), n.scalar(int(n.flag("include_self", default=True)), x.type.dtype)
    )
    counts = b(ops.ScatterElements(axis=axis, reduction="add"), start, index, ones)
    return b(ops.Max(), counts, one)


@rule(
    "aten.index_add.default",
    "aten.index_copy.default",
    "aten.index_reduce.default",
    "aten.index_fill.int_Scalar",
    "aten.index_fill.int_Tensor",
)
def index_write(n: Source, b: Builder) -> Value:
    whole = n.value("self")
    x, index = _lined(b, whole), _lined(b, n.value("index"))
    axis = x.type.axis(n.integer("dim"))
    shape = (*x.type.shape[:axis], index.type.shape[0], *x.type.shape[axis + 1 :])
    reduction: Reduction = "none"
    if "index_fill" in n.kind:
        value = n.cast(n.value("value"), x.type.dtype) if n.is_tensor("value") else None
        updates = n.scalar(n.number("value"), x.type.dtype) if value is None else value
    else:
        updates = n.value("source")
    if "index_add" in n.kind:
        reduction, alpha = "add", n.number("alpha", 1)
        updates = updates if alpha == 1 else b(ops.Mul(), updates, n.scalar(alpha, updates.type.dtype))
    updates = updates if updates.type.shape == shape else b(ops.Expand(shape=shape), updates)
    tall = b(ops.Reshape(shape=(index.type.shape[0], *[1] * (x.type.rank - 1 - axis))), index)
    wide = b(ops.Expand(shape=shape), tall)
    averages = False
    if n.given("reduce"):
        name = n.text("reduce")
        averages, name = name == "mean", "sum" if name == "mean" else name
        reduction = _REDUCTIONS[name]
        if not n.flag("include_self", default=True):
            x = _forgotten(n, b, x, (wide, updates), axis, reduction)
    y = b(ops.ScatterElements(axis=axis, reduction=reduction), x, wide, updates)
    if averages:
        y = b(ops.Div(), y, _shares(n, b, x, wide, axis))
    return y if whole.type.rank else b(ops.Reshape(shape=()), y)


@rule("aten.put.default")
def put_flat(n: Source, b: Builder) -> Value:
    x, index = n.value("self"), n.value("index")
    count = index.type.size
    flat, places, updates = (b(ops.Reshape(shape=(v.type.size,)), v) for v in (x, index, n.value("source")))
    updates = updates if updates.type.shape == (count,) else b(ops.Expand(shape=(count,)), updates)
    reduction: Reduction = "add" if n.flag("accumulate") else "none"
    made = b(ops.ScatterElements(axis=0, reduction=reduction), flat, places, updates)
    return b(ops.Reshape(shape=x.type.shape), made)


@rule("aten.as_strided.default", "aten.as_strided_copy.default")
def as_strided(n: Source, b: Builder) -> Value:
    """Elements by their places in the memory of a tensor that lies there in row-major order."""
    x, shape = n.value("self"), n.integers("size")
    strides, start = n.integers("stride"), n.integer("storage_offset", 0)
    meta = n.context.record.metas.get(n.raw("self").name)
    if meta is None or not meta.is_contiguous or not x.type.is_static:
        raise n.unsupported("over memory that is not in row-major order")
    places = np.full(shape, start, np.int64)
    for axis, (extent, stride) in enumerate(zip(shape, strides, strict=True)):
        places += np.arange(extent).reshape(-1, *[1] * (len(shape) - 1 - axis)) * stride
    return b(ops.Gather(axis=0), b(ops.Reshape(shape=(x.type.size,)), x), places)


@rule("aten.select_scatter.default", "aten.slice_scatter.default")
def scatter_slice(n: Source, b: Builder) -> Value:
    x, new = n.value("self"), n.value("src")
    axis = x.type.axis(n.integer("dim", 0))
    extent = x.type.shape[axis]
    start: Extent
    size: Extent
    if "select" in n.kind:
        start, size, step = n.extent("index"), 1, 1
        start = start + extent if isinstance(start, int) and start < 0 else start
        new = b(ops.Unsqueeze(axes=(axis,)), new)
    else:
        bounds = [n.extent(name) if n.given(name) else None for name in ("start", "end")]
        step = n.integer("step", 1)
        start, size = normalize_slice(extent, bounds[0], bounds[1], step)
    cut = ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(step,))
    made = put(b, x, [(cut, x.type, 0)], new)
    if made is None:
        raise n.unsupported("over unknown extents")
    return made


@rule("aten.tril.default", "aten.triu.default")
def triangle(n: Source, b: Builder) -> Value:
    return b(ops.Trilu(k=n.integer("diagonal", 0), upper="triu" in n.kind), n.value("self"))


@rule("aten.tril_indices.default", "aten.triu_indices.default")
def triangle_indices(n: Source, b: Builder) -> Value:
    rows, columns, offset = n.integer("row"), n.integer("col"), n.integer("offset", 0)
    n.ignore("dtype")
    found = (np.tril_indices if "tril" in n.kind else np.triu_indices)(rows, offset, columns)
    return b.constant(np.stack(found), n.result().dtype)


@rule("aten.one_hot.default")
def one_hot(n: Source, b: Builder) -> Value:
    n.ignore("num_classes")
    x, depth = n.value("self"), n.result().shape[-1]
    off, on = (b.constant(v, dtypes.I64) for v in (0, 1))
    return b(ops.OneHot(depth=depth, axis=x.type.rank), x, off, on)


@rule("aten.bucketize.Tensor", "aten.searchsorted.Tensor")
def bucketize(n: Source, b: Builder) -> Value:
    """How many boundaries lie below."""
    n.ignore("out_int32", "sorter")
    right = n.flag("right") or n.text("side", "left") == "right"
    searched = "searchsorted" in n.kind
    x, edges = n.value("self"), n.value("sorted_sequence" if searched else "boundaries")
    wide = b(ops.Unsqueeze(axes=(x.type.rank,)), x)
    if edges.type.rank > 1:
        edges = b(ops.Unsqueeze(axes=(edges.type.rank - 1,)), edges)
    edges = n.cast(edges, x.type.dtype)
    below = b(ops.LessEqual() if right else ops.Less(), edges, wide)
    count = b(ops.Cast(to=n.result().dtype), below)
    return b(ops.ReduceSum(axes=(x.type.rank,), keepdims=False), count)


# --- padding ---------------------------------------------------------------------------------------------

_Mode = Literal["constant", "reflect", "edge", "wrap"]
_MODES: dict[str, _Mode] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


@rule("aten.constant_pad_nd.default")
def constant_pad(n: Source, b: Builder) -> Value:
    return _pad(n, b, n.extents("pad"), "constant", n.number("value", 0))


@rule("aten.pad.default")
def pad(n: Source, b: Builder) -> Value:
    mode = _MODES[n.text("mode", "constant")]
    return _pad(n, b, n.extents("pad"), mode, n.number("value", 0))


@rule(*(f"aten.{kind}_pad{count}d.default" for kind in ("reflection", "replication") for count in (1, 2, 3)))
def edge_pad(n: Source, b: Builder) -> Value:
    return _pad(n, b, n.extents("padding"), "reflect" if "reflection" in n.kind else "edge", 0)


def _pad(n: Source, b: Builder, flat: Shape, mode: _Mode, value: float) -> Value:
    """torch counts pads from the last axis."""
    x = n.value("self")
    pads: list[tuple[Extent, Extent]] = [(0, 0)] * x.type.rank
    for i in range(len(flat) // 2):
        pads[x.type.rank - 1 - i] = flat[2 * i], flat[2 * i + 1]
    if all(pair == (0, 0) for pair in pads):
        return x
    return b(ops.Pad(pads=tuple(pads), mode=mode, value=float(value)), x)
