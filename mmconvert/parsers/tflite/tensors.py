"""Tensors of a file: element types, quantization, and constants that stay in the file until they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.flatview import Table
from mmconvert.parsers.tflite import schema
from mmconvert.parsers.tflite.sparse import densified
from mmconvert.tensors import Array, Tensor

MAX_RANK = 32
_BLOCKWISE = 2
_PACKED = {"i4": 2, "u4": 2, "i2": 4}
"""How many elements of a narrow type share a byte, the first one in its low bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """``real = scale * (stored - zero_point)``, for the whole tensor or for each slice along an axis.

    Attributes:
        scale: f32, a scalar or a vector.
        zero_point: i64, of the same shape.
        axis: the axis that vectors run along.
    """

    scale: Array
    zero_point: Array
    axis: int

    def same(self, other: Quantization | None) -> bool:
        """True when both mean the same numbers."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
            and (self.scale.ndim == 0 or self.axis == other.axis)
        )


@dataclass(slots=True, eq=False)
class Record:
    """A tensor as the file describes it.

    Attributes:
        name: as in the file, which may be empty or there twice.
        number: of the element type.
        shape: the extents, -1 where the file leaves them open.
        constant: its elements; None when they are fed or computed.
        quantization: None for plain numbers.
        is_variable: it keeps its elements from one run to the next.
        problem: why it cannot be represented; empty when it can.
        where: what errors call it.
    """

    name: str
    number: int
    shape: tuple[int, ...]
    constant: Tensor | None
    quantization: Quantization | None
    is_variable: bool
    problem: str
    where: str

    @property
    def dtype(self) -> DType:
        """The element type.

        Raises:
            UnsupportedError: the IR has no such tensors.
        """
        if self.problem:
            raise UnsupportedError(f"a tensor {self.problem}", where=self.where)
        found = schema.TYPES.get(self.number)
        if found is None:
            what = schema.TYPE_NAMES.get(self.number, f"elements of type {self.number}")
            raise UnsupportedError(f"tensors of {what}", where=self.where)
        return found


def record(table: Table, index: int, data: memoryview, buffers: list[tuple[int, int]]) -> Record:
    """Tensor ``index`` of a sub-graph.

    Raises:
        InvalidModelError: its numbers do not fit together, or its elements lie outside of the file.
    """
    slots = schema.Tensor
    name = table.text(slots.NAME)
    where = f"tensor {name!r}" if name else f"tensor {index}"
    shape = _shape(table, where)
    buffer = table.number(slots.BUFFER, "u32")
    if buffer >= len(buffers):
        raise InvalidModelError(f"there is no buffer {buffer}", where=where)
    number = table.number(slots.TYPE, "i8")
    found = Record(name, number, shape, None, None, bool(table.number(slots.VARIABLE, "bool")), "", where)
    if table.number(slots.EXTERNAL, "u32"):
        found.problem = "whose elements are in another file"
        return found
    try:
        found.quantization = _quantization(table.table(slots.QUANTIZATION), found)
        if buffers[buffer][1] and number in schema.TYPES:
            found.constant = _constant(table.table(slots.SPARSITY), found, data, buffers[buffer])
    except UnsupportedError as error:
        found.problem = error.message
    return found


def _shape(table: Table, where: str) -> tuple[int, ...]:
    shape, signature = (table.vector(slot, "i32") for slot in (schema.Tensor.SHAPE, schema.Tensor.SIGNATURE))
    chosen = signature if len(signature) else shape
    if len(chosen) > MAX_RANK:
        raise InvalidModelError(f"it has more than {MAX_RANK} axes", where=where)
    if len(signature) and len(signature) != len(shape):
        raise InvalidModelError("it has two shapes of different rank", where=where)
    if any(extent < -1 for extent in chosen.tolist()):
        raise InvalidModelError(f"it cannot have the shape {chosen.tolist()}", where=where)
    return tuple(chosen.tolist())


def _quantization(table: Table | None, found: Record) -> Quantization | None:
    """The parameters, when the tensor has any: a table without scales says nothing."""
    if table is None:
        return None
    slots = schema.Quantization
    if table.number(slots.DETAILS_TYPE, "u8"):
        raise UnsupportedError("with a quantization of its own kind (blocks or custom)")
    scale = table.vector(slots.SCALE, "f32").astype(np.float32)
    if not len(scale) or not dtypes.is_integer(schema.TYPES.get(found.number, dtypes.F32)):
        return None
    zero = table.vector(slots.ZERO_POINT, "i64").astype(np.int64)
    zero = np.zeros(len(scale), np.int64) if not len(zero) else zero
    zero = np.broadcast_to(zero, scale.shape) if len(zero) == 1 else zero
    if len(zero) != len(scale):
        raise InvalidModelError(f"{len(scale)} scales and {len(zero)} zero points", where=found.where)
    if not (np.isfinite(scale) & (scale >= 0)).all():
        raise InvalidModelError("a scale is negative or not finite", where=found.where)
    if len(scale) == 1:
        return Quantization(scale[0], zero[0], 0)
    axis = int(table.number(slots.AXIS, "i32"))
    if not 0 <= axis < len(found.shape) or found.shape[axis] != len(scale):
        message = f"{len(scale)} scales along axis {axis} of {list(found.shape)}"
        raise InvalidModelError(message, where=found.where)
    return Quantization(scale, zero, axis)


def _constant(sparsity: Table | None, found: Record, data: memoryview, buffer: tuple[int, int]) -> Tensor:
    start, size = buffer
    if start + size > len(data):
        raise InvalidModelError("its elements lie outside of the file", where=found.where)
    if any(extent < 0 for extent in found.shape):
        raise InvalidModelError(f"a constant cannot have the shape {list(found.shape)}", where=found.where)
    dtype, raw = found.dtype, np.frombuffer(data, np.uint8, size, start)
    if sparsity is not None:
        return densified(sparsity, raw, dtype, found.shape, found.where)
    count = math.prod(found.shape)
    needed = -(-count // _PACKED.get(dtypes.name(dtype), 1)) * dtype.itemsize
    if needed != size:
        message = f"{size} bytes for {dtypes.name(dtype)}{list(found.shape)}, which takes {needed}"
        raise InvalidModelError(message, where=found.where)
    return lazy(raw, dtype, found.shape)


def lazy(raw: Array, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """The tensor behind the bytes of a buffer."""
    if dtypes.name(dtype) in _PACKED:
        return Tensor(dtype, shape, lambda: unpacked(raw, dtype, math.prod(shape)).reshape(shape))
    if dtype == dtypes.BOOL:
        return Tensor(dtype, shape, lambda: (raw != 0).reshape(shape))
    return Tensor.of(raw.view(dtype).reshape(shape))


def unpacked(raw: Array, dtype: DType, count: int) -> Array:
    """Elements of 2 or 4 bits, one for each."""
    bits = 8 // _PACKED[dtypes.name(dtype)]
    parts = [(raw >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    codes = np.stack(parts, axis=-1).reshape(-1)[:count].astype(np.int8)
    signed = dtypes.name(dtype).startswith("i")
    return (codes - ((codes >> (bits - 1)) << bits) if signed else codes).astype(dtype)
