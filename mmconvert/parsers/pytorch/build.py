"""Modules that the user's own code builds, with the weights of a file put into them."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmconvert import dtypes
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.ir.model import Module
from mmconvert.parsers.pytorch import live
from mmconvert.parsers.pytorch.examples import arguments
from mmconvert.parsers.pytorch.rebuilt import Table, Unreadable
from mmconvert.parsers.pytorch.records import ELEMENTS
from mmconvert.parsers.pytorch.storage import Stored

RAISED = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    ImportError,
    OSError,
)
"""What the user's code raises."""

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights", "params", "module")
"""What the state dict of a checkpoint is usually called, likely ones first."""

SHOWN = 200
"""More keys than this are counted, not listed."""


def find_factory(spec: Any) -> Callable[[], Any]:
    """What builds the module: ``"package.module:factory"``, with arguments if need be, or a callable.

    Arguments are plain numbers, texts and lists: ``"torchvision.models:resnet18(num_classes=10)"``. Modules
    are looked for in the working directory as well.

    Raises:
        UsageError: there is no such module, or nothing of that name in it.
    """
    if not isinstance(spec, str):
        return spec if callable(spec) else lambda: spec
    path, colon, call = spec.partition(":")
    name, args, kwargs = _call(call, spec) if colon else ("", [], {})
    if not path or not name:
        raise UsageError(f"{spec!r} names no code", hint="it has the form package.module:factory")
    with working_directory():
        try:
            found = importlib.import_module(path)
        except RAISED as error:
            raise UsageError(
                f"{path} cannot be imported: {type(error).__name__}: {error}",
                hint="it is looked for in the working directory and where Python finds packages",
            ) from error
        for part in name.split("."):
            if not hasattr(found, part):
                close = difflib.get_close_matches(part, dir(found), 3)
                guess = f"did you mean {' or '.join(close)}?" if close else ""
                raise UsageError(f"there is no {part} in {path}", hint=guess)
            found = getattr(found, part)
    if not callable(found) or (not args and not kwargs and _is_module(found)):
        return lambda: found
    return lambda: found(*args, **kwargs)


def _call(text: str, spec: str) -> tuple[str, list[Any], dict[str, Any]]:
    if "(" not in text:
        return text, [], {}
    try:
        tree = ast.parse(text, mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        args = [ast.literal_eval(arg) for arg in call.args]
        return ast.unparse(call.func), args, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UsageError(f"{spec!r} is no call with plain arguments", hint="factory(width=1.0)") from error


def _is_module(found: Any) -> bool:
    return not inspect.isclass(found) and hasattr(found, "state_dict") and hasattr(found, "forward")


@contextmanager
def working_directory() -> Iterator[None]:
    """The user's modules are found where the user is."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def build(torch: Any, spec: Any) -> Any:
    """A module from the user's code.

    Raises:
        UsageError: the code fails, or makes something else.
    """
    factory = find_factory(spec)
    shown = spec if isinstance(spec, str) else getattr(spec, "__name__", type(spec).__name__)
    with working_directory():
        try:
            module = factory()
        except RAISED as error:
            raise UsageError(f"{shown} fails: {type(error).__name__}: {error}", where=shown) from error
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"{shown} makes a {type(module).__name__}, and no torch.nn.Module", where=shown)
    return module.cpu().eval()


# --- which table of the file it is -----------------------------------------------------------------------


def state_dicts(root: Any) -> dict[str, Table]:
    """The tables of a checkpoint with tensors in them, by their paths; those of optimizers lie deeper."""
    found: dict[str, Table] = {}
    seen: set[int] = set()
    level = {"": root}
    for _ in range(3):
        inner: dict[str, Any] = {}
        for path, table in level.items():
            if not isinstance(table, Table) or id(table) in seen:
                continue
            seen.add(id(table))
            if any(isinstance(value, Stored | Unreadable) for value in table.values()):
                found[path] = table
            parts = {str(key): value for key, value in table.items() if isinstance(value, Table)}
            inner |= {f"{path}.{key}" if path else key: value for key, value in parts.items()}
        level = inner
    return found


def choose(found: Mapping[str, Table], wanted: set[str], key: str | None, where: str) -> tuple[str, Table]:
    """The state dict of a checkpoint that fits a module best, and where it was.

    Raises:
        UsageError: there is none, or none under ``key``.
    """
    if not found:
        raise UsageError("there are no tensors in this file", where=where)
    if key is not None:
        if key not in found:
            raise UsageError(
                f"there is no state dict {key!r}", where=where, hint=f"there is {', '.join(found)}"
            )
        return key, found[key]

    def order(path: str) -> tuple[int, int, int]:
        fitting = len(wanted & set(_unprefixed(found[path], wanted)[1]))
        known = WRAPPERS.index(path) if path in WRAPPERS else len(WRAPPERS)
        return -fitting, known, len(path)

    best = min(found, key=order)
    return best, found[best]


def _unprefixed(table: Table, wanted: set[str]) -> tuple[str, Table]:
    """The table without the prefix that wrappers of modules put before all keys, if that fits better."""
    keys = [key for key in table if isinstance(key, str)]
    prefixes = {"": None} | {
        ".".join(parts[:depth]) + "." if depth else "": None
        for parts in (key.split(".") for key in keys)
        for depth in range(min(3, len(parts)))
    }

    def fitting(prefix: str) -> int:
        return sum(key.startswith(prefix) and key[len(prefix) :] in wanted for key in keys)

    best = max(prefixes, key=fitting)
    stripped = Table({key[len(best) :]: table[key] for key in keys if key.startswith(best)})
    metadata = table.metadata
    if isinstance(metadata, dict) and best:
        kept = {str(key) + ".": value for key, value in metadata.items()}
        metadata = {key[len(best) :].rstrip("."): v for key, v in kept.items() if key.startswith(best)}
    stripped.metadata = metadata
    return best, stripped


# --- putting it in ---------------------------------------------------------------------------------------


def fill(torch: Any, module: Any, root: Any, key: str | None, where: str) -> list[str]:
    """Puts the weights of a file into a module, which shares their memory; returns what is to be said.

    Args:
        torch: the package.
        module: is changed.
        root: what the file holds.
        key: under which name of the file the state dict is; by default the one that fits best.
        where: the file, for messages.

    Raises:
        UsageError: keys or shapes do not fit; all are listed.
        UnsupportedError: tensors are of a kind that cannot be read.
    """
    own = module.state_dict()
    found = state_dicts(root)
    path, table = choose(found, set(own), key, where)
    prefix, table = _unprefixed(table, set(own))
    notes = _said(
        path, [other for other in found if other and other != path], prefix, len(found[path]) - len(table)
    )
    strange = [f"{name}: a {value.name}" for name, value in table.items() if isinstance(value, Unreadable)]
    if strange:
        raise UnsupportedError("weights that are no plain tensors: " + ", ".join(strange), where=where)
    given = {name: value for name, value in table.items() if isinstance(value, Stored)}
    _complete(given, own)
    shapes = [
        f"{name} is {list(stored.shape)}, and {list(own[name].shape)} in the module"
        for name, stored in given.items()
        if name in own and torch.is_tensor(own[name]) and tuple(own[name].shape) != stored.shape
    ]
    tensors, widened = _tensors(torch, given, own)
    if isinstance(table.metadata, dict):
        tensors._metadata = table.metadata  # type: ignore[attr-defined]
    missing: list[str] = []
    unexpected: list[str] = []
    if not shapes:
        try:
            missing, unexpected = module.load_state_dict(tensors, strict=False, assign=True)
        except RAISED as error:
            raise UsageError(f"the weights do not go into the module: {error}", where=where) from error
    else:
        missing, unexpected = [n for n in own if n not in given], [n for n in given if n not in own]
    if missing or unexpected or shapes:
        raise _unfitting(missing, unexpected, shapes, where)
    return notes + (
        [f"weights stored as {', '.join(widened)} were converted to the module's own type"] * bool(widened)
    )


def _said(path: str, others: list[str], prefix: str, left: int) -> list[str]:
    notes = []
    if path:
        beside = f"; {', '.join(others)} beside it was not used" if others else ""
        notes.append(f"the weights are those under {path!r} of the checkpoint{beside}")
    elif others:
        notes.append(f"{', '.join(others)} of the checkpoint was not used")
    if prefix:
        more = f", and {left} without it were not used" if left else ""
        notes.append(f"the keys begin with {prefix!r}, which was left out{more}")
    return notes


def _complete(given: dict[str, Stored], own: Mapping[str, Any]) -> None:
    """Adds what is tied in the module and is in the file once."""
    places: dict[Any, list[str]] = {}
    for name, tensor in own.items():
        if hasattr(tensor, "data_ptr") and tensor.numel():
            places.setdefault((tensor.data_ptr(), tuple(tensor.shape), tensor.stride()), []).append(name)
    for names in places.values():
        there = [name for name in names if name in given]
        for name in names if there else ():
            given.setdefault(name, given[there[0]])


def _tensors(torch: Any, given: Mapping[str, Stored], own: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """torch's tensors over the bytes of the file; the element types of those that had to be converted."""
    types = importlib.import_module("torch._export.serde.serialize")._SERIALIZE_TO_TORCH_DTYPE
    numbers = {element: number for number, element in ELEMENTS.items()}
    flats: dict[Any, Any] = {}
    made = Table()
    converted: dict[str, None] = {}
    for name, stored in given.items():
        element = dtypes.name(stored.dtype)
        place = stored.address, len(stored.data), element
        if place not in flats:
            flats[place] = _flat(torch, stored, types[numbers[element]])
        tensor = torch.as_strided(flats[place], stored.shape, stored.strides, stored.offset)
        if name in own and torch.is_tensor(own[name]) and own[name].dtype != tensor.dtype:
            tensor = tensor.to(own[name].dtype)
            converted[element] = None
        made[name] = tensor
    return made, list(converted)


def _flat(torch: Any, stored: Stored, dtype: Any) -> Any:
    """A storage as a vector; bytes that torch could not work on where they are, it gets a copy of."""
    count = len(stored.data) // stored.dtype.itemsize
    if not count:
        return torch.empty(0, dtype=dtype)
    fits = not stored.data.readonly and stored.address % stored.dtype.itemsize == 0
    return torch.frombuffer(stored.data if fits else bytearray(stored.data), dtype=dtype, count=count)


def _unfitting(missing: list[str], unexpected: list[str], shapes: list[str], where: str) -> UsageError:
    lists = (
        ("missing in the file", missing),
        ("not in the module", unexpected),
        ("of another shape", shapes),
    )
    lines = [
        f"\n  {len(keys)} {what}: {', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}"
        for what, keys in lists
        if keys
    ]
    return UsageError(
        f"the weights are not those of the module:{''.join(lines)}",
        where=where,
        hint="is it the right factory, with the right arguments? --module package.module:factory(width=1.0)",
    )


def read_built(
    path: Path, root: Any, module: Any, inputs: Any, dynamic_shapes: Any, key: str | None
) -> Module:
    """A model from a file of weights and the code that builds its module.

    Args:
        path: the file, for messages.
        root: what it holds.
        module: names the code.
        inputs, dynamic_shapes: examples, in words or as tensors.
        key: the state dict to use of several.

    Raises:
        UsageError: there is no code or no example, or they do not go with the weights.
        UnsupportedError, InvalidModelError: as for a module in memory.
    """
    where = str(path)
    if module is None:
        count = sum(len(table) for table in state_dicts(root).values())
        raise UsageError(
            f"{count} weights without a network: this file is a state dict",
            where=where,
            hint="name your own code that builds the module, and what it takes: "
            "--module package.module:factory --input 1,3,224,224",
        )
    require_inputs(inputs, where)
    torch = live.require_torch()
    built = build(torch, module)
    notes = fill(torch, built, root, key, where)
    return load_module(torch, built, inputs, dynamic_shapes, notes)


def require_inputs(inputs: Any, where: str) -> None:
    """Makes sure that there are example inputs.

    Raises:
        UsageError: there are none.
    """
    if inputs is None:
        raise UsageError(
            "a module says nothing about its inputs", where=where, hint="give an example: --input 1,3,224,224"
        )


def load_module(torch: Any, module: Any, inputs: Any, dynamic_shapes: Any, notes: list[str]) -> Module:
    """Reads a module in memory whose inputs may be words.

    Raises:
        UsageError, UnsupportedError, InvalidModelError: as for a module in memory.
    """
    args, shapes, names = arguments(torch, inputs, dynamic_shapes)
    with working_directory():
        loaded = live.load_object(module, args, shapes, names)
    loaded.warnings[:0] = notes
    return loaded
