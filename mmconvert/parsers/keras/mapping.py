"""Files as memory: bytes that are loaded when they are looked at."""

from __future__ import annotations

import io
import mmap
from pathlib import Path
from typing import IO

from mmconvert.errors import InvalidModelError, UsageError


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


def map_file(file: IO[bytes], where: str) -> memoryview:
    """The bytes of an open file, mapped; the mapping outlives the file object.

    Raises:
        InvalidModelError: the file is empty.
    """
    if not file.seek(0, io.SEEK_END):
        raise InvalidModelError("the file is empty", where=where)
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
