"""Python as text: names, numbers, and statements broken into lines as ``ruff format`` breaks them."""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType

WIDTH = 100
INDENT = "    "

_OPENING, _CLOSING = "([{", ")]}"

TORCH_TYPES: dict[DType, str] = {
    dtypes.F16: "torch.float16",
    dtypes.BF16: "torch.bfloat16",
    dtypes.F32: "torch.float32",
    dtypes.F64: "torch.float64",
    dtypes.I8: "torch.int8",
    dtypes.I16: "torch.int16",
    dtypes.I32: "torch.int32",
    dtypes.I64: "torch.int64",
    dtypes.U8: "torch.uint8",
    dtypes.BOOL: "torch.bool",
}
"""The element types that PyTorch computes with; of its wider unsigned integers it has little."""


def identifier(text: str) -> str:
    """``text`` as a Python name."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "value"
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or keyword.issoftkeyword(name) else name


def number(value: Any, dtype: DType | None = None) -> str:
    """A number as a literal: the shortest that is the same number in ``dtype``."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    real = float(value)
    if not math.isfinite(real):
        return f'float("{real}")'
    return str(np.float32(real)) if dtype == dtypes.F32 else repr(real)


def nested(values: Any, dtype: DType) -> str:
    """An array as nested lists."""
    array = np.asarray(values)
    if array.ndim == 0:
        return number(array.item(), dtype)
    return f"[{', '.join(nested(part, dtype) for part in array)}]"


def sequence(items: Sequence[str]) -> str:
    """A tuple."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def same(values: Sequence[int]) -> str:
    """What ``torch`` takes for each spatial axis: one number where all are equal."""
    if len(set(values)) == 1:
        return str(values[0])
    return sequence([str(v) for v in values])


def call(function: str, *arguments: str, **named: str | None) -> str:
    """A call; named arguments that are None are left out."""
    given = [f"{name}={value}" for name, value in named.items() if value is not None]
    return f"{function}({', '.join([*arguments, *given])})"


def is_atom(text: str) -> bool:
    """True when an expression needs no parentheses before a dot or beside an operator."""
    kinds = ast.Call | ast.Attribute | ast.Name | ast.Subscript
    body = ast.parse(text, mode="eval").body
    return isinstance(body, kinds) or (isinstance(body, ast.Constant) and not text.startswith("-"))


def bound(text: str) -> str:
    """An expression as it may stand before a dot or beside an operator."""
    return text if is_atom(text) else f"({text})"


def wrap(text: str, level: int) -> list[str]:
    """A statement at some level of indentation, on as many lines as it takes."""
    margin = INDENT * level
    if len(margin) + len(text) <= WIDTH or (pair := _bracket(text)) is None:
        return [margin + text]
    start, end = pair
    head, body, tail = text[: start + 1], text[start + 1 : end], text[end:]
    inner = margin + INDENT
    if len(inner) + len(body) <= WIDTH and not body.startswith("self, "):
        return [margin + head, inner + body, margin + tail]
    lines = [margin + head]
    parts = split(body)
    comma = "," if len(parts) > 1 else ""
    for part in parts:
        lines += wrap(part + comma, level + 1)
    return [*lines, margin + tail]


def split(body: str) -> list[str]:
    """What stands between commas outside of brackets and strings."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, char in enumerate(body):
        quoted ^= char == '"'
        if quoted:
            continue
        depth += (char in _OPENING) - (char in _CLOSING)
        if char == "," and depth == 0:
            parts.append(body[start:at].strip())
            start = at + 1
    return [*parts, rest] if (rest := body[start:].strip()) else parts


def _bracket(text: str) -> tuple[int, int] | None:
    """Where the brackets are that a statement is broken at: the last pair, or a function's parameters."""
    stack, pairs, quoted = list[int](), list[tuple[int, int]](), False
    for at, char in enumerate(text):
        quoted ^= char == '"'
        if quoted:
            continue
        if char in _OPENING:
            stack.append(at)
        elif char in _CLOSING:
            start = stack.pop()
            if not stack:
                pairs.append((start, at))
    if not pairs:
        return None
    start, end = pairs[0] if text.startswith("def ") else pairs[-1]
    ends = text[end + 1 :] in ("", ",", ":") or text.startswith("def ")
    return (start, end) if ends and end > start + 1 else None


class Names:
    """Names that are taken; ``take`` gives the wanted one, with a number where it is not free."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """A name of its own."""
        name, count = wanted, self._next.get(wanted, 1)
        while name in self._taken:
            name, count = f"{wanted}_{count}", count + 1
        self._next[wanted] = count
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        return name in self._taken
