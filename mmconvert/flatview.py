"""FlatBuffers read with every offset checked: a view of a file that may be damaged or hostile.

Nothing is copied but what is asked for, and nothing is read outside of the file: offsets, lengths and
vtables are compared with its size first. What is shared or overlaps is read as often as it is referred to.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.tensors import Array

SCALARS = {
    "i8": struct.Struct("<b"),
    "u8": struct.Struct("<B"),
    "bool": struct.Struct("<B"),
    "u16": struct.Struct("<H"),
    "i32": struct.Struct("<i"),
    "u32": struct.Struct("<I"),
    "f32": struct.Struct("<f"),
    "i64": struct.Struct("<q"),
    "u64": struct.Struct("<Q"),
}
_ELEMENTS: dict[str, DType] = {
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "bool": np.dtype(np.uint8),
    "u16": np.dtype("<u2"),
    "i32": np.dtype("<i4"),
    "u32": np.dtype("<u4"),
    "f32": np.dtype("<f4"),
    "i64": np.dtype("<i8"),
}


def damaged(what: str) -> InvalidModelError:
    """The error that the file is not a sound FlatBuffer."""
    return InvalidModelError(f"the file is damaged: {what}")


def root(data: memoryview) -> Table:
    """The table that a file begins with.

    Raises:
        InvalidModelError: there is none.
    """
    return Table(data, _number(data, 0, "u32"))


def _number(data: memoryview, at: int, kind: str) -> Any:
    packed = SCALARS[kind]
    if not 0 <= at <= len(data) - packed.size:
        raise damaged("an offset points out of it")
    return packed.unpack_from(data, at)[0]


class Table:
    """A table of the file; slots are known by their numbers.

    Every method raises InvalidModelError where the bytes are not what they should be.
    """

    __slots__ = ("_at", "_data", "_slots")

    def __init__(self, data: memoryview, at: int) -> None:
        vtable = at - _number(data, at, "i32")
        size, extent = (_number(data, vtable + i, "u16") for i in (0, 2))
        if size < 4 or size % 2 or vtable + size > len(data) or at + extent > len(data):
            raise damaged("a table does not fit into it")
        self._data, self._at = data, at
        self._slots: tuple[int, ...] = struct.unpack_from(f"<{size // 2 - 2}H", data, vtable + 4)

    def has(self, slot: int) -> bool:
        """True when the slot is written."""
        return slot < len(self._slots) and self._slots[slot] != 0

    @property
    def written(self) -> tuple[int, ...]:
        """The slots that are written."""
        return tuple(slot for slot in range(len(self._slots)) if self._slots[slot])

    def number(self, slot: int, kind: str, default: float = 0) -> Any:
        """A scalar."""
        return _number(self._data, self._at + self._slots[slot], kind) if self.has(slot) else default

    def text(self, slot: int) -> str:
        """A string, empty when there is none."""
        try:
            return str(self.vector(slot, "u8").tobytes(), "utf-8")
        except UnicodeDecodeError as error:
            raise damaged("a name is not UTF-8") from error

    def vector(self, slot: int, kind: str) -> Array:
        """A vector of scalars, which stays in the file; empty when there is none."""
        element = _ELEMENTS[kind]
        start, count = self.span(slot, element.itemsize)
        return np.frombuffer(self._data, element, count, start) if count else np.empty(0, element)

    def span(self, slot: int, itemsize: int = 1) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many they are."""
        if not self.has(slot):
            return 0, 0
        at = self._target(slot)
        start, count = at + 4, _number(self._data, at, "u32")
        if start + count * itemsize > len(self._data):
            raise damaged("a vector is longer than it")
        return start, count

    def table(self, slot: int) -> Table | None:
        """A table, or None."""
        return Table(self._data, self._target(slot)) if self.has(slot) else None

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables; empty when there is none."""
        start, count = self.span(slot, 4)
        places = range(start, start + 4 * count, 4)
        return [Table(self._data, place + _number(self._data, place, "u32")) for place in places]

    def texts(self, slot: int) -> list[str]:
        """A vector of strings; empty when there is none."""
        start, count = self.span(slot, 4)
        return [self._string(place) for place in range(start, start + 4 * count, 4)]

    def _string(self, place: int) -> str:
        """The string that the offset at ``place`` leads to."""
        at = place + int(_number(self._data, place, "u32"))
        length = int(_number(self._data, at, "u32"))
        if at + 4 + length > len(self._data):
            raise damaged("a name is longer than it")
        try:
            return str(self._data[at + 4 : at + 4 + length], "utf-8")
        except UnicodeDecodeError as error:
            raise damaged("a name is not UTF-8") from error

    def _target(self, slot: int) -> int:
        place = self._at + self._slots[slot]
        return place + int(_number(self._data, place, "u32"))
