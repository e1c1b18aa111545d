"""Writing to nowhere: what a rule would write, without a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmconvert.emitters.tflite import fusion
from mmconvert.emitters.tflite import integers as deciding
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.grid import Grid
from mmconvert.emitters.tflite.integers import Integers, Written
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op


class Rehearsal(Writer):
    """Goes through everything that writing does, and keeps only what was written.

    Attributes:
        written: the operators, in order.
    """

    def __init__(self, plan: fusion.Plan | None = None) -> None:
        super().__init__(ModelFile(), plan, subgraph=_no_subgraph)
        self.extents.assume_known = True
        self.written: list[Written] = []

    def emit(
        self,
        builtin: tfl.Builtin,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        options: dict[str, Any],
        inner: Sequence[int] = (),
    ) -> None:
        """Notes an operator; its operands and results have to be of types that TFLite has."""
        inputs = [None if v is None else self.forms.get(v, v) for v in inputs]
        outputs = [self.forms.get(v, v) for v in outputs]
        for value in (*inputs, *outputs):
            if value is not None:
                tensor_type(value.type.dtype)
        self.written.append(Written(builtin, tuple(inputs), tuple(outputs), self.grids))


def _no_subgraph(graph: Graph) -> int:
    return 0


def integers(graph: Graph, plan: fusion.Plan | None = None) -> Integers:
    """Which operators of ``graph`` are written over integers."""
    tails = plan or fusion.plan(graph)

    def ends(node: Node[Op]) -> Value:
        return tails.tails[node].output if node in tails.tails else node.outputs[0]

    def rehearse(
        node: Node[Op], forms: Mapping[Value, Value], grids: Mapping[Value, Grid]
    ) -> list[Written] | None:
        rule = RULES.find(type(node.op))
        if rule is None or node in tails.absorbed:
            return None
        out = Rehearsal(tails)
        out.forms, out.grids = dict(forms), dict(grids)
        try:
            rule(node, out)
        except UnsupportedError:
            return None
        return out.written

    return deciding.plan(graph, ends, rehearse)
