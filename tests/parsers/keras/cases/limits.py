"""What the targets cannot do, with the reasons; a row that begins to work fails its test."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from .row import Row


@dataclass(frozen=True)
class Cannot:
    """Rows that a target cannot express, and why; a row that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str

    def covers(self, row: Row) -> bool:
        return fnmatchcase(row.name, self.name)


CANNOT: dict[str, list[Cannot]] = {"onnx": [], "tflite": []}
