"""Layers in binary: the numbers of the text form as 32-bit words, without names."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.ncnnlib.records import ARRAY, IDS, LAST, MAGIC, STRING, Layer, Parameter, check_wiring
from mmconvert.ncnnlib.schema import KINDS, REALS

_MOST = 1 << 20

PREFIX = "blob"
"""What stands before the number of a blob in the name that it gets."""


def is_binary(data: bytes | memoryview) -> bool:
    """Whether a file begins as a binary one does."""
    return bytes(data[:4]) == MAGIC.to_bytes(4, "little")


def write(layers: Iterable[Layer]) -> bytes:
    """The layers in binary; blobs are numbered in the order in which they are made."""
    layers, numbers = list(layers), dict[str, int]()
    for layer in layers:
        for name in layer.outputs:
            numbers[name] = len(numbers)
    kinds = {kind: number for number, kind in enumerate(KINDS)}
    words: list[int] = [MAGIC, len(layers), len(numbers)]
    for layer in layers:
        words += [kinds[layer.kind], len(layer.inputs), len(layer.outputs)]
        words += [numbers[name] for name in (*layer.inputs, *layer.outputs)]
        for number, value in sorted(layer.parameters.items()):
            words += _words(number, value)
        words.append(LAST)
    return np.array(words, "<i4").tobytes()


def _words(number: int, value: Parameter) -> list[int]:
    if isinstance(value, str):
        text = value.encode()
        padded = text + bytes(-len(text) % 4)
        return [STRING - number, len(text), *np.frombuffer(padded, "<i4").tolist()]
    if isinstance(value, tuple):
        return [ARRAY - number, len(value), *map(_bits, value)]
    return [number, _bits(value)]


def _bits(value: float | int) -> int:
    return value if isinstance(value, int) else int(np.array(value, "<f4").view("<i4"))


def read(data: bytes, where: str) -> list[Layer]:
    """Layers from binary, with made-up names.

    Whether a word is a whole number or float32 is not written down; ``schema.REALS`` knows.

    Raises:
        InvalidModelError: the file is not what it should be.
    """
    words = _Words(data[: len(data) // 4 * 4], where)
    words.take()
    count, blobs = words.count(), words.count()
    layers = [_layer(words, index, blobs) for index in range(count)]
    check_wiring(layers, blobs, where)
    return layers


def _layer(words: _Words, index: int, blobs: int) -> Layer:
    kind, reads, makes = words.count(), words.count(), words.count()
    if kind >= len(KINDS):
        raise InvalidModelError(f"there is no kind {kind} of layers", where=words.where)
    names = [f"{PREFIX}{words.count(blobs)}" for _ in range(reads + makes)]
    layer = Layer(KINDS[kind], f"layer{index}", names[:reads], names[reads:])
    while (key := words.take()) != LAST:
        number, value = _value(words, key, layer.kind)
        if not 0 <= number < IDS:
            raise InvalidModelError(f"there is no parameter {number}", where=words.where)
        layer.parameters[number] = value
    return layer


def _value(words: _Words, key: int, kind: str) -> tuple[int, Parameter]:
    if key <= STRING:
        length = words.count(255)
        text = words.raw(-(-length // 4))[:length]
        return STRING - key, text.decode("latin-1")
    if key <= ARRAY:
        number, length = ARRAY - key, words.count()
        raw = words.raw(length)
        if number in REALS.get(kind, ()):
            return number, tuple(np.frombuffer(raw, "<f4").tolist())
        return number, tuple(np.frombuffer(raw, "<i4").tolist())
    raw = words.raw(1)
    if key in REALS.get(kind, ()):
        return key, float(np.frombuffer(raw, "<f4")[0])
    return key, int(np.frombuffer(raw, "<i4")[0])


class _Words:
    """Goes through a file word by word."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self.where, self._position = data, where, 0

    def raw(self, count: int) -> bytes:
        """The bytes of the next words."""
        start, self._position = self._position, self._position + 4 * count
        if self._position > len(self._data):
            raise InvalidModelError("the file ends too early", where=self.where)
        return self._data[start : self._position]

    def take(self) -> int:
        """The next word."""
        return int.from_bytes(self.raw(1), "little", signed=True)

    def count(self, limit: int = _MOST) -> int:
        """The next word, a number of something."""
        number = self.take()
        if not 0 <= number <= limit:
            raise InvalidModelError(f"{number} is no number of anything here", where=self.where)
        return number
