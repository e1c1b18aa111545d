"""Attribute values and small arrays as text, and back, guided by the types of an operator's fields."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, DType

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def format_value(value: Any, label: Callable[[Graph], str]) -> str:
    """One attribute value as text without spaces outside quotes; ``label`` names sub-graphs."""
    match value:
        case Explicit(pads):
            return format_value(pads, label)
        case Same(extra_after):
            return "same" if extra_after else "same_lower"
        case Graph():
            return label(value)
        case enum.Enum():
            return value.name
        case str():
            return value if _WORD.fullmatch(value) and value != "None" else json.dumps(value)
        case tuple():
            inner = ",".join(format_value(v, label) for v in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case np.dtype():
            return dtypes.name(value)
    return str(value)


def format_array(array: Array) -> str:
    """The elements in row-major order: ``1.5`` for a scalar, ``[1,2,3]`` otherwise."""
    items = [
        str(v.item() if v.dtype.kind in "biufc" else int(v) if dtypes.is_integer(v.dtype) else float(v))
        for v in array.reshape(-1)
    ]
    return items[0] if array.ndim == 0 else f"[{','.join(items)}]"


def parse_array(text: str, dtype: DType, shape: tuple[int, ...]) -> Array:
    """Reads what ``format_array`` writes.

    Raises:
        InvalidModelError: the text holds something else, or another number of elements.
    """
    items = [t for t in text.strip("[]").split(",") if t]
    try:
        if dtype == dtypes.BOOL:
            array = np.array([t == "True" for t in items], dtype=dtype)
        elif dtypes.is_integer(dtype):
            array = np.array([int(t) for t in items]).astype(dtype)
        elif dtypes.is_float(dtype):
            array = np.array([float(t) for t in items]).astype(dtype)
        else:
            array = np.array([complex(t) for t in items]).astype(dtype)
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise InvalidModelError(f"{text!r} is not a constant of {dtypes.name(dtype)}{list(shape)}") from error


def split_commas(text: str) -> list[str]:
    """Splits at the commas that stand outside parentheses and quotes."""
    return _split(text, ",")


def _split(text: str, separator: str) -> list[str]:
    parts, depth, quoted, start = [], 0, False, 0
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [p.strip() for p in parts if p.strip()]


def parse_operator(cls: type[Op], text: str, graphs: Mapping[str, Graph], line: int) -> Op:
    """An operator from its attributes' text, ``{name=value name=value}``.

    Raises:
        InvalidModelError: an attribute is unknown, missing, or of another type.
    """
    hints = _hints(cls)
    given: dict[str, Any] = {}
    for item in _split(text.strip("{}"), " "):
        name, equals, value = item.partition("=")
        if not equals or name not in hints:
            raise InvalidModelError(f"line {line}: {cls.__name__} has no attribute {name!r}")
        try:
            given[name] = _parse(hints[name], value, graphs)
        except (ValueError, KeyError) as error:
            raise InvalidModelError(
                f"line {line}: {value!r} is no value for {cls.__name__}.{name}"
            ) from error
    required = {f.name for f in dataclasses.fields(cast(Any, cls)) if f.default is dataclasses.MISSING}
    if missing := sorted(required - set(given)):
        raise InvalidModelError(f"line {line}: {cls.__name__} lacks {', '.join(missing)}")
    return cls(**given)


@functools.cache
def _hints(cls: type[Op]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cast(Any, cls))}


def _parse(hint: Any, text: str, graphs: Mapping[str, Graph]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(arguments, text, graphs)
    if origin is tuple:
        return _parse_tuple(arguments, text, graphs)
    if origin is Literal or hint is str:
        return json.loads(text) if text.startswith('"') else text
    if hint is bool:
        return {"True": True, "False": False}[text]
    if hint is Graph:
        return graphs[text]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[text]
    if origin is np.dtype:
        return dtypes.BY_NAME[text]
    if hint is float and re.fullmatch(r"-?\d+", text):
        return int(text)  # bounds of integer tensors stay integers
    return hint(text)


def _parse_union(arguments: tuple[Any, ...], text: str, graphs: Mapping[str, Graph]) -> Any:
    if text == "None":
        return None
    if Same in arguments:
        if text.startswith("same"):
            return Same(extra_after={"same": True, "same_lower": False}[text])
        return Explicit(_parse(tuple[tuple[int, int], ...], text, graphs))
    if Dim in arguments:
        return dims.parse(text)
    if bool in arguments and text in ("True", "False"):
        return text == "True"
    for candidate in sorted(
        (a for a in arguments if a not in (bool, types.NoneType)), key=lambda a: a is float
    ):
        try:
            return _parse(candidate, text, graphs)
        except ValueError:
            continue
    raise ValueError(text)


def _parse_tuple(arguments: tuple[Any, ...], text: str, graphs: Mapping[str, Graph]) -> Any:
    if not (text.startswith("(") and text.endswith(")")):
        raise ValueError(text)
    parts = split_commas(text[1:-1])
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_parse(arguments[0], p, graphs) for p in parts)
    return tuple(_parse(a, p, graphs) for a, p in zip(arguments, parts, strict=True))
