"""Weights in a file beside the model, which may be as large as it will."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from mmconvert.emitters.flat import LIMIT, Blob, Table, write_blob

INSIDE = LIMIT - (1 << 27)
"""How many bytes of weights a file has a place for, beside all else that is in it."""

_SMALLEST = 1024  # bytes of a vector that leaves the file
_CONSTANTS = ("float32s", "int32s")


@dataclass(slots=True)
class External:
    """The weights that were taken out of a file, in order.

    Constants and two-dimensional convolutions have a place for that; MNN 3.6.1 crashes on three-dimensional
    ones, whose weights stay.
    """

    blobs: list[Blob] = field(default_factory=list)
    size: int = 0

    def take(self, operators: Iterable[Table]) -> None:
        """Takes the large vectors out of the parameters of operators."""
        for operator in operators:
            main = operator.values["main"]
            if main is None or sum(blob.nbytes for blob in _blobs(main)) < _SMALLEST:
                continue
            if main.type.name == "Blob":
                (slot,) = (name for name in _CONSTANTS if name in main.values)
                main.values["external"] = self._put([main.values.pop(slot)])
            elif main.type.name == "Convolution2D":
                self._convolution(main.values)

    def _convolution(self, slots: dict[str, Any]) -> None:
        bias = np.array(slots.pop("bias"), np.float32)
        parts: list[Blob | None] = [slots.pop("weight", None)]
        if (quantized := slots.get("quanParameter")) is not None:
            parts = [quantized.values.pop(name, None) for name in ("buffer", "alpha")]
        slots["external"] = self._put([*parts, Blob(bias.nbytes, lambda: bias)])

    def _put(self, blobs: Sequence[Blob | None]) -> list[int]:
        """Where the first begins, and how many bytes each has."""
        start, sizes = self.size, [0 if blob is None else blob.nbytes for blob in blobs]
        self.blobs += [blob for blob in blobs if blob is not None]
        self.size += sum(sizes)
        return [start, *sizes]

    def write(self, stream: BinaryIO) -> None:
        """Writes the vectors, loading one after the other."""
        for blob in self.blobs:
            write_blob(stream, blob)


def held(tables: Iterable[Table]) -> int:
    """How many bytes of streamed vectors there are in tables."""
    return sum(blob.nbytes for table in tables for blob in _blobs(table))


def _blobs(table: Table) -> Iterable[Blob]:
    for value in table.values.values():
        if isinstance(value, Blob):
            yield value
        elif isinstance(value, Table):
            yield from _blobs(value)
