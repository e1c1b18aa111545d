"""Weights that lie in other files, beside the model: nothing outside of the model's folder is ever read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.files import map_file


class Folder:
    """The folder of a model, and the files in it that were mapped so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped: dict[str, memoryview] = {}

    def find(self, entries: Mapping[str, str], nbytes: int, where: str) -> tuple[memoryview, int]:
        """The mapped file that holds ``nbytes`` bytes of a tensor, and their offset in it.

        Args:
            entries: ``external_data`` of the tensor: ``location``, ``offset`` and ``length``.
            nbytes: what the tensor takes.
            where: what to call the tensor in a message.

        Raises:
            InvalidModelError: the file is outside of the folder, missing, or too short.
        """
        location = entries.get("location", "")
        offset, length = _number(entries, "offset", 0, where), _number(entries, "length", nbytes, where)
        if length != nbytes:
            raise InvalidModelError(
                f"the tensor takes {nbytes} bytes, and its length is {length}", where=where
            )
        if nbytes == 0:
            return memoryview(b""), 0
        data = self._map(location, where)
        if offset + length > len(data):
            raise InvalidModelError(
                f"{location!r} has {len(data)} bytes, and bytes {offset} to {offset + length} are needed",
                where=where,
                hint="the file may be incomplete; download or copy it again",
            )
        return data, offset

    def _map(self, location: str, where: str) -> memoryview:
        if location not in self._mapped:
            path = self._resolve(location, where)
            try:
                self._mapped[location] = map_file(path)
            except UsageError as error:
                raise InvalidModelError(
                    f"its values are in {location!r}, which {error.message}",
                    where=where,
                    hint="keep the files of the model together in one folder",
                ) from error
        return self._mapped[location]

    def _resolve(self, location: str, where: str) -> Path:
        posix, windows = PurePosixPath(location), PureWindowsPath(location)
        absolute = posix.is_absolute() or windows.is_absolute() or bool(windows.drive)
        if not location or "\0" in location or absolute or ".." in (*posix.parts, *windows.parts):
            raise InvalidModelError(f"its values may not be in {location!r}", where=where)
        try:
            path = (self.path / location).resolve()
        except (OSError, RuntimeError) as error:
            raise InvalidModelError(f"its values may not be in {location!r}", where=where) from error
        if not path.is_relative_to(self.path.resolve()):
            raise InvalidModelError(
                f"its values are in {location!r}, a link that leaves the model's folder",
                where=where,
                hint="copy the file itself into the folder of the model",
            )
        return path


def _number(entries: Mapping[str, str], key: str, default: int, where: str) -> int:
    value = entries.get(key, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise InvalidModelError(f"{key} = {value[:40]!r} is not a number of bytes", where=where)
    return int(value)
