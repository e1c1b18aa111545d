"""Inputs to compare models on: the user's own, or seeded ones that fit the graph."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InferenceError, InvalidModelError, UsageError
from mmconvert.interpreter.bindings import Bindings
from mmconvert.ir import ops
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, Extent, substitute, symbols
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType

TYPICAL_EXTENTS = (32, 48, 64, 96, 128, 160, 224, 256, 320, 384, 512, 640, 16, 8)
"""Unknown extents other than the batch get the first of these that the operators can work on; further inputs
begin to look one place further."""

INTEGERS = 100
"""Integers that index no table are below this."""

VALID = 0.8
"""How much of a mask is set."""

Feed = dict[str, Array]

_MOVES = (
    ops.Cast,
    ops.Clip,
    ops.Concat,
    ops.Dropout,
    ops.Expand,
    ops.Gather,
    ops.Identity,
    ops.Reshape,
    ops.Slice,
    ops.Split,
    ops.Squeeze,
    ops.Tile,
    ops.Transpose,
    ops.Unsqueeze,
)
"""Operators that hand numbers on as they are."""


def generate(
    graph: Graph, count: int = 2, seed: int = 0, extents: Mapping[str, int] | None = None
) -> list[Feed]:
    """Seeded inputs for ``graph``: the same for every run.

    Floats are standard normal. Numbers that index a table, floats among them, stay inside it. Unknown batch
    extents take the values 1, 2, ..., and others differ between feeds as well where the operators allow it,
    so that an extent that was frozen by mistake shows.

    Args:
        graph: the graph to run.
        count: how many feeds.
        seed: another seed gives other numbers.
        extents: values for symbolic extents.

    Raises:
        InvalidModelError: no extents were found that all operators can work on.
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"a seed is not negative, as {seed} is")
    return [_feed(graph, seed + i, _extents(graph, i + 1, extents or {})) for i in range(count)]


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


def _extents(graph: Graph, batch: int, given: Mapping[str, int]) -> dict[str, int]:
    """Numbers for the symbolic extents of the inputs, such that all operators fit together."""
    batches = {e.name for v in graph.inputs for e in v.type.shape[:1] if isinstance(e, Dim) and e.name}
    names = sorted(symbols(*(e for v in graph.inputs for e in v.type.shape)))
    first = (batch - 1) % len(TYPICAL_EXTENTS)
    sizes = TYPICAL_EXTENTS[first:] + TYPICAL_EXTENTS[:first]
    factors = dict.fromkeys(names, 1) | _factors(graph)
    # A first axis is the batch, or else it is like the others.
    alike = [{n: max(1, typical // factors[n]) for n in names} for typical in sizes]
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
    rows = min(_tables(value, set()), default=0)
    if rows:
        return rng.integers(0, rows, shape).astype(dtype)
    if dtypes.is_float(dtype):
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)
    if dtype == dtypes.BOOL:
        return rng.random(shape) < VALID
    if dtypes.is_integer(dtype):
        return _integers(rng, value.name, dtype, shape)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def _integers(rng: np.random.Generator, name: str, dtype: DType, shape: tuple[int, ...]) -> Array:
    if "mask" in name.lower():  # a mask that is all zero leaves nothing to compare
        return (rng.random(shape) < VALID).astype(dtype)
    info: Any = ml_dtypes.iinfo
    return rng.integers(
        0, 256 if dtype == dtypes.U8 else min(INTEGERS, int(info(dtype).max) + 1), shape
    ).astype(dtype)


def _tables(value: Value, seen: set[Node[Op]]) -> Iterator[int]:
    """The number of rows of each table that ``value`` indexes, itself or moved about."""
    for node, index in value.uses:
        op = node.op
        if index == 1 and isinstance(op, ops.Gather | ops.GatherElements):
            yield _rows(node.operand(0).type.shape[op.axis])
        elif index == 0 and isinstance(op, ops.OneHot):
            yield _rows(op.depth)
        elif isinstance(op, _MOVES) and node not in seen:
            seen.add(node)
            for output in node.outputs:
                yield from _tables(output, seen)


def _rows(extent: Extent) -> int:
    return max(extent, 1) if isinstance(extent, int) else 1
