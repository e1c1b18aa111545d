"""Files written whole or not at all, and files read without being copied."""

from __future__ import annotations

import io
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO
from weakref import WeakKeyDictionary, WeakSet

from mmconvert.errors import InvalidModelError, UsageError

_AHEAD = 1 << 25  # bytes that are written before they are sent on to the disk

_mapped: WeakKeyDictionary[mmap.mmap, tuple[int, int]] = WeakKeyDictionary()
"""The device and number of the file behind each mapping that is in use."""

_private: WeakSet[mmap.mmap] = WeakSet()
"""Mappings that may have been written into: their pages are not those of the file any more."""


def require_file(path: Path) -> None:
    """Makes sure that ``path`` is something to read: a file or a folder.

    Pipes and devices are refused before they are opened, which could wait for ever.

    Raises:
        UsageError: there is nothing of that name, or it is neither file nor folder.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        raise UsageError(f"cannot be read: {_reason(error)}", where=str(path)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError("is neither a file nor a folder", where=str(path))


def require_writable(path: Path, *, folder: bool = False) -> None:
    """Makes sure, before any work is done, that something can be written under ``path``.

    Args:
        path: where to write.
        folder: what will be written is a folder, so one that is there is no obstacle.

    Raises:
        UsageError: its folder does not exist, or something that is no file stands in the way.
    """
    try:
        if not path.parent.is_dir():
            what = "is no folder" if path.parent.exists() else "there is no such folder"
            raise UsageError(f"cannot write here: {what}", where=str(path.parent))
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write here: {_reason(error)}", where=str(path)) from error
    if stat.S_ISDIR(mode) and not folder:
        raise UsageError("cannot write here: this is a folder", where=str(path), hint="give a file's name")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # A device would be replaced by the rename at the end, not written to.
        raise UsageError("cannot write here: this is no file", where=str(path))


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under ``path`` only when the block ends without an error.

    The bytes go to a hidden file beside the target, which is flushed to disk and renamed; an error, an
    interrupt or a kill leaves what was under ``path`` before as it was. A kill leaves the hidden file, too.

    Raises:
        UsageError: the folder does not exist or cannot be written, or the disk is full.
    """
    require_writable(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = io.BufferedWriter(_Flowing(beside, "x"))
    except OSError as error:
        raise UsageError(f"cannot write here: {_reason(error)}", where=str(path)) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"could not be written: {_reason(error)}", where=str(path)) from error
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


class _Flowing(io.FileIO):
    """A file on its way to the disk while it is being written, so that the flush at the end is short."""

    _waiting = 0

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self._waiting += written
        if self._waiting >= _AHEAD and hasattr(os, "posix_fadvise"):
            # Dirty pages cannot be dropped, as this asks; Linux starts to write them, and does not wait.
            start = self.tell() - self._waiting
            os.posix_fadvise(self.fileno(), start, self._waiting, os.POSIX_FADV_DONTNEED)
            self._waiting = 0
        return written


def read_text(path: Path) -> str:
    """A text file of the user's.

    Raises:
        UsageError: it cannot be read, or is no text in UTF-8.
    """
    require_file(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot be read: {_reason(error)}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError("is no text in UTF-8", where=str(path)) from error


def map_file(path: Path, *, private: bool = False) -> memoryview:
    """The bytes of a file, mapped into memory and read on demand.

    Args:
        path: the file.
        private: whoever gets the bytes may write into them, which the file does not notice.

    Raises:
        UsageError: there is no such file, or it may not be read.
        InvalidModelError: it is empty, or no file at all.
    """
    try:
        with path.open("rb") as file:
            return map_open_file(file, str(path), private=private)
    except IsADirectoryError as error:
        raise InvalidModelError("this is a folder, not a model file", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"cannot be read: {_reason(error)}", where=str(path)) from error


def map_open_file(file: IO[bytes], where: str, *, private: bool = False) -> memoryview:
    """The bytes of an open file, mapped; the mapping outlives the file object.

    Raises:
        InvalidModelError: the file is empty.
    """
    status = os.fstat(file.fileno())
    if status.st_size == 0:
        raise InvalidModelError("the file is empty", where=where)
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY if private else mmap.ACCESS_READ)
    _mapped[mapped] = status.st_dev, status.st_ino
    if private:
        _private.add(mapped)
    return memoryview(mapped)


def is_mapped(path: Path) -> bool:
    """Whether the file under ``path`` is one that is being read from."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) in _mapped.values()


def release_pages() -> None:
    """Gives back the memory that mapped files take up; whoever looks at a page again finds it as it was.

    The pages of a mapping count as memory of the process from the first look at them on, so a walk over a
    large file would seem to hold all of it, and where memory is limited it would have to fit.
    """
    if hasattr(mmap, "MADV_DONTNEED"):  # Windows has no such call
        for mapped in set(_mapped) - set(_private):
            mapped.madvise(mmap.MADV_DONTNEED)


def _reason(error: Exception) -> str:
    """What went wrong, without the error's number and path; libraries raise OSError without either."""
    return str(getattr(error, "strerror", None) or error)
