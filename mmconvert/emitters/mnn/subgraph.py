"""Writes one graph, and the graphs inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.emitters.flat import Table
from mmconvert.emitters.mnn import fusion
from mmconvert.emitters.mnn.rules import RULES
from mmconvert.emitters.mnn.schema import table
from mmconvert.emitters.mnn.writer import WritePart, Writer
from mmconvert.errors import Problem, UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op


@dataclass(slots=True)
class GraphWriter:
    """Writes graphs, and collects what could not be written."""

    subgraphs: list[Table] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def write(self, graph: Graph) -> str:
        """Writes ``graph`` as a sub-graph, and returns its name."""
        name, position = self._reserve()
        inputs = [f"{name}/i{i}" for i in range(len(graph.inputs))]
        outputs = [f"{name}/o{i}" for i in range(len(graph.outputs))]
        out, results = self._write(graph, inputs, outputs)
        self._finish(position, name, out, graph.inputs, results)
        return name

    def add(self, write: WritePart) -> str:
        """Adds a sub-graph that ``write`` writes, and returns its name."""
        name, position = self._reserve()
        out = Writer(parts=self)
        given, made = write(out)
        self._finish(position, name, out, given, made)
        return name

    def _reserve(self) -> tuple[str, int]:
        self.subgraphs.append(table("SubGraphProto"))
        return f"graph{len(self.subgraphs)}", len(self.subgraphs) - 1

    def _finish(
        self, position: int, name: str, out: Writer, given: Sequence[Value], made: Sequence[Value]
    ) -> None:
        if not self.problems:
            ends = [[out.index(v) for v in values] for values in (given, made)]
            self.subgraphs[position] = table(
                "SubGraphProto",
                name=name,
                inputs=ends[0],
                outputs=ends[1],
                tensors=out.tensors,
                nodes=out.operators,
            )

    def nodes(self, graph: Graph, out: Writer) -> None:
        """Writes the nodes of ``graph`` to ``out``."""
        plan = fusion.plan(graph)
        out.plan.tails.update(plan.tails)
        out.plan.absorbed.update(plan.absorbed)
        for node in graph:
            if node not in out.plan.absorbed:
                self._node(node, out)

    def write_main(self, graph: Graph) -> Writer:
        """Writes ``graph`` with the names of its inputs and outputs."""
        out, _ = self._write(graph, [v.name for v in graph.inputs], graph.output_names)
        return out

    def _write(
        self, graph: Graph, inputs: Sequence[str], outputs: Sequence[str]
    ) -> tuple[Writer, list[Value]]:
        out = Writer(parts=self)
        results = _results(graph)
        out.name_ends(dict(zip((*graph.inputs, *results), (*inputs, *outputs), strict=True)))
        for value in graph.inputs:
            with self._collect(f"input {value.name!r}"):
                out.input(value)
        self.nodes(graph, out)
        for name, source, result in zip(outputs, graph.outputs, results, strict=True):
            out.scope = name
            with self._collect(f"output {name!r}"):
                if source is not result:
                    out.copy(source, result)
                elif not self.problems:
                    out.index(result)  # unpacked, where it is not yet
        return out, results

    def _node(self, node: Node[Op], out: Writer) -> None:
        rule = RULES.find(type(node.op))
        out.scope = node.outputs[0].name or node.name or node.op.name
        wide = any(v is not None and v.type.dtype == dtypes.F64 for v in node.inputs)
        hint = "convert the model to float32 first" if wide else ""
        with self._collect(node.place, f"{node.op.name}: ", hint):
            if rule is None:
                raise UnsupportedError(f"MNN has no {node.op.name}")
            rule(node, out)

    @contextmanager
    def _collect(self, place: str, prefix: str = "", hint: str = "") -> Iterator[None]:
        try:
            yield
        except UnsupportedError as error:
            self.problems.append(Problem(f"{prefix}{error.message}", (place,), hint or error.hint))


def _results(graph: Graph) -> list[Value]:
    """The value that each output is written as: its own, or a copy of what is no operator's result."""
    results: list[Value] = []
    for value in graph.outputs:
        is_made = value.producer is not None and value not in results
        results.append(value if is_made else Value(value.type, f"{value.name}/copy"))
    return results
