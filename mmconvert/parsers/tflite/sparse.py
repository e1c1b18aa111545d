"""Sparse constants made dense: TACO's scheme of dense and compressed dimensions, with blocks.

Axes are stored in ``traversal_order``; numbers above the rank stand for the axes inside of a block, whose
own places ``block_map`` gives. A compressed dimension lists, for each position in the dimensions before it,
a segment of indices.
"""

from __future__ import annotations

import math

import numpy as np

from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.flatview import Table
from mmconvert.parsers.tflite import schema
from mmconvert.tensors import Array, Tensor

LIMIT = 1 << 31
"""A sparse tensor of more elements is not made dense."""

_VECTORS = {1: "i32", 2: "u16", 3: "u8"}


def densified(sparsity: Table, raw: Array, dtype: DType, shape: tuple[int, ...], where: str) -> Tensor:
    """The dense tensor, computed when it is read.

    Raises:
        InvalidModelError: the parts of the description do not fit together.
        UnsupportedError: its elements are narrower than a byte, or too many.
    """
    if dtype.kind not in "fiu" or math.prod(shape) > LIMIT:
        raise UnsupportedError(f"that is sparse, of {dtype}{list(shape)}")
    places, count = _places(sparsity, shape, where)
    if count * dtype.itemsize != len(raw):
        raise InvalidModelError(f"{count} places for {len(raw) // dtype.itemsize} elements", where=where)

    def load() -> Array:
        dense = np.zeros(shape, dtype)
        dense[places] = raw.view(dtype)
        return dense

    return Tensor(dtype, shape, load)


def _places(sparsity: Table, shape: tuple[int, ...], where: str) -> tuple[tuple[Array, ...], int]:
    """Where in the dense tensor each stored element goes."""
    order = sparsity.vector(schema.Sparsity.ORDER, "i32").tolist()
    blocks = sparsity.vector(schema.Sparsity.BLOCK_MAP, "i32").tolist()
    tables = sparsity.tables(schema.Sparsity.DIMENSIONS)
    rank = len(shape)
    fits = sorted(order) == list(range(rank + len(blocks))) and len(tables) == len(order)
    if not fits or not all(0 <= axis < rank for axis in blocks):
        raise InvalidModelError("its sparsity does not fit its shape", where=where)
    sizes = [1] * rank
    for axis, table in zip(order, tables, strict=True):
        if axis >= rank:
            sizes[blocks[axis - rank]] *= max(int(table.number(schema.Dimension.SIZE, "i32")), 1)
    # One row for each axis that was walked; a column for each position so far.
    found: dict[int, Array] = {}
    count = 1
    for axis, table in zip(order, tables, strict=True):
        parents, index = _dimension(table, count, math.prod(shape), where)
        found = {a: places[parents] for a, places in found.items()} | {axis: index}
        count = len(index)
    for number, axis in enumerate(blocks):
        inner = int(tables[order.index(rank + number)].number(schema.Dimension.SIZE, "i32"))
        found[axis] = found[axis] * inner + found[rank + number]
    result = tuple(found[axis] for axis in range(rank))
    if any(len(p) and not 0 <= p.min() <= p.max() < e for p, e in zip(result, shape, strict=True)):
        raise InvalidModelError("its sparsity points outside of its shape", where=where)
    return result, count


def _dimension(table: Table, count: int, limit: int, where: str) -> tuple[Array, Array]:
    """For each position in this dimension, which of the ``count`` before it belongs to, and its index."""
    slots = schema.Dimension
    if not table.number(slots.FORMAT, "i8"):
        size = int(table.number(slots.SIZE, "i32"))
        if size < 0 or count * size > limit:
            raise InvalidModelError("its sparsity does not fit its shape", where=where)
        return np.repeat(np.arange(count), size), np.tile(np.arange(size), count)
    segments = _numbers(table, slots.SEGMENTS_TYPE, slots.SEGMENTS, where)
    indices = _numbers(table, slots.INDICES_TYPE, slots.INDICES, where)
    lengths = np.diff(segments)
    fits = len(segments) == count + 1 and segments[0] == 0 and segments[-1] == len(indices)
    if not fits or (lengths < 0).any():
        raise InvalidModelError("the segments of its sparsity do not fit", where=where)
    return np.repeat(np.arange(count), lengths), indices


def _numbers(table: Table, type_slot: int, slot: int, where: str) -> Array:
    kind = _VECTORS.get(table.number(type_slot, "u8"))
    inner = table.table(slot)
    if kind is None or inner is None:
        raise InvalidModelError("its sparsity lacks indices", where=where)
    return inner.vector(0, kind).astype(np.int64)
