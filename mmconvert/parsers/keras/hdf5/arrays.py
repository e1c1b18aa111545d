"""Arrays: in one piece, used in place; in the object header; or in chunks, put together when asked for."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.parsers.keras.hdf5 import header
from mmconvert.parsers.keras.hdf5.cursor import Cursor, Source
from mmconvert.parsers.keras.hdf5.header import Message
from mmconvert.parsers.keras.hdf5.types import Datatype, Kind, dataspace, datatype
from mmconvert.tensors import Array, Tensor

MAX_EXPANSION = 1100
"""Deflate packs at most 1032 bytes into one; an array that claims more than this is hostile."""

_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3


def is_array(messages: list[Message]) -> bool:
    """True when an object header describes an array."""
    return any(message.kind == header.LAYOUT for message in messages)


def tensor(source: Source, messages: list[Message], *, bfloat16: bool) -> Tensor:
    """The array that an object header describes; its elements are read when they are asked for.

    Args:
        source: the file.
        messages: the object header.
        bfloat16: True when two opaque bytes are such a number.

    Raises:
        UnsupportedError: it is stored, or its elements are, in a way that Keras does not use.
        InvalidModelError: it does not lie in the file.
    """
    by_kind = {message.kind: message for message in messages}
    if header.EXTERNAL_FILES in by_kind:
        raise source.invalid("an array lies outside the file")
    if header.DATATYPE not in by_kind or header.DATASPACE not in by_kind:
        raise source.invalid("an array has no type")
    stored = _stored_type(source, datatype(by_kind[header.DATATYPE].read(source)), bfloat16)
    shape = dataspace(by_kind[header.DATASPACE].read(source))
    size = math.prod(shape) * stored.itemsize
    layout = by_kind[header.LAYOUT].read(source)
    version, kind = layout.number(1), layout.number(1)
    if version not in (3, 4):
        raise source.unsupported(f"data layout version {version}")
    match kind:
        case 0:
            return _whole(source, layout.take(layout.number(2)), stored, shape)
        case 1:
            address = layout.offset()
            data = source.at(address, "an array").take(size) if address is not None else memoryview(b"")
            return _whole(source, data, stored, shape)
        case 2 if version == 3:
            if size > len(source.view) * MAX_EXPANSION:
                raise source.invalid(f"an array of {size} bytes in a file of {len(source.view)}")
            filters = _filters(by_kind[header.FILTERS].read(source)) if header.FILTERS in by_kind else []
            return _chunked(source, layout, filters, stored, shape)
    raise source.unsupported("a virtual array" if kind == 3 else "this way to store an array")


def _stored_type(source: Source, found: Datatype, bfloat16: bool) -> DType:
    if found.kind is Kind.OPAQUE and found.size == 2 and bfloat16:
        return dtypes.BF16
    if found.dtype is None:
        raise source.unsupported("an array of text or of structures")
    return found.dtype


def _native(stored: DType) -> DType:
    order = {"little": ">", "big": "<"}[sys.byteorder]
    return stored.newbyteorder("=") if stored.byteorder == order else stored


def _whole(source: Source, data: memoryview, stored: DType, shape: tuple[int, ...]) -> Tensor:
    size = math.prod(shape) * stored.itemsize
    if len(data) < size:
        raise source.invalid(f"{size} bytes are announced where {len(data)} are stored")
    native = _native(stored)

    def load() -> Array:
        return np.frombuffer(data[:size], stored).reshape(shape).astype(native, copy=False)

    return Tensor(native, shape, load)


# --- chunks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Filter:
    kind: int
    optional: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Stored bytes of a chunk, which filters were left out, and where its elements belong."""

    address: int
    size: int
    skipped: int
    corner: tuple[int, ...]


def _filters(cursor: Cursor) -> list[_Filter]:
    version, count = cursor.number(1), cursor.number(1)
    cursor.take(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        kind = cursor.number(2)
        name = cursor.number(2) if version == 1 or kind >= 256 else 0
        flags, values = cursor.number(2), cursor.number(2)
        cursor.take(name + (-name % 8 if version == 1 else 0))
        cursor.take(4 * (values + (values % 2 if version == 1 else 0)))
        if kind not in (_DEFLATE, _SHUFFLE, _FLETCHER32):
            raise cursor.source.unsupported(f"compression filter {kind}")
        found.append(_Filter(kind, bool(flags & 1)))
    return found


def _chunked(
    source: Source, layout: Cursor, filters: list[_Filter], stored: DType, shape: tuple[int, ...]
) -> Tensor:
    dimensions = layout.number(1)
    tree = layout.offset()
    chunk = tuple(layout.number(4) for _ in range(dimensions))
    if dimensions != len(shape) + 1 or chunk[-1] != stored.itemsize or not all(chunk):
        raise source.invalid("the chunks of an array do not fit it")
    extents = chunk[:-1]
    size = math.prod(extents) * stored.itemsize
    if size > len(source.view) * MAX_EXPANSION:
        raise source.invalid(f"a chunk of {size} bytes in a file of {len(source.view)}")
    native = _native(stored)

    def load() -> Array:
        result = np.zeros(shape, native)
        for item in _chunks(source, tree, dimensions):
            corner = item.corner
            if any(c % e or c >= s for c, e, s in zip(corner, extents, shape, strict=True)):
                raise source.invalid("a chunk lies outside of its array")
            data = _unfiltered(source, item, filters, size, stored.itemsize)
            elements = np.frombuffer(data, stored).reshape(extents)
            window = tuple(slice(c, min(c + e, s)) for c, e, s in zip(corner, extents, shape, strict=True))
            result[window] = elements[tuple(slice(0, w.stop - w.start) for w in window)]
        return result

    return Tensor(native, shape, load)


def _chunks(source: Source, tree: int | None, dimensions: int) -> Iterator[_Chunk]:
    """The chunks that a version 1 B-tree lists."""
    nodes = [tree] if tree is not None else []
    seen = set(nodes)
    while nodes:
        cursor = source.at(nodes.pop(), "a table of chunks")
        cursor.expect(b"TREE")
        kind, level, count = cursor.number(1), cursor.number(1), cursor.number(2)
        if kind != 1:
            raise source.invalid("a table of chunks is a table of something else")
        cursor.take(2 * source.offset_size)  # neighbours
        for _ in range(count):
            size, skipped = cursor.number(4), cursor.number(4)
            *corner, _ = (cursor.number(8) for _ in range(dimensions))
            address = cursor.offset()
            if address is None or (level and address in seen):
                raise source.invalid("a table of chunks leads back into itself")
            if not level:
                yield _Chunk(address, size, skipped, tuple(corner))
                continue
            seen.add(address)
            nodes.append(address)


def _unfiltered(source: Source, chunk: _Chunk, filters: list[_Filter], size: int, itemsize: int) -> bytes:
    """The elements of a chunk: the filters undone, last one first."""
    data = bytes(source.at(chunk.address, "a chunk").take(chunk.size))
    for index, item in reversed(list(enumerate(filters))):
        if chunk.skipped >> index & 1:
            continue
        if item.kind == _DEFLATE:
            data = _inflated(source, data, size + 4)
        elif item.kind == _SHUFFLE:
            whole = len(data) // itemsize * itemsize
            planes = np.frombuffer(data[:whole], np.uint8).reshape(itemsize, -1)
            data = planes.T.tobytes() + data[whole:]
        else:
            data = data[:-4]  # the checksum
    if len(data) != size:
        raise source.invalid(f"a chunk has {len(data)} bytes instead of {size}")
    return data


def _inflated(source: Source, data: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error as error:
        raise source.invalid("a chunk cannot be decompressed") from error
