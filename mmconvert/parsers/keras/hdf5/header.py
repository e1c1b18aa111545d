"""Object headers: the list of messages that describe a group or an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmconvert.parsers.keras.hdf5.cursor import Cursor, Source

DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES = 0x01, 0x02, 0x03, 0x06, 0x07
LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x08, 0x0B, 0x0C, 0x10, 0x11, 0x15

_SHARED = 0x02


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an object header; ``body`` holds its bytes."""

    kind: int
    shared: bool
    body: memoryview

    def read(self, source: Source) -> Cursor:
        """A cursor over the message.

        Raises:
            UnsupportedError: the message stands elsewhere, for several objects.
        """
        if self.shared:
            raise source.unsupported("a committed datatype")
        return Cursor(source, self.body, 0, "a message")


def messages(source: Source, address: int) -> list[Message]:
    """All messages of the object at ``address``, with those of its continuation blocks.

    Raises:
        InvalidModelError: there is no object header, or its blocks form a ring.
    """
    cursor = source.at(address, "an object header")
    first = cursor.number(1)
    if first == 1:
        return list(_follow(source, _version_1(cursor), version=1))
    cursor.position -= 1
    cursor.expect(b"OHDR")
    return list(_follow(source, *_version_2(cursor)))


def _version_1(cursor: Cursor) -> Cursor:
    cursor.take(7)  # reserved, the number of messages and of references
    size = cursor.number(4)
    cursor.take(4)  # up to a multiple of 8
    return cursor.part(size)


def _version_2(cursor: Cursor) -> tuple[Cursor, int, bool]:
    version, flags = cursor.number(1), cursor.number(1)
    if version != 2:
        raise cursor.source.unsupported(f"object header version {version}")
    cursor.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))  # times; limits of attributes
    size = cursor.number(1 << (flags & 0x03))
    return cursor.part(size), 2, bool(flags & 0x04)


def _follow(source: Source, block: Cursor, version: int, ordered: bool = False) -> Iterator[Message]:
    """The messages of a block, then of those that it says it goes on in."""
    blocks, seen = [block], set[int]()
    while blocks:
        for message in _messages(blocks.pop(0), version, ordered):
            if message.kind != CONTINUATION:
                yield message
                continue
            cursor = message.read(source)
            address, size = cursor.offset(), cursor.length()
            if address is None or address in seen:
                raise source.invalid("an object header leads back into itself")
            seen.add(address)
            more = source.at(address, "an object header").part(size)
            if version == 2:
                more.expect(b"OCHK")
                more = more.part(more.left - 4)  # without the checksum
            blocks.append(more)


def _messages(block: Cursor, version: int, ordered: bool) -> Iterator[Message]:
    head = 8 if version == 1 else 6 if ordered else 4
    while block.left >= head:
        kind = block.number(2 if version == 1 else 1)
        size, flags = block.number(2), block.number(1)
        block.take(3 if version == 1 else 2 if ordered else 0)
        yield Message(kind, bool(flags & _SHARED), block.take(size))
