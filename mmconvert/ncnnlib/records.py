"""The layers of a ``.param`` file, as text.

::

    7767517                                                   the magic number
    2 2                                                       how many layers, how many blobs
    Input  data 0 1 data 0=8                                  kind, name, counts, blobs, parameters
    ReLU   act  1 1 data out 0=1.000000e-01
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import numpy as np

from mmconvert.errors import InvalidModelError

MAGIC = 7767517
ARRAY = -23300
STRING = -23400
LAST = -233
IDS = 32
"""Parameters are numbered from 0 to 31."""

NAME_LIMIT = 255

Parameter: TypeAlias = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(slots=True)
class Layer:
    """One layer: its kind, its name, the blobs it reads and makes, and its parameters by number."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[int, Parameter] = field(default_factory=dict)


# --- text --------------------------------------------------------------------------------------------


def write_text(layers: Iterable[Layer]) -> bytes:
    """The layers as text."""
    layers = list(layers)
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [str(MAGIC), f"{len(layers)} {blobs}", *map(_line, layers)]
    return ("\n".join(lines) + "\n").encode()


def _line(layer: Layer) -> str:
    head = f"{layer.kind:<24} {layer.name:<24} {len(layer.inputs)} {len(layer.outputs)}"
    return " ".join([head, *layer.inputs, *layer.outputs, *map(_pair, sorted(layer.parameters.items()))])


def _pair(item: tuple[int, Parameter]) -> str:
    number, value = item
    if isinstance(value, tuple):  # the old spelling, which every release reads
        return f"{ARRAY - number}={','.join([str(len(value)), *map(_scalar, value)])}"
    return f'{number}="{value}"' if isinstance(value, str) else f"{number}={_scalar(value)}"


def _scalar(value: float | int) -> str:
    if isinstance(value, int):
        return str(value)
    # At most 15 characters, which is all that is read; the shortest that mean the same number.
    text = str(np.float32(value))
    return text if "." in text or "e" in text else f"{text}.0"


def read_text(data: bytes, where: str) -> list[Layer]:
    """Layers from text.

    Raises:
        InvalidModelError: the text is not what it should be; the message names the line.
    """
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidModelError("this is no text", where=where) from error
    if not lines or lines[0].strip() != str(MAGIC):
        raise InvalidModelError(f"an NCNN model begins with {MAGIC}", where=where)
    counts = _counts(lines[1:2], where)
    rows = [(number, line) for number, line in enumerate(lines[2:], 3) if line.strip()]
    if len(rows) != counts[0]:
        raise InvalidModelError(f"{counts[0]} layers are announced, {len(rows)} are there", where=where)
    layers = [_parse(line, f"{where}, line {number}") for number, line in rows]
    check_wiring(layers, counts[1], where)
    return layers


def _counts(lines: list[str], where: str) -> tuple[int, int]:
    words = lines[0].split() if lines else []
    if len(words) != 2 or not all(re.fullmatch(r"\d{1,9}", word) for word in words):
        raise InvalidModelError("the numbers of layers and blobs are missing", where=where)
    return int(words[0]), int(words[1])


_WORD = re.compile(r'\s*(-?\d{1,5}=(?:"[^"]*"|[^\s"]+)|[^\s"]+)')


def _parse(line: str, where: str) -> Layer:
    words: list[str] = []
    position, end = 0, len(line.rstrip())
    while position < end:
        match = _WORD.match(line, position)
        if match is None:
            raise InvalidModelError(f"this is no parameter: {line[position : position + 40]!r}", where=where)
        words.append(match[1])
        position = match.end()
    if len(words) < 4 or not all(re.fullmatch(r"\d{1,6}", word) for word in words[2:4]):
        raise InvalidModelError("a layer has a kind, a name and two counts", where=where)
    reads, makes = int(words[2]), int(words[3])
    blobs = words[4 : 4 + reads + makes]
    if len(blobs) < reads + makes or any(len(word) > NAME_LIMIT for word in (*words[:2], *blobs)):
        raise InvalidModelError(f"{reads + makes} names of blobs are missing or too long", where=where)
    layer = Layer(words[0], words[1], blobs[:reads], blobs[reads:])
    for word in words[4 + reads + makes :]:
        number, value = _parameter(word, where)
        layer.parameters[number] = value
    return layer


def _parameter(word: str, where: str) -> tuple[int, Parameter]:
    key, equals, text = word.partition("=")
    if not equals or not text or not re.fullmatch(r"-?\d{1,5}", key):
        _no_parameter(word, where)
    number = int(key)
    if number <= ARRAY:
        count, *elements = text.split(",")
        if count != str(len(elements)):
            _no_parameter(word, where)
        return _numbered(ARRAY - number, word, where), _array(elements, word, where)
    if text[0] == '"' or text[0].isalpha():
        return _numbered(number, word, where), text.strip('"')
    if "," in text:
        return _numbered(number, word, where), _array(text.rstrip(",").split(","), word, where)
    return _numbered(number, word, where), _number(text, word, where)


def _numbered(number: int, word: str, where: str) -> int:
    if not 0 <= number < IDS:
        _no_parameter(word, where)
    return number


def _array(elements: list[str], word: str, where: str) -> Parameter:
    numbers = [_number(element, word, where) for element in elements]
    if all(isinstance(number, int) for number in numbers):
        return tuple(int(number) for number in numbers)
    return tuple(float(number) for number in numbers)


def _number(text: str, word: str, where: str) -> int | float:
    if re.fullmatch(r"[-+]?\d+", text):
        value = int(text[:12])
        if -(1 << 31) <= value < 1 << 31:
            return value
    elif re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", text) and len(text) < 64:
        with np.errstate(over="ignore"):
            return float(np.float32(text))
    return _no_parameter(word, where)


def _no_parameter(word: str, where: str) -> NoReturn:
    raise InvalidModelError(f"this is no parameter: {word[:60]!r}", where=where)


def check_wiring(layers: list[Layer], blobs: int, where: str) -> None:
    """Checks that every blob is made once, and read at most once, by a layer below.

    Raises:
        InvalidModelError: it is not.
    """
    free: set[str] = set()
    made: set[str] = set()
    for layer in layers:
        place = f"{where}, layer {layer.name!r}"
        for name in layer.inputs:
            if name not in free:
                why = "is read twice, without a Split" if name in made else "is read before it is made"
                raise InvalidModelError(f"the blob {name!r} {why}", where=place)
            free.remove(name)
        for name in layer.outputs:
            if name in made:
                raise InvalidModelError(f"the blob {name!r} is made twice", where=place)
            made.add(name)
            free.add(name)
    if blobs < len(made):
        raise InvalidModelError(f"{blobs} blobs are announced, {len(made)} are there", where=where)


def ends(layers: Iterable[Layer]) -> tuple[list[str], list[str]]:
    """The names of the blobs of Input layers, and of those of other layers that nothing reads."""
    layers = list(layers)
    read = {name for layer in layers for name in layer.inputs}
    inputs = [name for layer in layers if layer.kind == "Input" for name in layer.outputs]
    made = [name for layer in layers if layer.kind != "Input" for name in layer.outputs]
    return inputs, [name for name in made if name not in read]
