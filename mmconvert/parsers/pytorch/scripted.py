"""What scripts do with numbers, texts, lists and tables: plain Python, also for symbolic extents."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any


def _append(items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


def _insert(items: list[Any], place: int, item: Any) -> list[Any]:
    items.insert(place, item)
    return items


def _set(items: Any, key: Any, item: Any) -> Any:
    items[key] = item
    return items


def _slice(items: list[Any], start: int | None, end: int | None, step: int = 1) -> list[Any]:
    return items[start:end:step]


def _extreme(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *numbers: function(*numbers)


def _whole(x: Any) -> Any:
    return x if not isinstance(x, float | str | bool) else int(x)


def _real(x: Any) -> Any:
    return float(x) if isinstance(x, int | str) else x


def _format(text: str, *values: Any) -> str:
    return text.format(*values)


def _turns(low: int, high: int, step: int) -> Any:
    """How many turns a range has."""
    return max(0, -((low - high) // step))


def _root(x: Any) -> Any:
    return math.sqrt(x) if isinstance(x, int | float) else x**0.5


NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "add_": operator.iadd,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "true_divide": operator.truediv,
    "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "fmod": math.fmod,
    "neg": operator.neg,
    "pow": operator.pow,
    "abs": abs,
    "sqrt": _root,
    "exp": math.exp,
    "log": math.log,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
    "min": _extreme(min),
    "max": _extreme(max),
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "__xor__": operator.xor,
    "__not__": operator.not_,
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "__range_length": _turns,
    "__derive_index": lambda index, start, step: start + index * step,
    "Int": _whole,
    "IntImplicit": _whole,
    "Float": _real,
    "Bool": bool,
    "ScalarImplicit": lambda x: x,
    "str": str,
    "len": len,
    "list": list,
    "slice": _slice,
    "append": _append,
    "insert": _insert,
    "extend": operator.iadd,
    "_set_item": _set,
    "pop": lambda items, place=-1: items.pop(place),
    "reverse": lambda items: items.reverse(),
    "copy": lambda items: items.copy(),
    "keys": lambda table: list(table),
    "values": lambda table: list(table.values()),
    "items": lambda table: list(table.items()),
    "get": lambda table, key, default=None: table.get(key, default),
    "format": _format,
    "warn": lambda *said: None,
    "is_scripting": lambda: True,
    "device": lambda *name: None,
}
"""By the operator's name, when none of its arguments is a tensor."""
