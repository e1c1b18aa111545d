"""Attributes, and the texts in them: of fixed length in place, others in the global heap."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mmconvert.parsers.keras.hdf5.cursor import Cursor, Source
from mmconvert.parsers.keras.hdf5.types import Datatype, Kind, dataspace, datatype

MAX_TEXT = 1 << 28
"""More bytes of text than this are no attribute of Keras."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute, not yet read."""

    source: Source
    datatype: memoryview
    shape: tuple[int, ...]
    data: memoryview

    def texts(self) -> list[str] | None:
        """The elements, when they are texts, else None.

        Raises:
            InvalidModelError: they are said to be texts and are not.
        """
        kind = datatype(Cursor(self.source, self.datatype, 0, "a datatype"))
        count = math.prod(self.shape)
        if kind.kind not in (Kind.FIXED_TEXT, Kind.VARIABLE_TEXT):
            return None
        if count * kind.size > len(self.data):
            raise self.source.invalid("an attribute is longer than its message")
        found, total = [], 0
        for text in self._bytes(kind, count):
            total += len(text)
            if total > MAX_TEXT:
                raise self.source.invalid(f"an attribute has more than {MAX_TEXT} bytes of text")
            found.append(_decoded(self.source, text))
        return found

    def _bytes(self, kind: Datatype, count: int) -> Iterator[memoryview]:
        cursor = Cursor(self.source, self.data, 0, "an attribute")
        for _ in range(count):
            element = cursor.part(kind.size)
            yield element.take(kind.size) if kind.kind is Kind.FIXED_TEXT else _from_heap(element)


def attribute(source: Source, message: Cursor) -> tuple[str, Attribute]:
    """Reads an attribute message: its name, and how to read it.

    Raises:
        UnsupportedError: its datatype is shared with other objects.
        InvalidModelError: it is no attribute.
    """
    version, flags = message.number(1), message.number(1)
    if version not in (1, 2, 3):
        raise source.invalid(f"an attribute of version {version}")
    if version > 1 and flags:
        raise source.unsupported("a committed datatype")
    sizes = [message.number(2) for _ in range(3)]
    message.take(1 if version == 3 else 0)  # the character set
    name, kind, space = (_padded(message, size, version) for size in sizes)
    shape = dataspace(Cursor(source, space, 0, "a dataspace"))
    return _decoded(source, name), Attribute(source, kind, shape, message.take(message.left))


def _padded(message: Cursor, size: int, version: int) -> memoryview:
    part = message.take(size)
    message.take(-size % 8 if version == 1 else 0)
    return part


def _from_heap(reference: Cursor) -> memoryview:
    """A text of variable length: its length, the address of a heap, and its number there."""
    source = reference.source
    length, address, number = reference.number(4), reference.offset(), reference.number(4)
    if not length or not address:
        return memoryview(b"")
    if address not in source.heaps:
        source.heaps[address] = _heap(source, address)
    found = source.heaps[address].get(number)
    if found is None:
        raise source.invalid("a text is not in its heap")
    return found[:length]


def _heap(source: Source, address: int) -> dict[int, memoryview]:
    """The objects of a heap by their numbers."""
    heap = source.at(address, "a heap")
    heap.expect(b"GCOL")
    heap.take(4)
    objects = source.at(address, "a heap").part(heap.length())
    objects.take(8 + source.length_size)
    found: dict[int, memoryview] = {}
    while objects.left >= 8 + source.length_size:
        index = objects.number(2)
        objects.take(6)
        size = objects.length()
        if index == 0:
            break
        found.setdefault(index, objects.take(size))
        objects.take(min(-size % 8, objects.left))
    return found


def _decoded(source: Source, text: memoryview) -> str:
    try:
        return bytes(text).partition(b"\0")[0].decode()
    except UnicodeDecodeError as error:
        raise source.invalid("a text is not UTF-8") from error
