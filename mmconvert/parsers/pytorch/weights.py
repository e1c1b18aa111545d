"""Files of weights: zip archives with a pickle, the older stream of pickles, safetensors. Without torch.

Tensors stay where they lie in the file.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from mmconvert.dtypes import BY_NAME, DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.files import map_file
from mmconvert.parsers import zipped
from mmconvert.parsers.pytorch.pickled import Pickle
from mmconvert.parsers.pytorch.rebuilt import Find, Table, rebuild, require_known, storage_element
from mmconvert.parsers.pytorch.storage import MAX_RANK, Stored, row_major_strides

Kind = Literal["program", "script", "package", "pickle", "safetensors", "tar", ""]

_ZIP, _TAR = b"PK\x03\x04", b"ustar"
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in (2, 3, 4, 5))
_MAGIC = 0x1950A86A20F9469CFC6C
_TAR_MEMBERS = (b"sys_info", b"pickle", b"storages", b"tensors")

OLD_PROGRAM = "serialized_exported_program.json"
"""The description of a program, in archives of torch 2.1 to 2.7."""

MAX_HEADER = 100 << 20
"""A longer header of a safetensors file is no list of tensors."""


def kind_of(path: Path, head: bytes) -> Kind:
    """What a file of PyTorch is, by its content; of an archive only the directory is read."""
    if head.startswith(_ZIP):
        try:
            with zipfile.ZipFile(path) as archive:
                return _kind_of_zip(archive.namelist()) if begins_at_zero(archive) else ""
        except zipped.BROKEN:
            return ""
    if head.startswith(_PICKLES):
        return "pickle"
    if len(head) > 9 and head[8:9] == b"{" and head[9:].lstrip()[:1] in (b'"', b"}"):
        return "safetensors" if int.from_bytes(head[:8], "little") <= MAX_HEADER else ""
    if head[257:262] == _TAR and head.partition(b"\0")[0].rstrip(b"/") in _TAR_MEMBERS:
        return "tar"
    return ""


def _kind_of_zip(names: list[str]) -> Kind:
    if any(is_model(name) or name == OLD_PROGRAM for name in names):
        return "program"
    parts = {name.partition("/")[2] for name in names}
    if "constants.pkl" in parts and any(part.startswith("code/") for part in parts):
        return "script"
    if "data.pkl" in parts:
        return "pickle"
    return "package" if ".data/extern_modules" in parts else ""


def begins_at_zero(archive: zipfile.ZipFile) -> bool:
    """False for what is left of an archive that was cut off after a member that is itself an archive."""
    return min((info.header_offset for info in archive.infolist()), default=0) == 0


def is_model(name: str) -> bool:
    """True for the name of a member that describes a program."""
    return "/models/" in f"/{name}" and name.endswith(".json")


def read_weights(path: Path, kind: Kind) -> Any:
    """What a file of weights holds: tables of tensors (``Stored``), numbers and texts.

    Args:
        path: the file.
        kind: what it is.

    Raises:
        UsageError: the file cannot be read.
        InvalidModelError: it is damaged or hostile.
        UnsupportedError: it holds more than weights, or is of a kind that cannot be read.
    """
    whole, where = map_file(path, private=True), str(path)
    if kind == "safetensors":
        return _safetensors(whole, where)
    if kind in ("tar", "package"):
        what = "a tar archive of torch 0.1" if kind == "tar" else "a torch.package archive, which holds code"
        hint = "load it with torch, and save model.state_dict() again"
        raise UnsupportedError(what, where=where, hint=hint)
    return unpickled(whole, where)


def unpickled(whole: memoryview, where: str) -> Any:
    """What `torch.save` wrote, in either of its formats, or a bare pickle of arrays.

    Raises:
        InvalidModelError, UnsupportedError: as ``read_weights``.
    """
    if whole[:4] != _ZIP:
        return _stream(whole, where)
    archive = Archive(whole, where)
    root = archive.root
    order = archive.text(f"{root}byteorder").strip() if f"{root}byteorder" in archive.names else b"little"
    if order != b"little":
        raise UnsupportedError("weights with the most significant byte first", where=where)

    def find(key: str, dtype: DType) -> memoryview:
        name = f"{root}data/{key}"
        if name not in archive.names:
            raise InvalidModelError(f"the archive has no {name}", where=where)
        return archive.data(name)

    return rebuild(Pickle(memoryview(archive.text(f"{root}data.pkl")), where), find)


class Archive:
    """A zip archive in mapped bytes, which may themselves be a member of another one.

    Attributes:
        names: of its members.
    """

    def __init__(self, whole: memoryview, where: str) -> None:
        """
        Raises:
            InvalidModelError: it is no zip archive.
        """
        self.whole, self.where = whole, where
        self._known: dict[str, memoryview] = {}
        try:
            self._archive = zipfile.ZipFile(_Bytes(whole))
            if not begins_at_zero(self._archive):
                raise zipfile.BadZipFile("it is a part of a larger one")
        except zipped.BROKEN as error:
            raise self._damaged(error) from error
        self.names = dict.fromkeys(self._archive.namelist())

    @property
    def root(self) -> str:
        """The folder that `data.pkl` is in, with its slash.

        Raises:
            InvalidModelError: there is none.
        """
        found = min((name for name in self.names if f"/{name}".endswith("/data.pkl")), key=len, default=None)
        if found is None:
            raise InvalidModelError("the archive has no data.pkl", where=self.where)
        return found.removesuffix("data.pkl")

    def text(self, name: str) -> bytes:
        """A member that is a description.

        Raises:
            InvalidModelError: it is not there, or is damaged.
        """
        try:
            return zipped.text(self._archive, name, self.where)
        except zipped.BROKEN as error:
            raise self._damaged(error) from error

    def data(self, name: str) -> memoryview:
        """A member that is weights, where it lies.

        Raises:
            InvalidModelError: it is not there, or is damaged.
        """
        if name not in self._known:
            try:
                self._known[name] = zipped.data(self._archive, name, self.whole, self.where)
            except zipped.BROKEN as error:
                raise self._damaged(error) from error
        return self._known[name]

    def _damaged(self, error: Exception) -> InvalidModelError:
        return InvalidModelError(f"the archive is damaged: {error}", where=self.where)


class _Bytes(io.RawIOBase):
    """Mapped bytes as a file."""

    def __init__(self, whole: memoryview) -> None:
        self.whole, self.place = whole, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: len(self.whole)}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self.place = base + offset
        return self.place

    def readinto(self, target: Any, /) -> int:
        found = self.whole[self.place : self.place + len(target)]
        target[: len(found)] = found
        self.place += len(found)
        return len(found)


# --- the older format ------------------------------------------------------------------------------------


def stream(whole: memoryview, where: str) -> Iterator[Pickle]:
    """The pickles that follow one another in a file of the older format; one, if it is of no format at all.

    Raises:
        InvalidModelError: one of them is damaged.
    """
    first = Pickle(whole, where)
    yield first
    if first.result == _MAGIC:
        end = first.end
        for _ in range(4):  # protocol, system, what was saved, keys of storages
            found = Pickle(whole, where, end)
            yield found
            end = found.end


def _stream(whole: memoryview, where: str) -> Any:
    pickles = []
    for pickle in stream(whole, where):
        require_known(pickle)
        pickles.append(pickle)
    if len(pickles) == 1:
        return rebuild(pickles[0], _no_storage(where))
    *_, saved, listed = pickles
    keys = listed.result if isinstance(listed.result, list) else []
    elements = dict(filter(None, map(storage_element, saved.persistent)))  # it is elements that are counted
    places: dict[str, tuple[int, int]] = {}
    end = listed.end
    for key in map(str, keys):
        (count,) = struct.unpack_from("<q", whole, end) if end + 8 <= len(whole) else (-1,)
        size = count * elements[key].itemsize if key in elements else count
        if not 0 <= size <= len(whole) - end - 8:
            raise InvalidModelError(f"the storage {key} lies outside the file", where=where)
        places[key] = end + 8, size
        end += 8 + size

    def find(key: str, dtype: DType) -> memoryview:
        if key not in places:
            raise InvalidModelError(f"the file has no storage {key}", where=where)
        start, size = places[key]
        return whole[start : start + size]

    return rebuild(saved, find)


def _no_storage(where: str) -> Find:
    def find(key: str, dtype: DType) -> memoryview:
        raise InvalidModelError(f"the file has no storage {key}", where=where)

    return find


# --- safetensors -----------------------------------------------------------------------------------------

_SAFETENSORS = {
    **{f"{kind.upper()}{bits}": f"{kind}{bits}" for kind in "iu" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"f{bits}" for bits in (16, 32, 64)},
    "BF16": "bf16",
    "F8_E4M3": "f8e4m3fn",
    "F8_E5M2": "f8e5m2",
    "F8_E8M0": "f8e8m0",
    "BOOL": "bool",
    "C64": "c64",
}


def _safetensors(whole: memoryview, where: str) -> Table:
    length = int.from_bytes(whole[:8], "little")
    if length > min(len(whole) - 8, MAX_HEADER):
        raise InvalidModelError("the header is longer than the file", where=where)
    try:
        header = json.loads(bytes(whole[8 : 8 + length]))
        header.pop("__metadata__", None)
        body = whole[8 + length :]
        return Table({str(name): _entry(name, about, body, where) for name, about in header.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__} {error}"
        raise InvalidModelError(f"the header is damaged: {what}", where=where) from error


def _entry(name: str, about: Any, body: memoryview, where: str) -> Stored:
    if about["dtype"] not in _SAFETENSORS:
        raise UnsupportedError(f"{name} has the element type {about['dtype']}", where=where)
    dtype = BY_NAME[_SAFETENSORS[about["dtype"]]]
    shape = tuple(about["shape"])
    start, end = about["data_offsets"]
    if not all(isinstance(n, int) and n >= 0 for n in (start, end, *shape)):
        raise InvalidModelError(f"{name} has no shape or place", where=where)
    found = Stored(body[start:end], dtype, shape, row_major_strides(shape[:MAX_RANK]), 0)
    found.require_room(name, where)
    if not start <= end <= len(body) or math.prod(shape) * dtype.itemsize != end - start:
        raise InvalidModelError(f"{name} of the shape {list(shape)} is not {end - start} bytes", where=where)
    return found
