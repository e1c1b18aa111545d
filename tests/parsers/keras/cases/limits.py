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


_CUBIC = "TFLite has no cubic resizing, and images of other sizes need other weights"

CANNOT: dict[str, list[Cannot]] = {
    "onnx": [Cannot("resizing_bicubic", "ONNX Runtime resizes by cubics over the last two axes only")],
    "tflite": [
        Cannot("resizing_bicubic", _CUBIC),
        Cannot("up2d_bicubic", _CUBIC),
        Cannot("up3d", "TFLite resizes two axes at most, and the operator has no decomposition"),
    ],
}
