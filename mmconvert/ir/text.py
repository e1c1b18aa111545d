"""The text form of graphs: readable, diffable, parseable, complete but for the bytes of large weights.

::

    graph "mobilenet"(image: f32[n,224,224,3]) -> (probs: f32[n,1000])
      %w0: f32[32,3,3,3] = weight "conv1/kernel"
      %c0: f32[] = 6.0
      %1 = Conv(image, %w0) {strides=(2,2) dilations=(1,1) padding=same layout=NHWC}  # Conv2D "c1" -> "c1"
      %2 = Min(%1, %c0)  # ReLU "relu1" -> "relu1"
      return %2

Constants of at most ``INLINE`` elements are written out; larger ones are named, and their bytes live beside
the text (see ``store``). Sub-graphs follow the graph that uses them, under a label (``graph @1 ...``).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError
from mmconvert.ir import literals
from mmconvert.ir.dims import parse as parse_extent
from mmconvert.ir.graph import Graph, Node, Origin, Value
from mmconvert.ir.op import OPERATORS, Op
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor

INLINE = 16
"""Constants with more elements than this are not written out."""

Weights = Callable[[str, TensorType], Tensor]
"""Finds a constant by the label that the text gives it."""


def format_graph(graph: Graph) -> str:
    """The text of a graph and of its sub-graphs."""
    return Printer().print(graph)


def labels(graph: Graph) -> dict[str, Value]:
    """The values that the text of ``graph`` numbers, by what it calls them: ``%7``."""
    printer, own = Printer(), set(graph.values())
    printer.print(graph)
    return {label: v for v, label in printer.labels.items() if label.startswith("%") and v in own}


def parse_graph(text: str, weights: Weights | None = None) -> Graph:
    """Reads what ``format_graph`` writes.

    Args:
        text: one graph, then its sub-graphs.
        weights: finds the large constants; without it, a text that has some is refused.

    Raises:
        InvalidModelError: the text is not a graph; the message names the line.
    """
    return _Reader(text, weights).read()


def format_attributes(op: Op, label: Callable[[Graph], str] = lambda g: f"@{g.name}") -> str:
    """``{strides=(2,2) padding=same}``, without the fields that have their default; empty when all do."""
    fields = [
        f"{f.name}={literals.format_value(getattr(op, f.name), label)}"
        for f in dataclasses.fields(cast(Any, op))
        if f.default is dataclasses.MISSING or getattr(op, f.name) != f.default
    ]
    return "{" + " ".join(fields) + "}" if fields else ""


class Printer:
    """Names the values and constants of a graph and prints it.

    Attributes:
        weights: the constants that were not written out, by label.
        labels: what each value is called.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.labels: dict[Value, str] = {}
        self._pending: list[tuple[str, Graph]] = []
        self._count = 0

    def print(self, graph: Graph) -> str:
        """The text of ``graph``, then of every sub-graph it uses."""
        blocks = ["\n".join(self._block(json.dumps(graph.name), graph))]
        while self._pending:
            label, sub = self._pending.pop(0)
            blocks.append("\n".join(self._block(f"{label} {json.dumps(sub.name)}", sub)))
        return "\n\n".join(blocks) + "\n"

    def _block(self, title: str, graph: Graph) -> Iterator[str]:
        for value in graph.inputs:
            self.labels[value] = _identifier(value.name)
        inputs = ", ".join(f"{self.labels[v]}: {v.type}" for v in graph.inputs)
        names = zip(graph.output_names, graph.outputs, strict=True)
        outputs = ", ".join(f"{_identifier(n)}: {v.type}" for n, v in names)
        yield f"graph {title}({inputs}) -> ({outputs})"
        for node in graph:
            yield from self._constants(node)
            yield f"  {self._node(node)}"
        yield from self._constants(graph.result)
        yield f"  return {', '.join(self.labels[v] for v in graph.outputs)}".rstrip()

    def _constants(self, node: Node[Op]) -> Iterator[str]:
        for value in node.inputs:
            if value is None or value.constant is None or value in self.labels:
                continue
            tensor = value.constant
            inline = tensor.size <= INLINE
            label = self.labels[value] = f"%{'c' if inline else 'w'}{self._next()}"
            if not inline:
                self.weights[label[1:]] = tensor
            body = literals.format_array(tensor.numpy()) if inline else "weight"
            name = f" {json.dumps(value.name)}" if value.name else ""
            yield f"  {label}: {value.type} = {body}{name}"

    def _node(self, node: Node[Op]) -> str:
        inputs = ", ".join("-" if v is None else self.labels[v] for v in node.inputs)
        for value in node.outputs:
            self.labels[value] = f"%{self._next()}"
        outputs = ", ".join(self.labels[v] for v in node.outputs)
        attributes = format_attributes(node.op, self._subgraph)
        text = f"{outputs} = {node.op.name}({inputs}) {attributes}".rstrip()
        return f"{text}  # {_comment(node)}".rstrip()

    def _subgraph(self, graph: Graph) -> str:
        label = f"@{self._next()}"
        self._pending.append((label, graph))
        return label

    def _next(self) -> int:
        self._count += 1
        return self._count


def _comment(node: Node[Op]) -> str:
    origin = " ".join([node.origin.kind or "-", json.dumps(node.origin.name)])
    return f"{origin} -> {' '.join(json.dumps(v.name) for v in node.outputs)}"


def _identifier(name: str) -> str:
    return (
        name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./:-]*", name) and "->" not in name else json.dumps(name)
    )


_STRING = r'"(?:[^"\\]|\\.)*"'
_GRAPH = re.compile(rf"graph (@\d+)? ?({_STRING})\((.*)\) -> \((.*)\)$")
_CONSTANT = re.compile(rf"  (%\w+): (\w+\[[^\]]*\]) = (.*?)( {_STRING})?$")
_NODE = re.compile(
    rf"  ((?:%\d+(?:, )?)*) ?= (\w+)\(((?:[^()\"]|{_STRING})*)\)(?: (\{{.*\}}))?"
    rf"(?:  # (\S+) ({_STRING}) ->((?: {_STRING})*))?$"
)
_RETURN = re.compile(r"  return ?(.*)$")
_DECLARED = re.compile(rf"({_STRING}|[^\s,:(][^\s,]*?): (\w+)\[([^\]]*)\]")


class _Reader:
    def __init__(self, text: str, weights: Weights | None) -> None:
        self.lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        self.weights = weights
        self.graphs: dict[str, Graph] = {}

    def read(self) -> Graph:
        starts = [i for i, (_, line) in enumerate(self.lines) if line.startswith("graph ")]
        if not starts or starts[0] != 0:
            raise InvalidModelError("the text does not begin with a graph")
        first: Graph | None = None
        # Sub-graphs stand after their users, so they are read from the end.
        for start, end in reversed(list(zip(starts, [*starts[1:], len(self.lines)], strict=True))):
            first = self._graph(self.lines[start:end])
        assert first is not None
        return first

    def _graph(self, lines: list[tuple[int, str]]) -> Graph:
        label, name, inputs, outputs = self._match(_GRAPH, lines[0])
        graph = Graph(json.loads(name))
        values = {token: graph.input(_name(token), type) for token, type in _declared(inputs)}
        declared = [(_name(token), type) for token, type in _declared(outputs)]
        complete = False
        for number, line in lines[1:]:
            if line.startswith("  return"):
                (returned,) = self._match(_RETURN, (number, line))
                found = [self._value(values, t, number) for t in _split(returned)]
                complete = [v.type for v in found] == [type for _, type in declared]
                graph.set_outputs(found, [name for name, _ in declared])
            elif _CONSTANT.match(line):
                self._constant(graph, values, (number, line))
            else:
                self._node(graph, values, (number, line))
        if not complete:
            raise InvalidModelError(f"line {lines[0][0]}: {graph.name!r} does not return what it declares")
        if label:
            self.graphs[label] = graph
        return graph

    def _constant(self, graph: Graph, values: dict[str, Value], line: tuple[int, str]) -> None:
        label, declared, body, name = self._match(_CONSTANT, line)
        type = _type(declared)
        if body != "weight":
            tensor = Tensor.of(literals.parse_array(body, type.dtype, type.static_shape))
        elif self.weights is None:
            raise InvalidModelError(f"line {line[0]}: the values of {label} are not in the text")
        else:
            tensor = self.weights(label[1:], type)
        values[label] = graph.constant(tensor, json.loads(name) if name else "")

    def _node(self, graph: Graph, values: dict[str, Value], line: tuple[int, str]) -> None:
        outputs, operator, inputs, attributes, kind, origin, names = self._match(_NODE, line)
        if operator not in OPERATORS:
            raise InvalidModelError(f"line {line[0]}: there is no operator {operator}")
        op = literals.parse_operator(OPERATORS[operator], attributes or "{}", self.graphs, line[0])
        operands = [None if t == "-" else self._value(values, t, line[0]) for t in _split(inputs)]
        where = Origin(json.loads(origin) if origin else "", kind if kind and kind != "-" else "")
        node = graph.add(op, operands, name=where.name, origin=where)
        labels = outputs.split(", ")
        if len(labels) != len(node.outputs):
            raise InvalidModelError(
                f"line {line[0]}: {operator} has {len(node.outputs)} outputs, not {len(labels)}"
            )
        values |= dict(zip(labels, node.outputs, strict=True))
        for value, quoted in zip(node.outputs, re.findall(_STRING, names or ""), strict=False):
            value.name = json.loads(quoted)

    def _value(self, values: dict[str, Value], token: str, number: int) -> Value:
        if token not in values:
            raise InvalidModelError(f"line {number}: {token} is used before it is made")
        return values[token]

    def _match(self, pattern: re.Pattern[str], line: tuple[int, str]) -> tuple[str, ...]:
        match = pattern.match(line[1])
        if match is None:
            raise InvalidModelError(f"line {line[0]} is not understood: {line[1].strip()}")
        return match.groups()


def _declared(text: str) -> Iterator[tuple[str, TensorType]]:
    for match in _DECLARED.finditer(text):
        yield match[1], _type(f"{match[2]}[{match[3]}]")


def _type(text: str) -> TensorType:
    name, _, extents = text.rstrip("]").partition("[")
    if name not in dtypes.BY_NAME:
        raise InvalidModelError(f"there is no element type {name}")
    shape = tuple(parse_extent(e) for e in literals.split_commas(extents))
    return TensorType(dtypes.BY_NAME[name], shape)


def _name(token: str) -> str:
    return str(json.loads(token)) if token.startswith('"') else token


def _split(text: str) -> list[str]:
    return re.findall(rf"{_STRING}|[^\s,]+", text)


def random_weights(seed: int = 0) -> Weights:
    """Seeded noise in place of every weight, for texts that come without theirs (tests, private models)."""
    rng = np.random.default_rng(seed)

    def make(label: str, type: TensorType) -> Tensor:
        return Tensor.of(rng.uniform(-1, 1, type.static_shape).astype(type.dtype))

    return make
