"""Files as memory: bytes that are loaded when they are looked at."""

from __future__ import annotations

from pathlib import Path

from mmconvert.errors import UsageError
from mmconvert.files import map_open_file


def map_path(path: Path) -> memoryview:
    """The bytes of the file at ``path``, mapped.

    Raises:
        UsageError: there is no such file, or it may not be read.
        InvalidModelError: the file is empty.
    """
    try:
        with path.open("rb") as file:
            return map_open_file(file, str(path))
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
