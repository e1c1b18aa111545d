"""What a blob is in the source: its element type and its shape, which NCNN has no place for.

NCNN's blobs are float32 and have no batch axis. A writer notes at the inputs and outputs what they are in the
source, in a parameter that runtimes read over (``schema.SOURCE``), so that arrays go in and come out as the
source has them. It is a list of whole numbers: for each blob that the layer makes the number of its element
type in ``DTYPES``, 1 where it holds integers as such and not as float32, its rank, and its extents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.ncnnlib.records import Layer
from mmconvert.ncnnlib.schema import SOURCE

_NAMES = ("f32", "f16", "bf16", "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
DTYPES = tuple(dtypes.BY_NAME[name] for name in _NAMES)
EXACT = 1 << 24
"""Integers beyond this are not all float32 numbers."""

E = TypeVar("E", bound=Any)
"""An extent: a number, or a formula over unknown ones."""

_NONE = -1
_MOST = 64


@dataclass(frozen=True, slots=True)
class Note:
    """What an input or output is in the source.

    Attributes:
        dtype: its element type.
        shape: its extents, -1 where unknown.
        whole: the blob holds i32, for a layer that looks things up.
    """

    dtype: DType
    shape: tuple[int, ...]
    whole: bool = False


def blob_shape(shape: tuple[E, ...]) -> tuple[E | int, ...]:
    """The shape of the blob for a value of ``shape``: without the batch axis, and of rank 1 to 4.

    Elements are in the same order. A first axis of extent 1 goes; of what is beyond four axes other axes of
    extent 1 go, and then the first axes are merged. A scalar has one element.
    """
    left: list[Any] = list(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)
    while len(left) > 4:
        if 1 in left:
            left.remove(1)
        else:
            left[:2] = [left[0] * left[1]]
    return tuple(left) if left else (1,)


def add(layer: Layer, blob: str, note: Note) -> None:
    """Notes at ``layer`` what the blob that it makes is."""
    found = read(layer, "")
    found[blob] = note
    numbers: list[int] = []
    for name in layer.outputs:
        numbers += _numbers(found.get(name))
    layer.parameters[SOURCE] = tuple(numbers)


def _numbers(note: Note | None) -> list[int]:
    if note is None:
        return [_NONE, 0, 0]
    return [DTYPES.index(note.dtype), int(note.whole), len(note.shape), *note.shape]


def read(layer: Layer, where: str) -> dict[str, Note]:
    """The notes on the blobs that ``layer`` makes, by their names.

    Raises:
        InvalidModelError: they make no sense.
    """
    numbers = layer.parameters.get(SOURCE, ())
    rest = list(numbers) if isinstance(numbers, tuple) else [_NONE]
    found: dict[str, Note] = {}
    if not rest:
        return found
    for name in layer.outputs:
        kind, whole, rank = _three(rest, where, layer)
        shape, rest = rest[3 : 3 + rank], rest[3 + rank :]
        if kind != _NONE:
            if len(shape) != rank or not all(-1 <= e < 1 << 31 for e in shape):
                raise _broken(layer, where)
            found[name] = Note(DTYPES[kind], tuple(int(e) for e in shape), bool(whole))
    return found


def _three(rest: Sequence[float], where: str, layer: Layer) -> tuple[int, int, int]:
    if len(rest) < 3:
        raise _broken(layer, where)
    kind, whole, rank = (int(number) for number in rest[:3])
    if not (-1 <= kind < len(DTYPES) and 0 <= rank < _MOST):
        raise _broken(layer, where)
    return kind, whole, rank


def _broken(layer: Layer, where: str) -> InvalidModelError:
    return InvalidModelError(f"the note on the source of {layer.name!r} makes no sense", where=where)
