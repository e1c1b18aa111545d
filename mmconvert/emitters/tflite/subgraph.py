"""Writes one graph, and the graphs inside it, as TFLite sub-graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.emitters.tflite import fusion, hybrid
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.file import SIGNATURE, ModelFile
from mmconvert.emitters.tflite.rehearsal import integers
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import Problem, UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op


@dataclass(slots=True)
class GraphWriter:
    """Writes graphs into a file, and collects what could not be written."""

    file: ModelFile
    wrap_indices: bool = True
    problems: list[Problem] = field(default_factory=list)

    def write(self, graph: Graph) -> int:
        """Writes ``graph``, and returns the index of its sub-graph."""
        return self._write(graph)

    def write_main(self, graph: Graph, key: str = SIGNATURE) -> None:
        """Writes ``graph`` with the signature ``key``, which has the names of its inputs and outputs."""
        self._write(graph, key)

    def _write(self, graph: Graph, key: str | None = None) -> int:
        position = self.file.reserve()
        tails = fusion.plan(graph)
        over = integers(graph, tails)
        out = Writer(self.file, tails, subgraph=self.write, wrap_indices=self.wrap_indices)
        out.grids = over.grids
        results = _results(graph)
        out.names = dict(zip(results, graph.output_names, strict=True))
        for value in graph.inputs:
            with self._collect(f"input {value.name!r}"):
                out.input(value)
        for node in graph:
            if node not in out.plan.absorbed and node not in over.absorbed:
                out.forms = dict(over.forms.get(node, {}))
                out.asymmetric = node in over.forms and hybrid.is_asymmetric(node)
                self._node(node, out)
                out.forms, out.asymmetric = {}, False
        for name, source, result in zip(graph.output_names, graph.outputs, results, strict=True):
            if source is not result:
                out.scope = name
                with self._collect(f"output {name!r}"):
                    out.copy(source, result)
        if not self.problems:
            self._finish(graph, out, results, position, key)
        return position

    def _node(self, node: Node[Op], out: Writer) -> None:
        rule = RULES.find(type(node.op))
        out.scope = node.outputs[0].name or node.name or node.op.name
        wide = any(v is not None and v.type.dtype == dtypes.F64 for v in node.inputs)
        with self._collect(
            node.place, f"{node.op.name}: ", "convert the model to float32 first" if wide else ""
        ):
            if rule is None:
                raise UnsupportedError(f"TFLite has no {node.op.name}")
            rule(node, out)

    @contextmanager
    def _collect(self, place: str, prefix: str = "", hint: str = "") -> Iterator[None]:
        try:
            yield
        except UnsupportedError as error:
            self.problems.append(Problem(f"{prefix}{error.message}", (place,), hint or error.hint))

    def _finish(
        self, graph: Graph, out: Writer, results: list[Value], position: int, key: str | None
    ) -> None:
        ends = [[out.index(value) for value in values] for values in (graph.inputs, results)]
        self.file.subgraphs[position] = tfl.SUBGRAPH(
            tensors=out.tensors, inputs=ends[0], outputs=ends[1], operators=out.operators, name=graph.name
        )
        if key is not None:
            names = [value.name for value in graph.inputs]
            self.file.sign(
                dict(zip(names, ends[0], strict=True)),
                dict(zip(graph.output_names, ends[1], strict=True)),
                subgraph=position,
                key=key,
            )


def _results(graph: Graph) -> list[Value]:
    """The value that each output is written as: its own, or a copy where that cannot be an output tensor.

    An output tensor is one that an operator makes, and stands among the outputs once.
    """
    results: list[Value] = []
    for value in graph.outputs:
        is_made = value.producer is not None and value not in results
        results.append(value if is_made else Value(value.type, f"{value.name}/copy"))
    return results
