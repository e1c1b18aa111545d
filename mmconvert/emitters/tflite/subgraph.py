"""Writes one graph, and the graphs inside it, as TFLite sub-graphs."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert.emitters.tflite import fusion
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.errors import Problem, UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op

_HINTS = {"f64": "convert the model to float32 first"}


@dataclass(slots=True)
class GraphWriter:
    """Writes graphs into a file, and collects what could not be written."""

    file: ModelFile
    wrap_indices: bool = True
    problems: list[Problem] = field(default_factory=list)

    def write(self, graph: Graph, *, signed: bool = False) -> int:
        """Writes ``graph`` and returns the index of its sub-graph; ``signed`` gives it a signature."""
        position = self.file.reserve()
        out = Writer(
            self.file, fusion.plan(graph), subgraph=self.write, wrap_indices=self.wrap_indices
        )
        inputs = [self._input(value, out) for value in graph.inputs]
        outputs = self._name_outputs(graph, out)
        for node in graph:
            if node not in out.plan.absorbed:
                self._write(node, out)
        for source, result in zip(graph.outputs, outputs, strict=True):
            if source is not result:
                out.scope = result.name
                out.copy(source, result)
        ends = [out.index(value) for value in outputs]
        self.file.subgraphs[position] = tfl.SUBGRAPH(
            tensors=out.tensors, inputs=inputs, outputs=ends, operators=out.operators, name=graph.name
        )
        if signed:
            names = [value.name for value in graph.inputs]
            self.file.sign(
                dict(zip(names, inputs, strict=True)), dict(zip(graph.output_names, ends, strict=True))
            )
        return position
