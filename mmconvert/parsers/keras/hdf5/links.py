"""The members of a group, in the two forms that Keras's files have."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.parsers.keras.hdf5.cursor import Cursor, Source
from mmconvert.parsers.keras.hdf5.header import LINK, LINK_INFO, SYMBOL_TABLE, Message

_SOFT = 2
MAX_NODES = 1 << 20


def links(source: Source, messages: list[Message]) -> dict[str, int | None]:
    """The address of each member by its name; None for links that lead elsewhere.

    Raises:
        UnsupportedError: the links are kept in a heap of their own.
        InvalidModelError: the tables are not what they should be.
    """
    found: dict[str, int | None] = {}
    for message in messages:
        if message.kind == SYMBOL_TABLE:
            cursor = message.read(source)
            found.update(_symbols(source, cursor.offset(), cursor.offset()))
        elif message.kind == LINK:
            found.update([_link(message.read(source))])
        elif message.kind == LINK_INFO:
            _refuse_dense(message.read(source))
    return found


def is_group(messages: list[Message]) -> bool:
    """True when an object header has tables of links."""
    return any(message.kind in (SYMBOL_TABLE, LINK, LINK_INFO) for message in messages)


def _refuse_dense(cursor: Cursor) -> None:
    cursor.take(1)
    flags = cursor.number(1)
    cursor.take(8 if flags & 1 else 0)
    if cursor.offset() is not None:
        raise cursor.source.unsupported("dense storage of links")


def _link(cursor: Cursor) -> tuple[str, int | None]:
    version, flags = cursor.number(1), cursor.number(1)
    if version != 1:
        raise cursor.source.invalid(f"a link of version {version}")
    kind = cursor.number(1) if flags & 0x08 else 0
    cursor.take((8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0))  # creation order, character set
    name = _name(cursor.source, cursor.take(cursor.number(1 << (flags & 0x03))))
    return name, cursor.offset() if kind == 0 else None


def _symbols(source: Source, tree: int | None, heap: int | None) -> Iterator[tuple[str, int | None]]:
    """The symbol table of a group: a B-tree of nodes, with the names in a heap."""
    if tree is None or heap is None:
        return
    names = _heap(source, heap)
    nodes, seen = [tree], {tree}
    while nodes:
        cursor = source.at(nodes.pop(0), "a table of links")
        if bytes(cursor.take(4)) == b"SNOD":
            yield from _entries(cursor, names)
            continue
        cursor.position -= 4
        for child in _children(cursor):
            if child in seen or len(seen) > MAX_NODES:
                raise source.invalid("a table of links leads back into itself")
            seen.add(child)
            nodes.append(child)


def _children(cursor: Cursor) -> Iterator[int]:
    cursor.expect(b"TREE")
    kind, _, count = cursor.number(1), cursor.number(1), cursor.number(2)
    if kind != 0:
        raise cursor.source.invalid("a table of links is a table of something else")
    cursor.take(2 * cursor.source.offset_size)  # neighbours
    for _ in range(count):
        cursor.length()  # the first name below the child
        child = cursor.offset()
        if child is None:
            raise cursor.source.invalid("a table of links has a hole")
        yield child


def _entries(cursor: Cursor, names: memoryview) -> Iterator[tuple[str, int | None]]:
    cursor.take(2)
    for _ in range(cursor.number(2)):
        place, address = cursor.number(cursor.source.offset_size), cursor.offset()
        kind = cursor.number(4)
        cursor.take(20)
        if place >= len(names):
            raise cursor.source.invalid("the name of a link is not in its heap")
        yield _name(cursor.source, names[place:]), None if kind == _SOFT else address


def _heap(source: Source, address: int) -> memoryview:
    cursor = source.at(address, "a heap of names")
    cursor.expect(b"HEAP")
    cursor.take(4)
    size, _, place = cursor.length(), cursor.length(), cursor.offset()
    if place is None:
        raise source.invalid("a heap of names has no bytes")
    return source.at(place, "a heap of names").take(size)


def _name(source: Source, text: memoryview) -> str:
    try:
        return bytes(text[:4096]).partition(b"\0")[0].decode()
    except UnicodeDecodeError as error:
        raise source.invalid("the name of a link is not UTF-8") from error
