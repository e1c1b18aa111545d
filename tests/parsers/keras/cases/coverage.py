"""Which layers the rows are about, and how many of them get through to each target."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from mmconvert.parsers.keras.table import RULES

from . import ROWS, ROWS_2
from .limits import CANNOT
from .row import Row

TARGETS = ("onnx", "tflite")
CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")
Counts = dict[str, int]


def layers_of(row: Row) -> set[str]:
    """The layers that a row's functions name."""
    return {name for name in _words(row.make, set()) if name in RULES or name in CELLS}


def _words(item: Any, seen: set[int]) -> Iterator[str]:
    """All names and texts in a function, in what it calls and in what it has been given."""
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, str):
        yield item
    elif isinstance(item, CodeType):
        yield from item.co_names
        for constant in item.co_consts:
            yield from _words(constant, seen)
    elif isinstance(item, FunctionType):
        yield from _words(item.__code__, seen)
        cells = [cell.cell_contents for cell in item.__closure__ or ()]
        called = [item.__globals__.get(name) for name in item.__code__.co_names]
        for part in (*(item.__defaults__ or ()), *cells, *called):
            yield from _words(part, seen)
    elif isinstance(item, dict | tuple | list):
        for part in item.values() if isinstance(item, dict) else item:
            yield from _words(part, seen)


def coverage() -> dict[str, tuple[Counts, Counts]]:
    """For each layer, of Keras 3 and 2: how many rows are read, and how many each target expresses."""
    found: dict[str, tuple[Counts, Counts]] = {}
    for generation, table in enumerate((ROWS, ROWS_2)):
        for row in table:
            for name in layers_of(row):
                counts = found.setdefault(name, (_none(), _none()))[generation]
                counts["read"] += 1
                for target in TARGETS:
                    counts[target] += not any(item.covers(row) for item in CANNOT[target])
    return dict(sorted(found.items()))


def _none() -> Counts:
    return dict.fromkeys(("read", *TARGETS), 0)
