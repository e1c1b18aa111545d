"""Reads `.keras` archives: a zip with `metadata.json`, `config.json` and `model.weights.h5`.

Names of members are looked up and never become paths. What a member will expand to is judged before it is
expanded. Weights that are stored without compression, as Keras stores them, are used where they lie.
"""

from __future__ import annotations

import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.files import map_open_file
from mmconvert.parsers.keras.mapping import map_path

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

MAX_TEXT = 1 << 28
"""More bytes of JSON than this are not a description of layers."""

FREE_SIZE, MAX_EXPANSION = 1 << 30, 100
"""A member larger than the first may be at most this many times its compressed size."""

_BROKEN = (
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
_ENCRYPTED = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_COPY_SIZE = 1 << 20


@dataclass(frozen=True)
class Archive:
    """The parts of a `.keras` file.

    Attributes:
        config: the text of `config.json`.
        metadata: the text of `metadata.json`.
        weights: the bytes of the HDF5 file with the weights.
    """

    config: bytes
    metadata: bytes
    weights: memoryview


def is_archive(path: Path) -> bool:
    """True when ``path`` is a zip with the members of a `.keras` file; only its directory is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG, METADATA} <= set(archive.namelist())
    except _BROKEN:
        return False


def read_archive(path: Path) -> Archive:
    """Opens a `.keras` file; its weights stay where they are.

    Raises:
        UsageError: the file cannot be read.
        UnsupportedError: the weights are in another form than HDF5.
        InvalidModelError: the archive is damaged, hostile, or lacks a member.
    """
    whole = map_path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise _no_weights(archive.namelist(), str(path))
            texts = [_text(archive, name, str(path)) for name in (CONFIG, METADATA)]
            return Archive(texts[0], texts[1], _weights(archive, whole, str(path)))
    except _BROKEN as error:
        raise InvalidModelError(f"the archive is damaged: {error}", where=str(path)) from error


def _no_weights(members: list[str], where: str) -> UnsupportedError | InvalidModelError:
    other = [name for name in members if name.startswith("model.weights.")]
    if other:
        return UnsupportedError(
            f"the weights are kept in {other[0]}", where=where, hint=f"save the model with {WEIGHTS} in it"
        )
    return InvalidModelError(f"the archive has no {WEIGHTS}", where=where)


def _text(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    info = archive.getinfo(name)
    _judge(info, where)
    if info.file_size > MAX_TEXT:
        raise InvalidModelError(f"{name} is said to have {info.file_size} bytes", where=where)
    return archive.read(info)


def _judge(info: zipfile.ZipInfo, where: str) -> None:
    """Refuses a member that is not what Keras writes, before anything of it is read."""
    if info.flag_bits & _ENCRYPTED:
        raise InvalidModelError(f"{info.filename} is encrypted", where=where)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidModelError(f"{info.filename} is compressed by method {info.compress_type}", where=where)
    if info.file_size > FREE_SIZE and info.file_size > MAX_EXPANSION * info.compress_size:
        raise InvalidModelError(
            f"{info.filename} would expand from {info.compress_size} to {info.file_size} bytes", where=where
        )


def _weights(archive: zipfile.ZipFile, whole: memoryview, where: str) -> memoryview:
    info = archive.getinfo(WEIGHTS)
    _judge(info, where)
    if info.compress_type == zipfile.ZIP_STORED:
        return _stored(info, whole, where)
    with tempfile.TemporaryFile() as file:
        with archive.open(info) as packed:
            while block := packed.read(_COPY_SIZE):
                file.write(block)
        return map_open_file(file, f"{where}:{WEIGHTS}")


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
