"""Extents that a layer computes from those of its operands: formulas like ``*(0w,2),+(1h,1)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mmconvert.ir import dims
from mmconvert.ir.dims import Extent
from mmconvert.parsers.ncnn.source import Source

_TOKEN = re.compile(r"\s*(//|[-+*](?=\()|[A-Za-z]+(?=\()|\d+[whdc]|[-+]?\d+|[(),])")
_LETTERS = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
_FUNCTIONS: dict[str, Callable[[Extent, Extent], Extent]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": dims.floordiv,
    "max": dims.maximum,
    "min": dims.minimum,
}
_DEPTH = 64


def evaluate(text: str, layer: Source) -> list[Extent]:
    """The extents that a text lists.

    Raises:
        InvalidModelError: the text is no list of formulas, or speaks of extents that are not there.
        UnsupportedError: it has functions that extents of the IR do not have.
    """
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise layer.invalid(f"{text!r} is no list of extents")
        tokens.append(match[1])
        position = match.end()
    reader = _Reader(tokens, text, layer)
    found = reader.list_()
    if reader.left:
        raise layer.invalid(f"{text!r} is no list of extents")
    return found


class _Reader:
    def __init__(self, tokens: Sequence[str], text: str, layer: Source) -> None:
        self._tokens, self._text, self._layer = list(reversed(tokens)), text, layer

    @property
    def left(self) -> bool:
        return bool(self._tokens)

    def list_(self, depth: int = 0) -> list[Extent]:
        found = [self._one(depth)]
        while self._tokens and self._tokens[-1] == ",":
            self._tokens.pop()
            found.append(self._one(depth))
        return found

    def _one(self, depth: int) -> Extent:
        token = self._tokens.pop() if self._tokens else ""
        if depth > _DEPTH or not token or token in "(),":
            raise self._layer.invalid(f"{self._text!r} is no list of extents")
        if token[-1] in "whdc" and token[:-1].isdigit():
            return self._extent(int(token[:-1]), token[-1])
        if re.fullmatch(r"[-+]?\d+", token):
            return int(token[:12])
        if token not in _FUNCTIONS:
            raise self._layer.unsupported(f"extents are not computed with {token!r}")
        if not self._tokens or self._tokens.pop() != "(":
            raise self._layer.invalid(f"{self._text!r} is no list of extents")
        operands = self.list_(depth + 1)
        if len(operands) != 2 or not self._tokens or self._tokens.pop() != ")":
            raise self._layer.invalid(f"{self._text!r} is no list of extents")
        if token == "//" and operands[1] == 0:
            raise self._layer.invalid("an extent is divided by 0")
        return _FUNCTIONS[token](operands[0], operands[1])

    def _extent(self, index: int, letter: str) -> Extent:
        value = self._layer.operand(index)
        letters = _LETTERS[self._layer.rank(value)]
        # What a blob of lower rank does not have is 1.
        return value.type.shape[1 + letters.index(letter)] if letter in letters else 1
