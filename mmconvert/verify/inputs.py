"""Inputs to compare models on: the user's own, or seeded ones that fit the graph."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InferenceError, UsageError
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, Extent, substitute, symbols
from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import Gather
from mmconvert.ir.types import Array, TensorType

TYPICAL_EXTENTS = (32, 48, 64, 96, 128, 160, 224, 256, 320, 384, 512, 640, 16, 8)
"""Unknown extents other than the first axis get the first of these that the operators can work on."""

Feed = dict[str, Array]


def generate(graph: Graph, count: int = 2, seed: int = 0, extents: Mapping[str, int] | None = None) -> list[Feed]:
    """Seeded inputs for ``graph``: the same for every run.

    Floats are standard normal, integers that index a table stay inside it, unknown batch extents take the
    values 1, 2, ... so that a batch that was frozen by mistake shows.

    Args:
        graph: the graph to run.
        count: how many feeds.
        seed: another seed gives other numbers.
        extents: values for symbolic extents.
    """
    return [_feed(graph, seed + i, _extents(graph, i + 1, extents or {})) for i in range(count)]


def load(path: Path, graph: Graph) -> list[Feed]:
    """The user's inputs: an ``.npz`` with an array per input, or an ``.npy`` for a model with one input.

    Raises:
        UsageError: the file is no array file, or does not name the inputs of the model.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"is no .npy or .npz file: {error}", where=str(path)) from error
    names = [v.name for v in graph.inputs]
    if isinstance(loaded, np.ndarray):
        if len(names) != 1:
            raise UsageError(f"holds one array, and the model has the inputs {', '.join(names)}", where=str(path))
        return [{names[0]: loaded}]
    if missing := [n for n in names if n not in loaded]:
        raise UsageError(f"has no array called {', '.join(missing)}", where=str(path))
    return [{n: loaded[n] for n in names}]


def _extents(graph: Graph, batch: int, given: Mapping[str, int]) -> dict[str, int]:
    """Numbers for the symbolic extents of the inputs, such that all operators fit together."""
    batches = {e.name for v in graph.inputs for e in v.type.shape[:1] if isinstance(e, Dim) and e.name}
    names = sorted(symbols(*(e for v in graph.inputs for e in v.type.shape)))
    for typical in TYPICAL_EXTENTS:
        chosen = {n: given.get(n, batch if n in batches else typical) for n in names}
        if set(names) <= batches | set(given) or _fits(graph, chosen):
            return chosen
    hint = "give the inputs with --inputs"
    raise UsageError(f"no extents were found for {', '.join(names)} that the model can work on", hint=hint)


def _fits(graph: Graph, extents: Mapping[str, int]) -> bool:
    try:
        copy_graph(graph, extents)
    except InferenceError:
        return False
    return True


def _feed(graph: Graph, seed: int, extents: Mapping[str, int]) -> Feed:
    return {v.name: _array(v, seed, tuple(_number(e, extents, v.type) for e in v.type.shape)) for v in graph.inputs}


def _number(extent: Extent, extents: Mapping[str, int], type: TensorType) -> int:
    number = substitute(extent, extents)
    if not isinstance(number, int):
        raise UsageError(f"the extent {extent} of {type} is not known", hint="give the inputs with --inputs")
    return number


def _array(value: Value, seed: int, shape: tuple[int, ...]) -> Array:
    rng = np.random.default_rng([seed, zlib.crc32(value.name.encode())])
    dtype = value.type.dtype
    if dtypes.is_float(dtype):
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)
    if dtype == dtypes.BOOL:
        return rng.random(shape) < 0.5
    if dtypes.is_integer(dtype):
        return rng.integers(0, _table_size(value), shape).astype(dtype)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def _table_size(value: Value) -> int:
    """How many rows the smallest table has that ``value`` indexes; 100 when it indexes none."""
    sizes = [100]
    for node, index in value.uses:
        if is_op(node, Gather) and index == 1:
            extent = node.operand(0).type.shape[node.op.axis]
            sizes.append(extent if isinstance(extent, int) else 1)
    return max(1, min(sizes))
