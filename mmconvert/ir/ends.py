"""What a graph shows outside: the extents and the names of its inputs and outputs, as a user wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmconvert.errors import InferenceError, UsageError
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, Extent, symbols
from mmconvert.ir.graph import Graph


def fix_dims(graph: Graph, wanted: Mapping[str, int]) -> Graph:
    """A copy of ``graph`` with numbers for extents of its inputs, and for all that follows from them.

    Args:
        graph: what to copy; with nothing wanted, it is returned itself.
        wanted: numbers by the name of the extent (``n``), or by an input and one of its axes (``image:0``).

    Raises:
        UsageError: there is no such extent, or the graph does not work with this number.
    """
    if not wanted:
        return graph
    bindings: dict[str, int] = {}
    for key, number in wanted.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UsageError(f"an extent is a number from 1 on, not {key}={number}")
        for name, found in _names(graph, key, number):
            if bindings.setdefault(name, found) != found:
                raise UsageError(f"the extent {name} cannot be {bindings[name]} and {found}")
    try:
        return copy_graph(graph, bindings)
    except InferenceError as error:
        given = ", ".join(f"{name}={number}" for name, number in bindings.items())
        raise UsageError(
            f"the model does not work with {given}: {error.message}", where=error.where
        ) from error


def rename_ends(graph: Graph, names: Mapping[str, str]) -> Graph:
    """A copy of ``graph`` with other names for inputs and outputs; itself when there are none.

    Args:
        graph: what to copy.
        names: the new names by the old ones.

    Raises:
        UsageError: there is nothing of an old name, or a new name is empty or would stand twice.
    """
    if not names:
        return graph
    inputs, outputs = [v.name for v in graph.inputs], graph.output_names
    if unknown := [name for name in names if name not in inputs and name not in outputs]:
        ends = f"its inputs are {_listed(inputs)}; its outputs are {_listed(outputs)}"
        raise UsageError(f"the model has no input or output called {_listed(unknown)}", hint=ends)
    new = copy_graph(graph)
    for value in new.inputs:
        value.name = names.get(value.name, value.name)
    new.output_names = [names.get(name, name) for name in outputs]
    _require_apart(graph, new, names)
    return new


def _require_apart(old: Graph, new: Graph, names: Mapping[str, str]) -> None:
    if "" in names.values():
        raise UsageError("inputs and outputs need a name")
    before, after = ([*(v.name for v in g.inputs), *g.output_names] for g in (old, new))
    firsts: dict[str, str] = {}
    for was, name in zip(before, after, strict=True):
        # A name stands twice only where it did: for an input that is an output as well.
        if firsts.setdefault(name, was) != was:
            raise UsageError(f"{firsts[name]} and {was} would both be called {name!r}")


def _names(graph: Graph, key: str, number: int) -> Iterator[tuple[str, int]]:
    """The extent behind ``key``, and what it has to be; nothing where that is ``number`` already."""
    known = symbols(*(e for v in graph.inputs for e in v.type.shape))
    if key in known:
        yield key, number
        return
    extent = _at(graph, key)
    if extent is None:
        types = ", ".join(f"{v.name} is {v.type}" for v in graph.inputs)
        hint = f"give a name, or an input and an axis (image:0): {types}"
        raise UsageError(f"no input has an extent called {key!r}", hint=hint)
    if isinstance(extent, Dim) and extent.name is not None:
        yield extent.name, number
    elif isinstance(extent, Dim) and extent.line is not None:
        name, factor, offset = extent.line
        if (number - offset) % factor:
            raise UsageError(f"{key} is {extent}, and cannot be {number}")
        yield name, (number - offset) // factor
    elif isinstance(extent, Dim):
        hint = f"say what {_listed(sorted(extent.symbols))} is"
        raise UsageError(f"{key} is computed: it is {extent}", hint=hint)
    elif extent != number:
        raise UsageError(f"{key} is {extent} in the model, and cannot be {number}")


def _at(graph: Graph, key: str) -> Extent | None:
    """The extent at ``input:axis``."""
    name, _, axis = key.rpartition(":")
    value = next((v for v in graph.inputs if v.name == name), None)
    if value is None or not axis.isdecimal() or int(axis) >= value.type.rank:
        return None
    return value.type.shape[int(axis)]


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
