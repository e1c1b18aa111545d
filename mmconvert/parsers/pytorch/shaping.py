"""PyTorch rules that move, cut and join, without looking at the numbers."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.slicing import normalize_slice
from mmconvert.ir.types import Layout
from mmconvert.parsers.pytorch.promotion import common
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule(
    "aten.view.default",
    "aten._unsafe_view.default",
    "aten.reshape.default",
    "aten._reshape_alias.default",
    "aten.view_copy.default",
    "aten.flatten.using_ints",
    "aten.unflatten.int",
    "aten.ravel.default",
    "aten.reshape_as.default",
    "aten.view_as.default",
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    "aten.squeeze_copy.dim",
    "aten.unsqueeze.default",
    "aten.unsqueeze_copy.default",
    "aten.atleast_1d.default",
    "aten.atleast_2d.default",
    "aten.atleast_3d.default",
)
def reshape(n: Source, b: Builder) -> Value:
    """torch noted the shape that it comes to."""
    n.ignore("size", "shape", "stride", "start_dim", "end_dim", "dim", "sizes", "other")
    x, shape = n.value("self"), n.result().shape
    return x if shape == x.type.shape else b(ops.Reshape(shape=shape), x)


@rule("aten.view.dtype")
def view_dtype(n: Source, b: Builder) -> Value:
    x, dtype = n.value("self"), n.element()
    if dtype is None or dtype.itemsize != x.type.dtype.itemsize:
        raise n.unsupported("the bits read as an element type of another width")
    return b(ops.BitCast(source=dtypes.name(x.type.dtype), to=dtypes.name(dtype)), x)


@rule(
    "aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default", "aten.expand_copy.default"
)
def expand(n: Source, b: Builder) -> Value:
    n.ignore("size", "other", "implicit")
    x, shape = n.value("self"), n.result().shape
    return x if shape == x.type.shape else b(ops.Expand(shape=shape), x)


@rule("aten.broadcast_tensors.default", "aten.meshgrid.default", "aten.meshgrid.indexing")
def broadcast_tensors(n: Source, b: Builder) -> list[Value]:
    values = n.values("tensors")
    if "meshgrid" not in n.kind:
        return [b(ops.Expand(shape=n.result(i).shape), x) for i, x in enumerate(values)]
    swapped = n.text("indexing", "ij") == "xy" and len(values) > 1
    found = []
    for i, x in enumerate(values):
        place = 1 - i if swapped and i < 2 else i
        shape = tuple(x.type.size if a == place else 1 for a in range(len(values)))
        found.append(b(ops.Expand(shape=n.result(i).shape), b(ops.Reshape(shape=shape), x)))
    return found


# --- the order of axes -----------------------------------------------------------------------------------


def _permuted(b: Builder, x: Value, perm: tuple[int, ...]) -> Value:
    return x if perm == tuple(range(len(perm))) else b(ops.Transpose(perm=perm), x)


@rule("aten.permute.default", "aten.permute_copy.default")
def permute(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return _permuted(b, x, x.type.axes(n.integers("dims")))


@rule(
    "aten.transpose.int",
    "aten.transpose_copy.int",
    "aten.swapaxes.default",
    "aten.swapdims.default",
)
def transpose(n: Source, b: Builder) -> Value:
    x = n.value("self")
    names = ("axis0", "axis1") if "swapaxes" in n.kind else ("dim0", "dim1")
    first, second = (n.integer(name) for name in names)
    return _swapped(b, x, x.type.axis(first), x.type.axis(second)) if x.type.rank else x


def _swapped(b: Builder, x: Value, first: int, second: int) -> Value:
    perm = list(range(x.type.rank))
    perm[first], perm[second] = second, first
    return _permuted(b, x, tuple(perm))


@rule(
    "aten.t.default", "aten.t_copy.default", "aten.mT.default", "aten.adjoint.default", "aten.numpy_T.default"
)
def turned(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if "numpy_T" in n.kind:
        return _permuted(b, x, tuple(reversed(range(x.type.rank))))
    return _swapped(b, x, x.type.rank - 2, x.type.rank - 1) if x.type.rank > 1 else x


@rule("aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int", "aten.moveaxis.intlist")
def movedim(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if not x.type.rank:
        n.ignore("source", "destination")
        return x
    source, target = x.type.axes(n.integers("source")), x.type.axes(n.integers("destination"))
    placed = dict(zip(target, source, strict=True))
    others = iter(a for a in range(x.type.rank) if a not in source)
    return _permuted(b, x, tuple(placed[a] if a in placed else next(others) for a in range(x.type.rank)))


# --- joining ---------------------------------------------------------------------------------------------


@rule("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def cat(n: Source, b: Builder) -> Value:
    values = [x for x in n.values("tensors") if x.type.shape != (0,) or n.result().rank == 1]
    dtype = n.result().dtype
    axis = n.result().axis(n.integer("dim", 0))
    values = [n.cast(x, dtype) for x in values]
    return b(ops.Concat(axis=axis), *values) if len(values) != 1 else values[0]


@rule("aten.stack.default")
def stack(n: Source, b: Builder) -> Value:
    values, axis = n.values("tensors"), n.result().axis(n.integer("dim", 0))
    dtype = n.result().dtype
    made = [b(ops.Unsqueeze(axes=(axis,)), n.cast(x, dtype)) for x in values]
    return b(ops.Concat(axis=axis), *made) if len(made) > 1 else made[0]


@rule("aten.hstack.default", "aten.vstack.default", "aten.dstack.default", "aten.column_stack.default")
def stacked(n: Source, b: Builder) -> Value:
    values, base = n.values("tensors"), n.kind.split(".")[1]
    dtype = common(values)
    made = []
    for x in values:
        shape = x.type.shape
        match base:
            case "hstack":
                shape = shape or (1,)
            case "vstack":
                shape = shape if len(shape) > 1 else (1, *(shape or (1,)))
            case "dstack":
                shape = (
                    shape if len(shape) > 2 else (*(shape if len(shape) > 1 else (1, *(shape or (1,)))), 1)
                )
            case _:
                shape = shape if len(shape) > 1 else (*(shape or (1,)), 1)
        x = n.cast(x, dtype)
        made.append(x if shape == x.type.shape else b(ops.Reshape(shape=shape), x))
    axis = {"hstack": min(1, made[0].type.rank - 1), "vstack": 0, "dstack": 2}.get(base, 1)
    return b(ops.Concat(axis=axis), *made)


# --- cutting ---------------------------------------------------------------------------------------------


def _parts(n: Source, b: Builder, axis: int) -> list[Value]:
    """The parts of the sizes that torch noted."""
    x = n.value("self")
    (outputs,) = n.node.outputs
    sizes = tuple(n.result(i).shape[axis] for i in range(len(outputs)))
    return list(b.multi(ops.Split(axis=axis, sizes=sizes), x)) if len(sizes) > 1 else [x]


@rule(
    "aten.split.Tensor",
    "aten.split.sizes",
    "aten.split_with_sizes.default",
    "aten.split_with_sizes_copy.default",
    "aten.split_copy.Tensor",
    "aten.chunk.default",
    "aten.unsafe_chunk.default",
    "aten.unsafe_split.Tensor",
    "aten.tensor_split.sections",
    "aten.tensor_split.indices",
)
def split(n: Source, b: Builder) -> list[Value]:
    n.ignore("split_size", "split_sizes", "chunks", "sections", "indices")
    return _parts(n, b, n.value("self").type.axis(n.integer("dim", 0)))


@rule(
    "aten.hsplit.int",
    "aten.hsplit.array",
    "aten.vsplit.int",
    "aten.vsplit.array",
    "aten.dsplit.int",
    "aten.dsplit.array",
)
def split_named(n: Source, b: Builder) -> list[Value]:
    n.ignore("sections", "indices")
    rank = n.value("self").type.rank
    return _parts(n, b, {"h": min(1, rank - 1), "v": 0, "d": 2}[n.kind[5]])


@rule("aten.unbind.int", "aten.unbind_copy.int")
def unbind(n: Source, b: Builder) -> list[Value]:
    x = n.value("self")
    axis, (outputs,) = x.type.axis(n.integer("dim", 0)), n.node.outputs
    count = len(outputs)
    parts = b.multi(ops.Split(axis=axis, sizes=(1,) * count), x) if count > 1 else (x,)
    return [b(ops.Squeeze(axes=(axis,)), part) for part in parts] if count else []


@rule("aten.select.int", "aten.select_copy.int")
def select(n: Source, b: Builder) -> Value:
    x = n.value("self")
    axis, index = x.type.axis(n.integer("dim")), n.extent("index")
    if isinstance(index, int) and index < 0:
        index = index + x.type.shape[axis]
    part = b(ops.Slice(axes=(axis,), starts=(index,), sizes=(1,), steps=(1,)), x)
    return b(ops.Squeeze(axes=(axis,)), part)


@rule("aten.slice.Tensor", "aten.slice_copy.Tensor")
def slice_(n: Source, b: Builder) -> Value:
    x = n.value("self")
    axis, step = x.type.axis(n.integer("dim", 0)), n.integer("step", 1)
    start = n.extent("start") if n.given("start") else None
    end = n.extent("end") if n.given("end") else None
    extent = x.type.shape[axis]
    first, size = normalize_slice(extent, start, end, step)
    noted = n.result().shape[axis]
    if not isinstance(size, int) or isinstance(noted, int):
        size = noted
    if first == 0 and step == 1 and size == extent:
        return x
    return b(ops.Slice(axes=(axis,), starts=(first,), sizes=(size,), steps=(step,)), x)


@rule("aten.narrow.default", "aten.narrow_copy.default")
def narrow(n: Source, b: Builder) -> Value:
    x = n.value("self")
    axis, start = x.type.axis(n.integer("dim")), n.extent("start")
    if isinstance(start, int) and start < 0:
        start = start + x.type.shape[axis]
    return b(ops.Slice(axes=(axis,), starts=(start,), sizes=(n.extent("length"),), steps=(1,)), x)


@rule("aten.unfold.default", "aten.unfold_copy.default")
def unfold(n: Source, b: Builder) -> Value:
    """Windows along an axis, which become a last one."""
    x = n.value("self")
    if not x.type.rank:
        n.ignore("dimension", "size", "step")
        return b(ops.Reshape(shape=n.result().shape), x)
    axis, size, step = x.type.axis(n.integer("dimension")), n.integer("size"), n.integer("step")
    count = n.result().shape[axis]
    if not isinstance(count, int):
        raise n.unsupported("windows along an axis of unknown extent")
    places = np.arange(count)[:, None] * step + np.arange(size)
    y = b(ops.Gather(axis=axis), x, places.astype(np.int64))
    perm = (*(a for a in range(y.type.rank) if a != axis + 1), axis + 1)
    return _permuted(b, y, perm)


@rule("aten.diagonal.default", "aten.diagonal_copy.default", "aten.linalg_diagonal.default")
def diagonal(n: Source, b: Builder) -> Value:
    x = n.value("A" if "linalg" in n.kind else "self")
    last = (-2, -1) if "linalg" in n.kind else (0, 1)
    first, second = x.type.axis(n.integer("dim1", last[0])), x.type.axis(n.integer("dim2", last[1]))
    offset = n.integer("offset", 0)
    rest = tuple(a for a in range(x.type.rank) if a not in (first, second))
    rows, columns = (_integer(n, x.type.shape[a]) for a in (first, second))
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    x = b(ops.Transpose(perm=(*rest, first, second)), x)
    flat = b(ops.Reshape(shape=(*x.type.shape[:-2], rows * columns)), x)
    start = offset if offset >= 0 else -offset * columns
    cut = ops.Slice(axes=(len(rest),), starts=(start if count else 0,), sizes=(count,), steps=(columns + 1,))
    return b(cut, flat)


def _integer(n: Source, extent: Extent) -> int:
    if not isinstance(extent, int):
        raise n.unsupported("of a matrix of unknown extents")
    return extent


@rule("aten.diag_embed.default")
def diag_embed(n: Source, b: Builder) -> Value:
    x, type = n.value("self"), n.result()
    offset = n.integer("offset", 0)
    first, second = type.axis(n.integer("dim1", -2)), type.axis(n.integer("dim2", -1))
    size = _integer(n, type.shape[first])
    count = _integer(n, x.type.shape[-1])
    above, left = max(-offset, 0), max(offset, 0)
    pads = (*[(0, 0)] * (x.type.rank - 1), (left, size - count - left))
    row = b(ops.Unsqueeze(axes=(x.type.rank - 1,)), b(ops.Pad(pads=pads), x))
    mask = np.eye(size, size, offset, dtype=bool)
    if above:  # each row of the result has the element that stands as far down as it is long
        pads = (*[(0, 0)] * (x.type.rank - 1), (0, size - count))
        row = b(ops.Unsqueeze(axes=(x.type.rank - 1,)), b(ops.Pad(pads=pads), x))
    full = b(ops.Where(), mask, row, np.zeros((), x.type.dtype))
    order = [a for a in range(type.rank) if a not in (first, second)]
    made = (*order, first, second)
    return _permuted(b, full, tuple(made.index(a) for a in range(type.rank)))


# --- repeating and turning -------------------------------------------------------------------------------


@rule("aten.repeat.default", "aten.tile.default")
def repeat(n: Source, b: Builder) -> Value:
    x = n.value("self")
    repeats = n.extents("repeats" if "repeat" in n.kind else "dims")
    rank = max(x.type.rank, len(repeats))
    repeats = (*(1,) * (rank - len(repeats)), *repeats)
    if x.type.rank < rank:
        x = b(ops.Reshape(shape=(*(1,) * (rank - x.type.rank), *x.type.shape)), x)
    return x if all(r == 1 for r in repeats) else b(ops.Tile(repeats=repeats), x)


@rule("aten.repeat_interleave.self_int")
def repeat_interleave(n: Source, b: Builder) -> Value:
    x, count = n.value("self"), n.extent("repeats")
    n.ignore("output_size")
    if n.given("dim"):
        axis = x.type.axis(n.integer("dim"))
    else:
        x, axis = b(ops.Reshape(shape=(x.type.size,)), x), 0
    wide = b(ops.Unsqueeze(axes=(axis + 1,)), x)
    shape = (*x.type.shape[: axis + 1], count, *x.type.shape[axis + 1 :])
    whole = (*x.type.shape[:axis], x.type.shape[axis] * count, *x.type.shape[axis + 1 :])
    return b(ops.Reshape(shape=whole), b(ops.Expand(shape=shape), wide))


@rule("aten.flip.default", "aten.fliplr.default", "aten.flipud.default")
def flip(n: Source, b: Builder) -> Value:
    x = n.value("self")
    axes = (1,) if "fliplr" in n.kind else (0,) if "flipud" in n.kind else n.integers("dims", ())
    return b(ops.Reverse(axes=x.type.axes(axes)), x) if axes and x.type.rank else x


@rule("aten.roll.default")
def roll(n: Source, b: Builder) -> Value:
    x, shifts, axes = n.value("self"), n.extents("shifts"), n.integers("dims", ())
    if not x.type.rank:
        return x
    if not axes:
        flat = b(ops.Reshape(shape=(x.type.size,)), x)
        return b(ops.Reshape(shape=x.type.shape), _rolled(b, flat, 0, shifts[0]))
    for axis, shift in zip(axes, shifts, strict=True):
        x = _rolled(b, x, x.type.axis(axis), shift)
    return x


def _rolled(b: Builder, x: Value, axis: int, shift: Extent) -> Value:
    extent = x.type.shape[axis]
    if isinstance(extent, int) and isinstance(shift, int):
        shift = shift % extent if extent else 0
    elif isinstance(shift, int) and shift < 0:
        shift = extent + shift
    if shift == 0:
        return x
    cut = extent - shift
    parts = [
        b(ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(1,)), x)
        for start, size in ((cut, shift), (0, cut))
    ]
    return b(ops.Concat(axis=axis), *parts)


@rule("aten.rot90.default")
def rot90(n: Source, b: Builder) -> Value:
    x, turns = n.value("self"), n.integer("k", 1) % 4
    first, second = x.type.axes(n.integers("dims", (0, 1)))
    if turns == 2:
        return b(ops.Reverse(axes=(first, second)), x)
    if turns == 0:
        return x
    if turns == 1:
        return _swapped(b, b(ops.Reverse(axes=(second,)), x), first, second)
    return _swapped(b, b(ops.Reverse(axes=(first,)), x), first, second)


# --- depth and space -------------------------------------------------------------------------------------


@rule("aten.pixel_shuffle.default")
def pixel_shuffle(n: Source, b: Builder) -> Value:
    x, factor = n.value("self"), n.integer("upscale_factor")
    if x.type.rank == 4:
        return b(ops.DepthToSpace(block=factor, mode="CRD", layout=Layout.NCHW), x)
    *outer, channels, height, width = x.type.shape
    parts = (*outer, dims.floordiv(channels, factor * factor), factor, factor, height, width)
    wide, k = b(ops.Reshape(shape=parts), x), len(outer)
    moved = b(ops.Transpose(perm=(*range(k + 1), k + 3, k + 1, k + 4, k + 2)), wide)
    return b(ops.Reshape(shape=n.result().shape), moved)


@rule("aten.pixel_unshuffle.default")
def pixel_unshuffle(n: Source, b: Builder) -> Value:
    x, factor = n.value("self"), n.integer("downscale_factor")
    *outer, channels, height, width = x.type.shape
    parts = (*outer, channels, dims.floordiv(height, factor), factor, dims.floordiv(width, factor), factor)
    wide, k = b(ops.Reshape(shape=parts), x), len(outer)
    moved = b(ops.Transpose(perm=(*range(k + 1), k + 2, k + 4, k + 1, k + 3)), wide)
    return b(ops.Reshape(shape=n.result().shape), moved)


@rule("aten.channel_shuffle.default", "aten.native_channel_shuffle.default")
def channel_shuffle(n: Source, b: Builder) -> Value:
    x, groups = n.value("self"), n.integer("groups")
    batch, channels, *rest = x.type.shape
    wide = b(ops.Reshape(shape=(batch, groups, dims.floordiv(channels, groups), *rest)), x)
    return b(ops.Reshape(shape=x.type.shape), _swapped(b, wide, 1, 2))
