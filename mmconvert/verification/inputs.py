"""Inputs to compare models on: the user's own, or seeded ones that fit the graph."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError, UsageError
from mmconvert.interpreter import Session
from mmconvert.interpreter.bindings import Bindings
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, Extent, substitute, symbols
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Array, TensorType
from mmconvert.verification.roles import role_of

TYPICAL_EXTENTS = (32, 48, 64, 96, 128, 160, 224, 256, 320, 384, 512, 640, 16, 8)
"""Unknown extents other than the batch get the first of these that the operators can work on; further inputs
begin to look one place further."""

ODD_EXTENTS = (37, 53, 67, 97, 131, 223, 257, 17, 11, 7, 33, 65, *TYPICAL_EXTENTS)
"""The same for an input that is to show what only works for even extents."""

LARGE = 30.0
"""How much larger an input of large magnitude is."""

INTEGERS = 100
"""Integers that index no table are below this."""

VALID = 0.8
"""How much of a mask is set."""

Feed = dict[str, Array]

Structure = Callable[[Array], Array]
"""Numbers in the place of others."""


def generate(
    graph: Graph,
    count: int = 2,
    seed: int = 0,
    extents: Mapping[str, int] | None = None,
    *,
    thorough: bool = False,
) -> list[Feed]:
    """Seeded inputs for ``graph``: the same for every run.

    What an input is for is read off the graph (``roles.role_of``): numbers that index a table stay inside it,
    pixels are between 0 and 255, a mask is set for the most part. Other floats are standard normal. Unknown
    batch extents take the values 1, 2, ..., and others differ between feeds as well where the operators allow
    it, so that an extent that was frozen by mistake shows.

    Args:
        graph: the graph to run.
        count: how many feeds.
        seed: another seed gives other numbers.
        extents: values for symbolic extents.
        thorough: add feeds with odd and prime extents and a batch of 3, and some with a structure: constant,
            a ramp, one-hot, of large magnitude.

    Raises:
        InvalidModelError: no extents were found that all operators can work on.
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"a seed is not negative, as {seed} is")
    given = extents or {}
    found = [_feed(graph, seed + i, _extents(graph, i + 1, given)) for i in range(count)]
    if thorough:
        odd = _extents(graph, 3, given, ODD_EXTENTS)
        found += [_feed(graph, seed + count, odd), *(_shaped(graph, found[0], shape) for shape in STRUCTURES)]
    return found


def without_effect(graph: Graph, feed: Mapping[str, Array], seed: int = 0) -> list[str]:
    """Says which inputs leave outputs as they are when they alone change.

    Args:
        graph: the source.
        feed: the inputs to begin with.
        seed: another seed changes them otherwise.
    """
    if len(graph.inputs) < 2:
        return []  # where nothing at all depends on the only input, the outputs are constant
    session, notes = Session(graph, hold_weights=False), []
    before = session.run(feed)
    for value in graph.inputs:
        other = _array(value, seed + 1, feed[value.name].shape)
        after = session.run({**feed, value.name: other})
        same = [n for n, a in before.items() if np.array_equal(a, after[n], equal_nan=a.dtype.kind in "fc")]
        if same:
            notes.append(f"the input {value.name!r} alone does not change {', '.join(map(repr, same))}")
    return notes


def _shaped(graph: Graph, feed: Feed, structure: Structure) -> Feed:
    """``feed`` with a structure in what is free to have one: floats that index nothing and mask nothing."""
    free = {v.name for v in graph.inputs if role_of(v).kind == "number" and dtypes.is_float(v.type.dtype)}
    return {n: structure(a).astype(a.dtype) if n in free and a.size else a for n, a in feed.items()}


def _constant(array: Array) -> Array:
    return np.full(array.shape, 0.5)


def _ramp(array: Array) -> Array:
    return np.linspace(-1, 1, array.size).reshape(array.shape)


def _one_hot(array: Array) -> Array:
    hot = np.zeros(array.size)
    hot[array.size // 3] = 1
    return hot.reshape(array.shape)


def _large(array: Array) -> Array:
    return array.astype(np.float64) * LARGE


STRUCTURES: tuple[Structure, ...] = (_constant, _ramp, _one_hot, _large)


def fit(graph: Graph, feed: Mapping[str, Array]) -> Feed:
    """The user's arrays as the graph takes them, before anything is computed.

    Floats are rounded to the input's dtype; integers of another width, and big-endian arrays, are converted
    when that changes no value.

    Raises:
        UsageError: an input is missing or unknown, or has the wrong dtype or shape.
    """
    known = ", ".join(f"{v.name!r} ({v.type})" for v in graph.inputs)
    names = {v.name for v in graph.inputs}
    if unknown := sorted(set(feed) - names):
        raise UsageError(
            f"the model has no input called {', '.join(map(repr, unknown))}", hint=f"it has {known}"
        )
    if missing := [v.name for v in graph.inputs if v.name not in feed]:
        raise UsageError(f"the input {missing[0]!r} is missing", hint=f"the model has {known}")
    bindings, fitted = Bindings(), {}
    for value in graph.inputs:
        array = fitted[value.name] = _converted(value, np.asarray(feed[value.name]))
        bindings.bind(value.type, array.shape, value.name)
    return fitted


def _converted(value: Value, array: Array) -> Array:
    dtype = value.type.dtype
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype == dtype:
        return native
    if dtypes.is_float(dtype) and dtypes.is_float(native.dtype):
        return native.astype(dtype)
    if dtypes.is_integer(dtype) and dtypes.is_integer(native.dtype):
        with np.errstate(all="ignore"):
            if np.array_equal(converted := native.astype(dtype), native):
                return converted
    expected = f"the input {value.name!r} is {value.type}"
    hint = f"convert it with array.astype({dtype.name!r})"
    raise UsageError(f"{expected}, not {native.dtype} {list(native.shape)}", hint=hint)


def _extents(
    graph: Graph, batch: int, given: Mapping[str, int], typical: tuple[int, ...] = TYPICAL_EXTENTS
) -> dict[str, int]:
    """Numbers for the symbolic extents of the inputs, such that all operators fit together."""
    batches = {e.name for v in graph.inputs for e in v.type.shape[:1] if isinstance(e, Dim) and e.name}
    names = sorted(symbols(*(e for v in graph.inputs for e in v.type.shape)))
    first = (batch - 1) % len(TYPICAL_EXTENTS) if typical is TYPICAL_EXTENTS else 0
    sizes = typical[first:] + typical[:first]
    factors = dict.fromkeys(names, 1) | _factors(graph)
    # A first axis is the batch, or else it is like the others.
    alike = [{n: max(1, size // factors[n]) for n in names} for size in sizes]
    tried = [numbers | dict.fromkeys(batches, batch) for numbers in alike] + alike
    reason: InferenceError | None = None
    for numbers in tried:
        chosen = numbers | {n: e for n, e in given.items() if n in numbers}
        try:
            _bind(graph, chosen)
        except InferenceError as error:
            reason = reason or error
        else:
            return chosen
    raise InvalidModelError(
        f"no extents were found for {', '.join(names)} that the model can work on",
        hint=f"{reason}. If the model is right, give inputs of your own (--inputs)",
    ) from reason


def _factors(graph: Graph) -> dict[str, int]:
    """How often a name stands in the extents of inputs that are multiples of it: they shall be typical."""
    factors: dict[str, int] = {}
    for extent in (e for v in graph.inputs for e in v.type.shape if isinstance(e, Dim)):
        if (line := extent.line) is not None:
            factors[line[0]] = min(abs(line[1]), factors.get(line[0], abs(line[1])))
    return factors


def _bind(graph: Graph, extents: Mapping[str, int]) -> None:
    """Infers all types with these extents.

    Raises:
        InferenceError: the operators do not fit together.
    """
    if extents:
        copy_graph(graph, extents)


def _feed(graph: Graph, seed: int, extents: Mapping[str, int]) -> Feed:
    return {
        v.name: _array(v, seed, tuple(_number(e, extents, v.type) for e in v.type.shape))
        for v in graph.inputs
    }


def _number(extent: Extent, extents: Mapping[str, int], type: TensorType) -> int:
    number = substitute(extent, extents)
    if not isinstance(number, int) or number < 0:
        raise UsageError(
            f"no extent was found for {extent} of {type}", hint="give inputs of your own (--inputs)"
        )
    return number


def _array(value: Value, seed: int, shape: tuple[int, ...]) -> Array:
    rng = np.random.default_rng([seed, zlib.crc32(value.name.encode())])
    dtype = value.type.dtype
    role = role_of(value)
    if role.kind == "index":
        return rng.integers(0, role.high, shape).astype(dtype)
    if role.kind == "mask":  # one that is all zero leaves nothing to compare
        return (rng.random(shape) < VALID).astype(dtype)
    if role.kind == "length":
        return rng.integers(1, role.high + 1, shape).astype(dtype)
    if role.kind == "range" and dtypes.is_float(dtype):
        return rng.uniform(0, role.high, shape).astype(np.float32).astype(dtype)
    if dtypes.is_float(dtype):
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)
    if dtypes.is_integer(dtype):
        info: Any = ml_dtypes.iinfo
        below = 256 if dtype == dtypes.U8 else min(INTEGERS, int(info(dtype).max) + 1)
        return rng.integers(0, below, shape).astype(dtype)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
