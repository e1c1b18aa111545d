"""Members of zip archives: looked up by name, judged before they are expanded, used in place where they can.

Names of members never become paths.
"""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib

from mmconvert.errors import InvalidModelError
from mmconvert.files import map_open_file

MAX_TEXT = 1 << 28
"""More bytes of text than this are not a description of a model."""

FREE_SIZE, MAX_EXPANSION = 1 << 30, 100
"""A member larger than the first may be at most this many times its compressed size."""

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    RuntimeError,
    OverflowError,
    MemoryError,
)
"""What reading a damaged archive raises."""

_ENCRYPTED = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_COPY_SIZE = 1 << 20


def text(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """The bytes of a member that is text.

    Raises:
        InvalidModelError: it is hostile, or far too long.
        KeyError: there is none.
    """
    info = archive.getinfo(name)
    _judge(info, where)
    if info.file_size > MAX_TEXT:
        raise InvalidModelError(f"{name} is said to have {info.file_size} bytes", where=where)
    return archive.read(info)


def data(archive: zipfile.ZipFile, name: str, whole: memoryview, where: str) -> memoryview:
    """The bytes of a member: where they lie in ``whole``, the mapped archive, or unpacked into a mapped file.

    Raises:
        InvalidModelError: it is hostile, or lies outside of the archive.
        KeyError: there is none.
    """
    info = archive.getinfo(name)
    _judge(info, where)
    if info.compress_type == zipfile.ZIP_STORED:
        return _stored(info, whole, where)
    with tempfile.TemporaryFile() as file:
        with archive.open(info) as packed:
            while block := packed.read(_COPY_SIZE):
                file.write(block)
        file.flush()
        return map_open_file(file, f"{where}:{name}")


def _judge(info: zipfile.ZipInfo, where: str) -> None:
    """Refuses a member that is not what frameworks write, before anything of it is read."""
    if info.flag_bits & _ENCRYPTED:
        raise InvalidModelError(f"{info.filename} is encrypted", where=where)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidModelError(f"{info.filename} is compressed by method {info.compress_type}", where=where)
    if info.file_size > FREE_SIZE and info.file_size > MAX_EXPANSION * info.compress_size:
        raise InvalidModelError(
            f"{info.filename} would expand from {info.compress_size} to {info.file_size} bytes", where=where
        )


def _stored(info: zipfile.ZipInfo, whole: memoryview, where: str) -> memoryview:
    """The bytes of an uncompressed member, in place.

    The directory at the end of the archive gives the place of the member's own header, whose name and extra
    field may be longer or shorter than the directory's.
    """
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(whole, info.header_offset)
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if signature != b"PK\x03\x04" or not 0 <= info.header_offset <= start <= len(whole) - info.file_size:
        raise InvalidModelError(f"{info.filename} lies outside the archive", where=where)
    return whole[start : start + info.file_size]
