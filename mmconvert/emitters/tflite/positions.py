"""Positions of elements: counted from the front, and joined into tuples for GATHER_ND and SCATTER_ND."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.ir.graph import Value, is_op
from mmconvert.ir.ops import (
    ArgMax,
    ArgMin,
    Cast,
    Expand,
    Gather,
    Identity,
    NonZero,
    Reshape,
    Shape,
    Slice,
    Squeeze,
    Tile,
    TopK,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.types import Extent, TensorType

_SMALL = 4096

Extents = tuple[Extent, ...]


def from_front(indices: Value, extents: Extents, out: Writer) -> Value:
    """``indices`` with those that count from the end counted from the front, as i32 or i64.

    The last axis of ``indices`` speaks of ``extents``, or every element of the only one.
    """
    constant = indices.constant
    if constant is not None:
        if not (constant.numpy() < 0).any():
            return out.cast(indices, dtypes.I32)
        if all(isinstance(e, int) for e in extents):
            limits = np.array(extents if len(extents) > 1 else extents[0])
            wrapped = constant.map(lambda a: np.where(a < 0, a + limits, a).astype(a.dtype))
            return out.tensor(wrapped.cast(dtypes.I32), indices.name)
    indices = as_index(indices, out)
    if constant is None and (not out.wrap_indices or is_natural(indices)):
        return indices
    bounds = out.extents.vector(extents) if len(extents) > 1 else out.extents.scalar(extents[0])
    return out.make(tfl.FLOOR_MOD, (indices, out.cast(bounds, indices.type.dtype)), indices.type)


def as_index(indices: Value, out: Writer) -> Value:
    """``indices`` in an element type that TFLite takes for them."""
    if indices.type.dtype in (dtypes.I32, dtypes.I64):
        return indices
    return out.cast(indices, dtypes.I64 if indices.type.dtype == dtypes.U32 else dtypes.I32)


_MOVES = (Cast, Expand, Gather, Identity, Reshape, Slice, Squeeze, Tile, Transpose, Unsqueeze)


def is_natural(value: Value) -> bool:
    """True when no element can be negative: positions that another operator found, passed on."""
    while is_op(value.producer, *_MOVES):
        value = value.producer.operand(0)
    if value.type.dtype.kind in "ub":
        return True
    if is_op(value.producer, TopK):
        return value.index == 1
    return is_op(value.producer, ArgMax, ArgMin, NonZero, Shape)


def tuple_length(indices: Value) -> int:
    """The length of the tuples along the last axis.

    Raises:
        UnsupportedError: it is not known.
    """
    return known(indices.type.shape[-1:], "the length of index tuples")[0]


def tuples(x: Value, indices: Value, axis: int, out: Writer) -> Value:
    """The full position in ``x`` that each of ``indices``, which speak of one axis, stands for."""
    shape = indices.type.shape
    indices = out.cast(from_front(indices, (x.type.shape[axis],), out), dtypes.I32)
    column = out.reshape(indices, (*shape, 1))
    return joined([column if a == axis else grid(shape, a, out) for a in range(len(shape))], out)


def grid(shape: Extents, axis: int, out: Writer) -> Value:
    """The position along ``axis`` of every element of ``shape``, with one more axis of extent 1."""
    extent = shape[axis]
    line = (*(extent if a == axis else 1 for a in range(len(shape))), 1)
    if isinstance(extent, int):
        ladder = np.arange(extent, dtype=np.int32).reshape([e if isinstance(e, int) else 1 for e in line])
        numbers = [e for e in shape if isinstance(e, int)]
        if len(numbers) == len(shape) and math.prod(numbers) <= _SMALL:
            return out.constant(np.broadcast_to(ladder, (*numbers, 1)))
        steps = out.constant(ladder)
    else:
        steps = out.reshape(count_up(extent, out), line)
    whole = out.extents.vector((*shape, 1))
    return out.make(tfl.BROADCAST_TO, (steps, whole), TensorType(dtypes.I32, (*shape, 1)))


def count_up(extent: Extent, out: Writer) -> Value:
    """The i32 vector 0, 1, 2, ... of ``extent`` elements."""
    bounds = (out.constant(0, dtypes.I32), out.extents.scalar(extent), out.constant(1, dtypes.I32))
    return out.make(tfl.RANGE, bounds, TensorType(dtypes.I32, (extent,)))


def joined(columns: Sequence[Value], out: Writer) -> Value:
    """Columns of positions side by side."""
    if len(columns) == 1:
        return columns[0]
    *lead, _ = columns[0].type.shape
    width: Extent = 0
    for column in columns:
        width = width + column.type.shape[-1]
    return out.make(tfl.CONCATENATION, columns, TensorType(dtypes.I32, (*lead, width)), axis=len(lead))
