"""TFLite rules that pick and put elements by position; and padding."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.slicing import normalize_slice
from mmconvert.ir.types import Shape
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("SLICE")
def slice_(n: Source, b: Builder) -> Value:
    x, starts = n.stored(0), n.extents(1, "starts")
    sizes = n.extents(2, "sizes") if n.follows(2) else _what_is_left(n, b, x)
    if not len(starts) == len(sizes) == x.type.rank:
        raise n.invalid(f"{len(starts)} starts and {len(sizes)} sizes for {x.type}")
    found = tuple(
        extent - start if size == -1 else size
        for extent, start, size in zip(x.type.shape, starts, sizes, strict=True)
    )
    op = ops.Slice(axes=tuple(range(x.type.rank)), starts=starts, sizes=found, steps=(1,) * x.type.rank)
    return b(op, x)


def _what_is_left(n: Source, b: Builder, x: Value) -> Shape:
    """The sizes, where only the run tells which of them are -1 for everything behind the start."""
    start, size = (convert(b, n.stored(i), dtypes.I64) for i in (1, 2))
    rest = b(ops.Sub(), b(ops.Shape(), x), start)
    return n.read(b(ops.Where(), b(ops.Less(), size, np.array(0, np.int64)), rest, size), "sizes")


@rule("STRIDED_SLICE")
def strided_slice(n: Source, b: Builder) -> Value:
    """Python's indexing: one entry for each bound, among them "all axes between" and "a new axis"."""
    x = n.stored(0)
    starts, ends = n.extents(1, "starts"), n.extents(2, "ends")
    steps = n.integers_of(3, "steps")
    names = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    begin, end, ellipsis, added, shrunk = (n.integer(f"{name}_mask") for name in names)
    offset = n.flag("offset")
    if not len(starts) == len(ends) == len(steps):
        raise n.invalid("starts, ends and steps are not equally many")
    taken = sum(1 for i in range(len(steps)) if not (ellipsis | added) >> i & 1)
    axis = place = 0
    cuts: dict[int, tuple[Extent, Extent, int]] = {}
    dropped: list[int] = []
    made: list[int] = []
    for i, (start, stop, step) in enumerate(zip(starts, ends, steps, strict=True)):
        bit = 1 << i
        if ellipsis & bit:
            axis, place = axis + x.type.rank - taken, place + x.type.rank - taken
            continue
        place += not shrunk & bit
        if added & bit:
            made.append(place - 1)
            continue
        extent = x.type.shape[x.type.axis(axis)]
        if shrunk & bit:
            dropped.append(axis)
            cuts[axis] = (_position(n, extent, start), 1, 1)
        else:
            last = start + stop if offset else stop
            ends_ = None if begin & bit else start, None if end & bit else last
            cuts[axis] = (*normalize_slice(extent, *ends_, step), step)
        axis += 1
    return _cut(b, x, cuts, tuple(dropped), tuple(made))


def _cut(
    b: Builder,
    x: Value,
    cuts: dict[int, tuple[Extent, Extent, int]],
    dropped: tuple[int, ...],
    made: tuple[int, ...],
) -> Value:
    """Slices by axis (start, size, step), then axes that disappear, then new ones."""
    y = b(ops.Identity(), x)
    if cuts:
        starts, sizes, steps = zip(*cuts.values(), strict=True)
        y = b(ops.Slice(axes=tuple(cuts), starts=starts, sizes=sizes, steps=steps), x)
    y = b(ops.Squeeze(axes=dropped), y) if dropped else y
    return b(ops.Unsqueeze(axes=made), y) if made else y


def _position(n: Source, extent: Extent, start: Extent) -> Extent:
    """One index, from the front."""
    low = start + extent if isinstance(start, int) and start < 0 else start
    if isinstance(low, int) and (low < 0 or (isinstance(extent, int) and low >= extent)):
        raise n.invalid(f"there is no element {start} along an axis of {extent}")
    return low


@rule("GATHER", "EMBEDDING_LOOKUP")
def gather(n: Source, b: Builder) -> Value:
    if n.kind == "EMBEDDING_LOOKUP":
        plain = n.alike(1)
        return b(ops.Gather(axis=0), n.stored(1) if plain else n.operand(1), n.stored(0))
    x, indices = n.stored(0), n.stored(1)
    axis, batch = x.type.axis(n.integer("axis")), n.integer("batch_dims")
    batch = batch + indices.type.rank if batch < 0 else batch
    if batch == 0:
        return b(ops.Gather(axis=axis), x, indices)
    if not 0 < batch <= min(axis, indices.type.rank):
        raise n.invalid(f"batch_dims={batch} for axis {axis} of {x.type}")
    return _batched_gather(b, x, indices, axis, batch)


def _batched_gather(b: Builder, x: Value, indices: Value, axis: int, batch: int) -> Value:
    """The axis goes behind the batch, GatherND takes one position there, and what it makes goes back."""
    front = (*range(batch), axis, *range(batch, axis), *range(axis + 1, x.type.rank))
    turned = b(ops.Transpose(perm=front), x) if axis != batch else x
    found = b(ops.GatherND(batch_dims=batch), turned, b(ops.Unsqueeze(axes=(indices.type.rank,)), indices))
    count, between = indices.type.rank - batch, axis - batch
    if not between:
        return found
    last = found.type.rank
    order = (
        *range(batch),
        *range(batch + count, batch + count + between),
        *range(batch, batch + count),
        *range(batch + count + between, last),
    )
    return b(ops.Transpose(perm=order), found)


@rule("GATHER_ND")
def gather_nd(n: Source, b: Builder) -> Value:
    return b(ops.GatherND(), n.stored(0), n.stored(1))


@rule("SCATTER_ND")
def scatter_nd(n: Source, b: Builder) -> Value:
    """Operands: positions, updates, the shape. Updates at one position are added."""
    updates = n.stored(1)
    if updates.type.dtype == dtypes.BOOL:
        raise n.unsupported("of booleans")
    zeros = b(ops.Fill(shape=n.extents(2, "a shape"), value=0, dtype=updates.type.dtype))
    return b(ops.ScatterND(reduction="add"), zeros, n.stored(0), updates)


@rule("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(n: Source, b: Builder) -> Value:
    """The start is moved so that the update fits, then the positions that it covers are set."""
    x, update, start = n.stored(0), n.stored(1), convert(b, n.stored(2), dtypes.I64)
    if not (x.type.is_static and update.type.is_static):
        raise n.unsupported(f"of {update.type} in {x.type}")
    shape, part = x.type.static_shape, update.type.static_shape
    room = np.array(shape, np.int64) - np.array(part, np.int64)
    first = b(ops.Min(), b(ops.Max(), start, np.zeros_like(room)), room)
    grid = np.stack(np.meshgrid(*map(np.arange, part), indexing="ij"), axis=-1).astype(np.int64)
    return b(ops.ScatterND(), x, b(ops.Add(), first, grid), update)


@rule("ONE_HOT")
def one_hot(n: Source, b: Builder) -> Value:
    indices, axis = n.stored(0), n.integer("axis")
    rank = indices.type.rank
    if not -1 <= axis <= rank:
        raise n.invalid(f"there is no place for axis {axis}")
    op = ops.OneHot(depth=n.extent(1, "a depth"), axis=rank if axis == -1 else axis)
    # Runtimes have no positions from the end: where the index is negative, nothing is on.
    depth = np.array(np.iinfo(indices.type.dtype).max, indices.type.dtype)
    zero = np.zeros((), indices.type.dtype)
    inside = indices
    if n.known(0) is None or (n.array(0, "positions") < 0).any():
        inside = b(ops.Where(), b(ops.Less(), indices, zero), depth, indices)
    return b(op, inside, n.stored(3), n.stored(2))


@rule("WHERE")
def where(n: Source, b: Builder) -> Value:
    """The positions of what is not zero, one in each row."""
    x = n.stored(0)
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    found = b(ops.NonZero(count=count), x)
    return b(ops.Transpose(perm=(1, 0)), found)


@rule("PAD", "PADV2")
def pad(n: Source, b: Builder) -> Value:
    """Quantized tensors are padded with the integer that means 0, or with the one that is given."""
    x, q = n.stored(0), n.quantization(0)
    value = 0.0
    if n.kind == "PADV2" and n.has(2):
        array = n.context.constants.array(n.stored(2))
        if array is None or array.size != 1:
            raise n.unsupported("with a value computed while the model runs")
        value = float(array.item())
    elif q is not None:
        if q.zero_point.ndim:
            raise n.unsupported("of a tensor with several zero points")
        value = float(q.zero_point)
    return b(ops.Pad(pads=_pads(n, x.type.rank), mode="constant", value=value), x)


@rule("MIRROR_PAD")
def mirror_pad(n: Source, b: Builder) -> Value:
    mode: Literal["reflect", "symmetric"] = (
        "reflect" if n.choice("mode", "REFLECT", "SYMMETRIC") == "REFLECT" else "symmetric"
    )
    x = n.stored(0)
    return b(ops.Pad(pads=_pads(n, x.type.rank), mode=mode), x)


def _pads(n: Source, rank: int) -> tuple[tuple[Extent, Extent], ...]:
    """Operand 1: how much is added before and after each axis."""
    value = n.operand(1)
    if value.type.shape != (rank, 2):
        raise n.invalid(f"pads of {value.type}")
    if value.extents is None and n.known(1) is None:
        flat: Shape = n.read(n.builder(ops.Reshape(shape=(2 * rank,)), value), "pads")
    else:
        flat = value.extents or dims.numbers(int(v) for v in n.array(1, "pads").reshape(-1))
    return tuple((flat[2 * axis], flat[2 * axis + 1]) for axis in range(rank))
