"""Files written whole or not at all, and files read without being copied."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmconvert.errors import InvalidModelError, UsageError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under ``path`` only when the block ends without an error.

    The bytes go to a hidden file beside the target, which is flushed to disk and renamed; an error, an
    interrupt or a kill leaves what was under ``path`` before as it was.

    Raises:
        UsageError: the folder does not exist or cannot be written, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        file = beside.open("xb")
    except OSError as error:
        raise UsageError(f"cannot write here: {error.strerror}", where=str(path)) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"could not be written: {error.strerror}", where=str(path)) from error
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def map_file(path: Path) -> memoryview:
    """The bytes of a file, mapped into memory and read on demand.

    Raises:
        UsageError: there is no such file, or it may not be read.
        InvalidModelError: it is empty, or no file at all.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise InvalidModelError("the file is empty", where=str(path))
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except IsADirectoryError as error:
        raise InvalidModelError("this is a folder, not a model file", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
