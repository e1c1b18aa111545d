"""Files and groups: finding what has a name."""

from __future__ import annotations

import itertools

from mmconvert.errors import InvalidModelError
from mmconvert.parsers.keras.hdf5.arrays import is_array, tensor
from mmconvert.parsers.keras.hdf5.cursor import Source
from mmconvert.parsers.keras.hdf5.header import ATTRIBUTE, ATTRIBUTE_INFO, Message, messages
from mmconvert.parsers.keras.hdf5.links import is_group, links
from mmconvert.parsers.keras.hdf5.texts import Attribute, attribute
from mmconvert.tensors import Tensor

MAGIC = b"\x89HDF\r\n\x1a\n"


def open_file(view: memoryview, where: str) -> Group:
    """The root group of the HDF5 file in ``view``, which ``where`` is called in messages.

    Raises:
        InvalidModelError: it is no HDF5 file.
        UnsupportedError: it is of a version that is not known.
    """
    cursor = Source(view, where).at(0, "the head of the file")
    cursor.expect(MAGIC)
    version = cursor.number(1)
    if version > 3:
        raise cursor.source.unsupported(f"superblock version {version}")
    old = version < 2
    cursor.take(4 if old else 0)  # versions of other parts
    sizes = cursor.number(1), cursor.number(1)
    if not all(size in (2, 4, 8) for size in sizes):
        raise cursor.source.invalid(f"addresses of {sizes[0]} and lengths of {sizes[1]} bytes")
    cursor.take({0: 9, 1: 13}.get(version, 1))  # sizes of tree nodes, flags
    base = cursor.number(sizes[0])
    cursor.take(
        (4 if old else 2) * sizes[0]
    )  # free space or extension, end of file, driver, name of the root
    source = Source(view, where, base, *sizes)
    return Group(source, messages(source, cursor.number(sizes[0])), "")


class Group:
    """A group of an HDF5 file."""

    def __init__(self, source: Source, header: list[Message], path: str) -> None:
        self._source, self._header, self.path = source, header, path
        self._links: dict[str, int | None] | None = None
        self._groups: dict[str, Group] = {}
        self._attributes: dict[str, Attribute] | None = None

    @property
    def where(self) -> str:
        """The place of this group, for messages."""
        return f"{self._source.where}:{self.path or '/'}"

    def __contains__(self, name: str) -> bool:
        return name in self._members()

    def names(self) -> list[str]:
        """The names of the members."""
        return list(self._members())

    def group(self, path: str) -> Group | None:
        """The group at ``path`` below this one, or None where there is nothing.

        Raises:
            InvalidModelError: something else than a group is there.
        """
        found = self
        for name in filter(None, path.split("/")):
            if name not in found:
                return None
            found = found._child(name)
        return found

    def tensor(self, path: str) -> Tensor:
        """The array at ``path`` below this group.

        Raises:
            UnsupportedError: it is stored in a way that Keras does not use.
            InvalidModelError: there is none, or it is not what the file says.
        """
        parent, _, name = path.rpartition("/")
        group = self.group(parent)
        if group is None or name not in group:
            raise InvalidModelError(f"there is no array {path!r}", where=self.where)
        header = group._open(name)
        if not is_array(header):
            raise InvalidModelError(f"an array was expected at {path!r}, not a group", where=self.where)
        # Keras writes bfloat16 as two opaque bytes, and names it in an attribute.
        mark = _attributes(self._source, header).get("dtype")
        bfloat16 = mark is not None and mark.texts() == ["bfloat16"]
        return tensor(self._source, header, bfloat16=bfloat16)

    def text(self, name: str) -> str | None:
        """A text attribute, or None where there is none.

        Raises:
            InvalidModelError: it is not one text.
        """
        texts = self._texts(name)
        if texts is not None and len(texts) != 1:
            raise InvalidModelError(f"attribute {name!r} is not one text", where=self.where)
        return None if texts is None else texts[0]

    def texts(self, name: str) -> list[str] | None:
        """A list of texts, which Keras cuts into ``name0``, ``name1``, ... when it is long; or None."""
        if (whole := self._texts(name)) is not None:
            return whole
        found: list[str] | None = None
        for count in itertools.count():
            part = self._texts(f"{name}{count}")
            if part is None:
                return found
            found = (found or []) + part
        return found

    def _texts(self, name: str) -> list[str] | None:
        if self._attributes is None:
            self._attributes = _attributes(self._source, self._header)
        found = self._attributes.get(name)
        if found is None:
            return None
        texts = found.texts()
        if texts is None and found.shape != (0,):
            raise InvalidModelError(f"attribute {name!r} is not text", where=self.where)
        return texts or []  # an empty list is one of numbers

    def _members(self) -> dict[str, int | None]:
        if self._links is None:
            self._links = links(self._source, self._header)
        return self._links

    def _child(self, name: str) -> Group:
        if name not in self._groups:
            header = self._open(name)
            if not is_group(header):
                raise InvalidModelError(f"a group was expected at {name!r}, not an array", where=self.where)
            self._groups[name] = Group(self._source, header, f"{self.path}/{name}")
        return self._groups[name]

    def _open(self, name: str) -> list[Message]:
        address = self._members()[name]
        if address is None:
            raise InvalidModelError(f"{name!r} is a link to somewhere else", where=self.where)
        return messages(self._source, address)


def _attributes(source: Source, header: list[Message]) -> dict[str, Attribute]:
    found = {}
    for message in header:
        if message.kind == ATTRIBUTE:
            name, value = attribute(source, message.read(source))
            found[name] = value
        elif message.kind == ATTRIBUTE_INFO:
            cursor = message.read(source)
            cursor.take(1)
            flags = cursor.number(1)
            cursor.take(2 if flags & 1 else 0)
            if cursor.offset() is not None:
                raise source.unsupported("dense storage of attributes")
    return found
