"""Datatypes and dataspaces: what the elements of an array are, and how many."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.parsers.keras.hdf5.cursor import Cursor

MAX_RANK = 32
_LITTLE, _BIG = "<", ">"

# (bytes, exponent bits, mantissa bits, exponent bias)
_FLOATS = {
    (2, 5, 10, 15): "f2",
    (4, 8, 23, 127): "f4",
    (8, 11, 52, 1023): "f8",
}
_BFLOAT16 = (2, 8, 7, 127)


class Kind(enum.Enum):
    """What the bytes of an element mean."""

    NUMBER = enum.auto()
    FIXED_TEXT = enum.auto()
    VARIABLE_TEXT = enum.auto()
    OPAQUE = enum.auto()


@dataclass(frozen=True, slots=True)
class Datatype:
    """The type of an element.

    Attributes:
        kind: what it means.
        size: its bytes in the file.
        dtype: for a number, in the byte order of the file.
    """

    kind: Kind
    size: int
    dtype: DType | None = None


def datatype(cursor: Cursor, depth: int = 0) -> Datatype:
    """Reads a datatype message.

    Raises:
        UnsupportedError: arrays of it are not weights or names.
        InvalidModelError: it is no datatype.
    """
    head, bits, size = cursor.number(1), cursor.number(3), cursor.number(4)
    kind = head & 0x0F
    if not size or depth > 1:
        raise cursor.source.invalid("a datatype has no size")
    match kind:
        case 0:
            return Datatype(Kind.NUMBER, size, _integer(cursor, bits, size))
        case 1:
            return Datatype(Kind.NUMBER, size, _float(cursor, bits, size))
        case 3:
            return Datatype(Kind.FIXED_TEXT, size)
        case 5:
            return Datatype(Kind.OPAQUE, size)
        case 8:
            return _enumeration(cursor, bits & 0xFFFF, depth)
        case 9 if bits & 0x0F == 1:
            return Datatype(Kind.VARIABLE_TEXT, size)
    raise cursor.source.unsupported(f"datatype class {kind}")


def _integer(cursor: Cursor, bits: int, size: int) -> DType:
    start, precision = cursor.number(2), cursor.number(2)
    if size not in (1, 2, 4, 8) or start or precision != 8 * size:
        raise cursor.source.unsupported(f"an integer of {precision} bits in {size} bytes")
    return np.dtype(f"{_BIG if bits & 1 else _LITTLE}{'i' if bits & 8 else 'u'}{size}")


def _float(cursor: Cursor, bits: int, size: int) -> DType:
    cursor.take(5)  # where the bits, the precision and the exponent lie follows from the sizes
    exponent = cursor.number(1)
    cursor.take(1)
    mantissa, bias = cursor.number(1), cursor.number(4)
    form = (size, exponent, mantissa, bias)
    if form == _BFLOAT16 and not bits & 1:
        return dtypes.BF16
    if form not in _FLOATS or bits & 0x40:
        raise cursor.source.unsupported(f"a float of {size} bytes with {exponent} bits of exponent")
    return np.dtype(f"{_BIG if bits & 1 else _LITTLE}{_FLOATS[form]}")


def _enumeration(cursor: Cursor, count: int, depth: int) -> Datatype:
    """NumPy's booleans are an enumeration of two bytes; other enumerations are their numbers."""
    base = datatype(cursor, depth + 1)
    if base.dtype is None or base.dtype.kind not in "iu":
        raise cursor.source.invalid("an enumeration of something else than integers")
    if count == 2 and base.size == 1 and bytes(cursor.take(5)) == b"FALSE":
        return Datatype(Kind.NUMBER, 1, dtypes.BOOL)
    return base


def dataspace(cursor: Cursor) -> tuple[int, ...]:
    """Reads a dataspace message; an empty one counts as no elements along one axis.

    Raises:
        InvalidModelError: it is no dataspace.
    """
    version, rank = cursor.number(1), cursor.number(1)
    cursor.take(1)  # whether maximal extents follow
    if version not in (1, 2) or rank > MAX_RANK:
        raise cursor.source.invalid(f"a dataspace of version {version} and rank {rank}")
    empty = cursor.number(1) == 2 and version == 2
    cursor.take(4 if version == 1 else 0)
    shape = tuple(cursor.length() for _ in range(rank))
    if math.prod(shape) >= 1 << 62:
        raise cursor.source.invalid(f"an array of shape {list(shape)}")
    return (0,) if empty else shape
