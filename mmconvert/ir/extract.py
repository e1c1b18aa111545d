"""Cuts a part out of a graph, between named values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmconvert.errors import InferenceError, UsageError
from mmconvert.ir.copy import Copier
from mmconvert.ir.dims import Dim, Extent, solve, substitute, symbols
from mmconvert.ir.graph import Graph, Node, Value, mentions
from mmconvert.ir.op import Op
from mmconvert.ir.text import labels
from mmconvert.ir.types import TensorType


def extract(graph: Graph, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None) -> Graph:
    """The part of ``graph`` that computes ``outputs`` from ``inputs``; weights are shared.

    Any value can be an input, and its type is then that of the input. Extents that were computed from inputs
    which are gone get names of their own, ``<input>_<axis>``.

    Args:
        graph: what to cut; it stays as it is.
        inputs: names of values; by default the inputs of the graph that the outputs depend on.
        outputs: names of values; by default the outputs of the graph.

    Raises:
        UsageError: there is no such value, an input is missing or not needed, or an operator needs an extent
            that the inputs do not tell.
    """
    values = named_values(graph)
    results = _resolved(values, graph.output_names if outputs is None else outputs, "output")
    cuts = {} if inputs is None else _resolved(values, inputs, "input")
    given = {value: name for name, value in cuts.items()}
    taken = _Inputs(graph, given)
    nodes, reached = _reach(graph, results.values(), taken)
    missing = [v for v in graph.inputs if v in reached and v not in given]
    if inputs is None:
        taken = _Inputs(graph, {v: v.name for v in missing})
    elif missing:
        passing = _passing(graph, nodes, given, missing)
        raise _incomplete([f"{v.name} {reached[v]}" for v in missing], inputs, passing or missing, values)
    elif unused := [name for value, name in given.items() if value not in reached]:
        raise UsageError(f"the outputs do not depend on {', '.join(unused)}", hint="leave it out")
    return _cut(graph, taken, nodes, results)


def named_values(graph: Graph) -> dict[str, Value]:
    """Every value by the names that it goes by.

    A name belongs to an input before an output of the graph, to these before an inner value, and to all of
    these before a node or a layer, whose name stands for the last value that it makes. ``%7`` is the value
    that the text form calls so.
    """
    layers = {
        name: node.outputs[-1]
        for node in graph
        for name in (node.name, node.origin.name)
        if name and node.outputs
    }
    inner = {v.name: v for v in reversed([*graph.values()])}
    ends = dict(zip(graph.output_names, graph.outputs, strict=True)) | {v.name: v for v in graph.inputs}
    found = labels(graph) | layers | inner | ends
    found.pop("", None)
    return found


def best_names(values: Mapping[str, Value]) -> dict[Value, str]:
    """One name for each of ``named_values``, the most particular one."""
    found: dict[Value, str] = {}
    for name, value in reversed([*values.items()]):
        found.setdefault(value, name)
    return found


def label(name: str) -> str:
    """What a value is called as an input or output of a part: ``%7`` is no name outside of the text form."""
    return f"value_{name[1:]}" if name.startswith("%") else name


class _Inputs:
    """The inputs of the part, their types, and what becomes of the extents that they do not tell.

    Attributes:
        names, types: of each value that is an input.
        bindings: what stands for the extents of the graph. What the inputs tell stands for itself, so that
            ``solve`` looks for what is left.
    """

    def __init__(self, graph: Graph, names: Mapping[Value, str]) -> None:
        self.names = names
        self.types: dict[Value, TensorType] = {}
        self.bindings: dict[Any, Extent] = {}
        self._known: set[str] = set()
        self._wholes: dict[Extent, Dim] = {}
        self._taken = set(symbols(*(e for v in graph.values() for e in v.type.shape)))
        # In order: a run learns extents from one input after the other.
        for value, name in names.items():
            for symbol in _names(value.type):
                if symbol not in self.bindings:
                    self.bindings[symbol] = Dim.symbol(symbol)
                    self._known.add(symbol)
            shape = [self._extent(e, f"{name}_{axis}") for axis, e in enumerate(value.type.shape)]
            self.types[value] = value.type.with_shape(tuple(shape))

    def _extent(self, extent: Extent, name: str) -> Extent:
        now = substitute(extent, self.bindings)
        if symbols(now) <= self._known:
            return now
        if extent not in self._wholes:
            fresh = self._wholes[extent] = self._fresh(name)
            self._known |= fresh.symbols
            if found := solve(extent, fresh, self.bindings):
                self.bindings[found[0]] = found[1]
        return self._wholes[extent]

    def _fresh(self, text: str) -> Dim:
        base = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "extent"
        base = f"_{base}" if base[0].isdigit() else base
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return Dim.symbol(name)


def _resolved(values: Mapping[str, Value], names: Sequence[str], what: str) -> dict[str, Value]:
    """The values called so, by the names that they will have."""
    if unknown := [name for name in names if name not in values]:
        close = dict.fromkeys(c for name in unknown for c in difflib.get_close_matches(name, values, 3))
        guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        hint = f"{guess}`mmconvert inspect MODEL --values` lists them all"
        raise UsageError(f"the model has no value called {', '.join(map(repr, unknown))}", hint=hint)
    found = {label(name): values[name] for name in names}
    if not found:
        raise UsageError(f"a part of a model needs an {what}")
    if len(found) < len(names) or (what == "input" and len(set(found.values())) < len(names)):
        raise UsageError(f"an {what} is named twice: {', '.join(names)}")
    return found


def _reach(graph: Graph, results: Iterable[Value], taken: _Inputs) -> tuple[set[Node[Op]], dict[Value, str]]:
    """What the results need: nodes, and the values that these begin with, each with what needs it."""
    nodes: dict[Node[Op], None] = {}
    reached: dict[Value, str] = {}
    told: set[str] = set()
    tellers = _tellers(graph, taken)
    wanted = [(value, "is an output") for value in results]
    while wanted:
        for value, reason in _walk(wanted):
            node = value.producer
            if value in taken.names or node is None:
                reached.setdefault(value, reason)
                told.update(_names(taken.types.get(value, value.type)))
            elif node not in nodes:
                nodes[node] = None
                # What an operator is told itself, as Expand is, is no news in the type of its result.
                told.update(name for v in node.outputs for name in _told(v) if tellers[name] is v)
                wanted += [(v, f"is read by {node.place}") for v in node.inputs if v is not None]
        for node in nodes:
            for name in sorted(mentions(node.op, taken.bindings) - told):
                if name in tellers:
                    told.add(name)
                    wanted.append((tellers[name], f"tells the extent {name} to {node.place}"))
    return {*nodes}, reached


def _walk(stack: list[tuple[Value, str]]) -> Iterator[tuple[Value, str]]:
    """What is on the stack, and what is put on it meanwhile, until it is empty."""
    while stack:
        yield stack.pop()


def _tellers(graph: Graph, taken: _Inputs) -> dict[str, Value]:
    """Where each extent can be read: from an input of the part, else of the graph, else from a result."""
    found = {name: value for value, type in reversed(taken.types.items()) for name in _names(type)}
    for value in (*graph.inputs, *(v for node in graph for v in node.outputs)):
        for name in _told(value):
            found.setdefault(name, value)
    return found


def _told(value: Value) -> list[str]:
    """The extents that are known once ``value`` is."""
    named = getattr(value.producer.op, "names", ()) if value.producer else ()
    return [*_names(value.type), *(e.name for e in named if isinstance(e, Dim) and e.name)]


def _names(type: TensorType) -> list[str]:
    return [e.name for e in type.shape if isinstance(e, Dim) and e.name]


def _passing(
    graph: Graph, nodes: Container[Node[Op]], given: Iterable[Value], missing: Iterable[Value]
) -> list[Value]:
    """The values that come from ``missing`` and meet, later on, what is computed from ``given``."""
    ours, theirs = set(given), set(missing)
    found: dict[Value, None] = {}
    for node in graph:
        if node in nodes:
            foreign = [v for v in node.inputs if v in theirs and v not in ours]
            if any(v in ours for v in node.inputs):
                ours.update(node.outputs)
                found.update(dict.fromkeys(v for v in foreign if v is not None))
            elif foreign:
                theirs.update(node.outputs)
    return [*found]


def _incomplete(
    reasons: Sequence[str], inputs: Sequence[str], more: Sequence[Value], values: Mapping[str, Value]
) -> UsageError:
    names = best_names(values)
    together = ",".join([*inputs, *(names[v] for v in more)])
    return UsageError(
        f"the outputs depend on more than these inputs: {'; '.join(reasons)}",
        hint=f"cut there as well (--inputs {together}), or elsewhere; an extent can be fixed with --fix-dims",
    )


def _cut(graph: Graph, taken: _Inputs, nodes: set[Node[Op]], results: Mapping[str, Value]) -> Graph:
    copier = Copier(graph.name, taken.bindings)
    for value, name in taken.names.items():
        copier.take(value, name, taken.types[value])
    try:
        for node in graph:
            if node in nodes:
                copier.add(node)
    except InferenceError as error:
        hint = "cut elsewhere, or give numbers to the extents (--fix-dims)"
        raise UsageError(
            f"the model cannot be cut here: {error.message}", where=error.where, hint=hint
        ) from error
    copier.graph.set_outputs([copier.find(v) for v in results.values()], list(results))
    return copier.graph
