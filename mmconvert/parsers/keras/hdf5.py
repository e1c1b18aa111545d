"""Reads HDF5 files from memory-mapped regions, trusting nothing in them.

A file is open only inside ``with``: the HDF5 library must not outlive the bytes under it. Arrays that lie in
one piece are used in place; others (chunked, compressed) are read by opening the file again when asked for.
Links that lead out of the file, or to names instead of objects, are refused.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.parsers.keras.region import Region
from mmconvert.tensors import Array, Tensor

MAGIC = b"\x89HDF\r\n\x1a\n"

MAX_EXPANSION = 1100
"""Deflate packs at most 1032 bytes into one; an array that claims more than this is hostile."""

_BROKEN = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    AttributeError,
    RuntimeError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turns whatever the HDF5 library raises inside into an error of ours.

    Raises:
        InvalidModelError: the library could not make sense of the file.
    """
    try:
        yield
    except _BROKEN as error:
        raise InvalidModelError(f"the HDF5 file is damaged: {error}", where=where) from error


class H5File:
    """An HDF5 file, open inside ``with``."""

    def __init__(self, region: Region, where: str) -> None:
        """
        Args:
            region: the bytes of the file.
            where: what to call the file in messages.
        """
        self.region, self.where = region, where
        self._file: Any = None

    def __enter__(self) -> Group:
        with reading(self.where):
            # The region is handed over as a file object, so that no name in it is ever resolved as a path.
            self._file = h5py.File(Region(self.region.view), "r")
            return Group(self, self._file.id, "")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Group:
    """A group of an open file."""

    def __init__(self, file: H5File, identifier: Any, path: str) -> None:
        self.file, self.path = file, path
        self._id = identifier
        self._children: dict[str, Any] = {}

    @property
    def where(self) -> str:
        """The place of this group, for messages."""
        return f"{self.file.where}:{self.path or '/'}"

    def __contains__(self, name: str) -> bool:
        return self._member(name) is not None

    def names(self) -> list[str]:
        """The names of the members."""
        with reading(self.where):
            return [name.decode() for name in self._id]

    def group(self, path: str) -> Group | None:
        """The group at ``path`` below this one, or None where there is nothing.

        Raises:
            InvalidModelError: something else than a group is there.
        """
        found: Any = self
        for name in filter(None, path.split("/")):
            found = found._member(name)
            if found is None:
                return None
            if not isinstance(found, Group):
                raise InvalidModelError("a group was expected, not an array", where=self.where + path)
        assert isinstance(found, Group)
        return found

    def tensor(self, path: str) -> Tensor:
        """The array at ``path`` below this group.

        Raises:
            InvalidModelError: there is none, or it is not what the file says.
        """
        parent, _, name = path.rpartition("/")
        group = self.group(parent)
        member = group._member(name) if group is not None else None
        if group is None or member is None:
            raise InvalidModelError(f"there is no array {path!r}", where=self.where)
        if isinstance(member, Group):
            raise InvalidModelError(f"an array was expected at {path!r}, not a group", where=self.where)
        return _tensor(self.file, member, f"{group.path}/{name}")

    def attribute(self, name: str) -> Any:
        """An attribute as h5py returns it, or None where there is none.

        Raises:
            InvalidModelError: it cannot be read, or claims more bytes than the file has.
        """
        with reading(self.where):
            if not h5py.h5a.exists(self._id, name.encode()):
                return None
            size = h5py.h5a.open(self._id, name.encode()).get_storage_size()
            if size > len(self.file.region.view):
                raise InvalidModelError(f"attribute {name!r} is said to have {size} bytes", where=self.where)
            return h5py.AttributeManager(h5py.Group(self._id)).get(name)

    def text(self, name: str) -> str | None:
        """A text attribute, or None where there is none.

        Raises:
            InvalidModelError: it is not text.
        """
        value = self.attribute(name)
        if value is None:
            return None
        with reading(self.where):
            return _text(value)

    def texts(self, name: str) -> list[str] | None:
        """A list of texts, which Keras cuts into ``name0``, ``name1``, ... when it is long; or None."""
        if (whole := self.attribute(name)) is not None:
            return self._list(whole)
        found: list[str] | None = None
        for count in itertools.count():
            part = self.attribute(f"{name}{count}")
            if part is None:
                break
            found = (found or []) + self._list(part)
        return found

    def _list(self, value: Any) -> list[str]:
        with reading(self.where):
            return [_text(item) for item in np.asarray(value).reshape(-1).tolist()]

    def _member(self, name: str) -> Any:
        """The group, or the identifier of the array, called ``name``; None where there is neither.

        Raises:
            InvalidModelError: it is a link that leads elsewhere, or something else again.
        """
        if name in self._children:
            return self._children[name]
        with reading(self.where):
            if not name or not self._id.links.exists(name.encode()):
                return None
            if self._id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise InvalidModelError(f"{name!r} is a link to somewhere else", where=self.where)
            member = h5py.h5o.open(self._id, name.encode())
        if isinstance(member, h5py.h5g.GroupID):
            member = Group(self.file, member, f"{self.path}/{name}")
        elif not isinstance(member, h5py.h5d.DatasetID):
            raise InvalidModelError(f"{name!r} is neither a group nor an array", where=self.where)
        self._children[name] = member
        return member


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"text was expected, not {type(value).__name__}")


def _tensor(file: H5File, dataset: Any, path: str) -> Tensor:
    where = f"{file.where}:{path}"
    with reading(where):
        dtype, shape = _type(dataset, where), tuple(int(e) for e in dataset.shape)
        properties = dataset.get_create_plist()
        layout, offset = properties.get_layout(), dataset.get_offset()
        if layout == h5py.h5d.VIRTUAL or properties.get_external_count():
            raise InvalidModelError("the array lies outside the file", where=where)
        size = math.prod(shape) * dtype.itemsize
        stored = dataset.get_storage_size()
        chunk = properties.get_chunk() if layout == h5py.h5d.CHUNKED else ()
        if max(size, math.prod(chunk) * dtype.itemsize if chunk else 0) > stored * MAX_EXPANSION:
            raise InvalidModelError(f"{size} bytes are announced where {stored} are stored", where=where)
        if layout != h5py.h5d.CONTIGUOUS or offset is None or not dataset.dtype.isnative:
            return Tensor(dtype, shape, lambda: _read(file, path, dtype))
    view = file.region.view
    if offset + size > len(view):
        raise InvalidModelError("the array reaches beyond the end of the file", where=where)
    return Tensor(dtype, shape, lambda: np.frombuffer(view[offset : offset + size], dtype).reshape(shape))


def _type(dataset: Any, where: str) -> DType:
    """The element type of a dataset, in this machine's byte order.

    NumPy has no bfloat16: Keras writes it as two opaque bytes and names it in an attribute.
    """
    dtype: DType = dataset.dtype
    if dtype.kind == "V" and dtype.itemsize == 2:
        attributes = h5py.AttributeManager(h5py.Dataset(dataset))
        native = dtypes.BF16 if attributes.get("dtype") == "bfloat16" else dtype
    else:
        native = np.dtype(dtype.str.replace(">", "<" if sys.byteorder == "little" else ">"))
    if not dtypes.known(native):
        raise UnsupportedError(f"an array of {dtype} is not supported", where=where)
    return native


def _read(file: H5File, path: str, dtype: DType) -> Array:
    """An array that does not lie in one piece: read by the HDF5 library, from a file opened for it alone."""
    parent, _, name = path.rpartition("/")
    with H5File(file.region, file.where) as root:
        group = root.group(parent)
        assert group is not None
        with reading(f"{file.where}:{path}"):
            array: Array = np.asarray(h5py.Dataset(group._member(name))[()])
            return array.view(dtype) if dtype.kind == "V" else array.astype(dtype, copy=False)
