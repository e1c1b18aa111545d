"""Example inputs in words: ``image=batch,3,224,224:f16``, as the command line has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmconvert.dtypes import BY_NAME
from mmconvert.errors import UsageError
from mmconvert.parsers.pytorch.program import Names

LEADING, OTHER = 2, 64
"""With which extents a module is traced where they are open: that of the first axis, and the others."""

_TORCH = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    **{f"{kind}{bits}": f"{'u' * (kind == 'u')}int{bits}" for kind in "iu" for bits in (8, 16, 32, 64)},
    "bool": "bool",
    "c64": "complex64",
    "c128": "complex128",
}
"""torch's names of the element types that an input may have, by ours."""

_HINT = (
    "an input is [NAME=]EXTENT,...[:TYPE], as in 1,3,224,224 or ids=batch,128:i64; an open extent has a "
    "name, and @N behind it is the one to trace with (height@224); NAME:=VALUE is a number and no tensor"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One input.

    Attributes:
        name: of the parameter of `forward`; empty where its place says which one it is.
        shape: extents.
        open: names of open extents, by axis.
        dtype: torch's name of the element type.
        value: what it is, of an input that is no tensor.
        is_tensor: whether it is one.
    """

    name: str
    shape: tuple[int, ...] = ()
    open: tuple[tuple[int, str], ...] = ()
    dtype: str = "float32"
    value: Any = None
    is_tensor: bool = True


def parse(text: str) -> Example:
    """An input in words.

    Raises:
        UsageError: it is none.
    """
    name, is_value, literal = text.partition(":=")
    if is_value:
        try:
            return Example(name, value=json.loads(literal), is_tensor=False)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{literal!r} is no number", where=f"input {text!r}", hint=_HINT) from error
    name, equals, rest = text.rpartition("=")
    if equals and not name.isidentifier():
        raise UsageError(f"{name!r} is no name of a parameter", where=f"input {text!r}", hint=_HINT)
    extents, _, dtype = rest.partition(":")
    shape, free = [], []
    for axis, word in enumerate(extents.split(",") if extents else ()):
        symbol, _, traced = word.strip().partition("@")
        if symbol.isdecimal() and not traced:
            shape.append(int(symbol))
            continue
        size = traced or str(OTHER if axis else LEADING)
        if not symbol.isidentifier() or not size.isdecimal() or int(size) < 2:
            raise UsageError(f"{word!r} is no extent", where=f"input {text!r}", hint=_HINT)
        shape.append(int(size))
        free.append((axis, symbol))
    return Example(name, tuple(shape), tuple(free), _dtype(dtype or "f32", text))


def _dtype(word: str, text: str) -> str:
    found = _TORCH.get(word, word)
    if found not in _TORCH.values():
        known = ", ".join(name for name in _TORCH if name in BY_NAME)
        raise UsageError(f"{word!r} is no element type", where=f"input {text!r}", hint=f"it can be {known}")
    return found


def arguments(torch: Any, inputs: Any, dynamic_shapes: Any) -> tuple[Any, Any, Names]:
    """Example inputs and open extents as `torch.export.export` takes them; words become tensors of zeros.

    Args:
        torch: the package.
        inputs: words, or tensors, which stay what they are.
        dynamic_shapes: for tensors; words have their own.

    Returns:
        The inputs, which extents are open, and what the user calls these.

    Raises:
        UsageError: the words are none, or do not go together.
    """
    words = [inputs] if isinstance(inputs, str) else inputs
    is_words = isinstance(words, Sequence) and words and all(isinstance(word, str) for word in words)
    if not is_words:
        return inputs, dynamic_shapes, {}
    examples = [parse(word) for word in words]
    named = [example.name for example in examples if example.name]
    if len(set(named)) < len(named) or len(named) not in (0, len(examples)):
        raise UsageError("name all inputs or none, and each of them once", hint=_HINT)
    made = _keyed(named, [_tensor(torch, example) for example in examples])
    names: Names = {
        (example.name or place, axis): symbol
        for place, example in enumerate(examples)
        for axis, symbol in example.open
    }
    free = [
        dict.fromkeys((axis for axis, _ in example.open), torch.export.Dim.DYNAMIC) or None
        for example in examples
    ]
    return made, _keyed(named, free) if names else dynamic_shapes, names


def _keyed(names: Sequence[str], values: Sequence[Any]) -> Mapping[str, Any] | tuple[Any, ...]:
    return dict(zip(names, values, strict=True)) if names else tuple(values)


def _tensor(torch: Any, example: Example) -> Any:
    if not example.is_tensor:
        return example.value
    try:
        return torch.zeros(example.shape, dtype=getattr(torch, example.dtype))
    except (RuntimeError, MemoryError) as error:
        raise UsageError(f"an input of the shape {list(example.shape)} cannot be made") from error
