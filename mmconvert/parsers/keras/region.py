"""A window of a memory-mapped file that can be handed to code that wants a file."""

from __future__ import annotations

import io
import mmap
from pathlib import Path
from typing import BinaryIO

from mmconvert.errors import InvalidModelError, UsageError


class Region(io.RawIOBase):
    """A read-only window of a mapped file; ``view`` gives its bytes without copying them."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self.view = view
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position, also beyond the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self.view)}[whence]
        if base + offset < 0:
            raise OSError("a position before the beginning of the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Copies as many bytes as there are into ``buffer``, and returns how many."""
        found = self.view[self._position : self._position + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)


def map_path(path: Path) -> memoryview:
    """The bytes of the file at ``path``, mapped.

    Raises:
        UsageError: there is no such file, or it may not be read.
        InvalidModelError: the file is empty.
    """
    try:
        with path.open("rb") as file:
            return map_file(file, str(path))
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def map_file(file: BinaryIO, where: str) -> memoryview:
    """The bytes of an open file, mapped; the mapping outlives the file object.

    Raises:
        InvalidModelError: the file is empty.
    """
    if not file.seek(0, io.SEEK_END):
        raise InvalidModelError("the file is empty", where=where)
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
