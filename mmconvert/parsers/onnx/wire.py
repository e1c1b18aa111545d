"""The protobuf wire format, walked in place: where each field lies, without building any message.

A message is a run of fields. A field starts with a varint ``number << 3 | kind``; the kind says how long its
payload is. Weights are the payloads of such fields, so knowing where they lie is all it takes to map them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.tensors import Array

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field: its number and kind, where it starts, and where its payload begins and ends.

    ``value`` is the number of a varint field, 0 for the other kinds.
    """

    number: int
    kind: int
    value: int
    start: int
    begin: int
    end: int


def read_varint(data: memoryview | bytes, position: int, end: int) -> tuple[int, int]:
    """The varint at ``position``, which must lie before ``end``, and the position after it.

    Raises:
        InvalidModelError: it runs over the end or over 64 bits.
    """
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
        if shift > 63:
            raise InvalidModelError("a number has more than 64 bits", where=f"byte {position}")
    raise InvalidModelError("the data ends inside a number", where=f"byte {position}")


def fields(data: memoryview | bytes, begin: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies at ``data[begin:end]``.

    Raises:
        InvalidModelError: the bytes are not a message, or it is cut off.
    """
    position = begin
    while position < end:
        start = position
        tag, position = read_varint(data, position, end)
        number, kind = tag >> 3, tag & 7
        value = 0
        if kind == VARINT:
            payload = position
            value, position = read_varint(data, position, end)
        elif kind == BYTES:
            length, payload = read_varint(data, position, end)
            position = payload + length
        elif kind in _FIXED:
            payload, position = position, position + _FIXED[kind]
        else:
            raise InvalidModelError(f"no field can have the wire type {kind}", where=f"byte {start}")
        if number == 0:
            raise InvalidModelError("a field has the number 0", where=f"byte {start}")
        if position > end:
            raise InvalidModelError(
                f"field {number} needs {position - end} bytes more than there are",
                where=f"byte {start}",
                hint="the file may be incomplete; download or copy it again",
            )
        yield Field(number, kind, value, start, payload, position)


def signed(value: int) -> int:
    """A varint's 64 bits, read as a signed number."""
    return value - (1 << 64) if value >= 1 << 63 else value


def encode_varint(value: int) -> bytes:
    """``value`` (not negative) as a varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def encode_bytes(number: int, payload: bytes) -> bytes:
    """A whole field of kind ``BYTES``."""
    return encode_varint(number << 3 | BYTES) + encode_varint(len(payload)) + payload


def count_varints(data: memoryview | bytes, begin: int, end: int) -> int:
    """How many varints are packed in ``data[begin:end]``: each ends with its only byte below 128.

    Raises:
        InvalidModelError: the last one is cut off.
    """
    if begin == end:
        return 0
    if data[end - 1] >= 0x80:
        raise InvalidModelError("the data ends inside a number", where=f"byte {end}")
    return int(np.count_nonzero(np.frombuffer(data, np.uint8, end - begin, begin) < 0x80))


def unpack_varints(data: memoryview | bytes, begin: int, end: int) -> Array:
    """The varints packed in ``data[begin:end]``, as int64.

    Raises:
        InvalidModelError: the last one is cut off, or one has more than ten bytes.
    """
    if count_varints(data, begin, end) == 0:
        return np.empty(0, np.int64)
    octets = np.frombuffer(data, np.uint8, end - begin, begin)
    last = np.flatnonzero(octets < 0x80)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if int(lengths.max()) > 10:
        raise InvalidModelError("a number has more than 64 bits", where=f"byte {begin}")
    values = np.zeros(last.size, np.uint64)
    for index in range(int(lengths.max())):
        longer = lengths > index
        septets = octets[first[longer] + index].astype(np.uint64) & np.uint64(0x7F)
        values[longer] |= septets << np.uint64(7 * index)
    return values.view(np.int64)
