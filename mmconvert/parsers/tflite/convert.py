"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, prune
from mmconvert.ir.model import Metadata, Module, State
from mmconvert.ir.types import Extent, TensorType
from mmconvert.parsers.tflite import metadata, scope
from mmconvert.parsers.tflite.reader import ModelFile
from mmconvert.parsers.tflite.source import Context, Library
from mmconvert.parsers.tflite.state import Variables
from mmconvert.parsers.tflite.tensors import Record
from mmconvert.rules import Rules

MAIN = 0
"""The sub-graph that a runtime runs."""


class Converter:
    """Reads the main graph of one file into the IR."""

    def __init__(self, file: ModelFile, rules: Rules[str]) -> None:
        self.file, self.main = file, file.subgraphs[MAIN]
        self.library = Library(file, rules)
        self.graph = Graph(self.main.name or "main")
        self.variables = Variables(self.graph)
        self.context = Context(self.library, MAIN, self.graph, self.variables)

    def convert(self) -> Module:
        """The whole model.

        Raises:
            UnsupportedError: with every problem of the model.
            InvalidModelError: the model is not valid.
        """
        ends = (self.main.inputs, self.main.outputs)
        inputs, outputs = (self._names(index, numbers) for index, numbers in enumerate(ends))
        for name, number in zip(inputs, self.main.inputs, strict=True):
            with scope.collecting(self.library):
                record = self.main.tensors[number]
                self.context.values[number] = self.graph.input(name, self._type(record, name))
        self.context.refused |= set(self.main.inputs) - set(self.context.values)
        results = []
        with scope.collecting(self.library):
            results = scope.read(self.context, Builder(self.graph))
        if self.library.problems:
            raise self._unsupported()
        states = self.variables.settle()
        names = [*outputs, *_unique([f"{name}_next" for name in states], outputs)]
        self.graph.set_outputs([*results, *(current for _, current, _ in states.values())], names)
        prune(self.graph)
        kept = zip(states.items(), names[len(outputs) :], strict=True)
        found = tuple(State(name, after, initial) for (name, (_, _, initial)), after in kept)
        return Module(self.graph, self._metadata(), self._warnings(found), found)

    def _names(self, end: int, numbers: Sequence[int]) -> list[str]:
        """What inputs (0) or outputs (1) are called: by the first signature, else by their tensors.

        A signature that names only some of them, or is of another graph, is not asked.
        """
        names = {number: self.main.tensors[number].name for number in numbers}
        for signature in self.file.signatures[:1]:
            given = (signature.inputs, signature.outputs)[end]
            if signature.subgraph == MAIN and set(given) == set(numbers):
                names |= given
        kind = ("input", "output")[end]
        return _unique([names[number] or f"{kind}_{i}" for i, number in enumerate(numbers)])

    def _type(self, record: Record, name: str) -> TensorType:
        shape: list[Extent] = [
            self.library.symbols.fresh(f"{name}_{axis}") if extent < 0 else extent
            for axis, extent in enumerate(record.shape)
        ]
        return TensorType(record.dtype, tuple(shape))

    def _metadata(self) -> Metadata:
        about = metadata.read(self.file)
        return Metadata(
            format="tflite",
            producer=self.file.description,
            labels=about.labels,
            properties=about.properties,
            files=about.files,
        )

    def _warnings(self, states: tuple[State, ...]) -> list[str]:
        warnings = list(dict.fromkeys(self.library.warnings))
        if states:
            shown = ", ".join(f"{state.input} -> {state.output}" for state in states)
            warnings.append(f"the state that the file keeps between runs is inputs and outputs now: {shown}")
        others = [s.key for s in self.file.signatures if s.subgraph != MAIN]
        if others:
            warnings.append(
                f"only the main graph is read; other signatures are left out: {', '.join(others)}"
            )
        return warnings

    def _unsupported(self) -> UnsupportedError:
        problems = merge_problems(self.library.problems)
        what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
        return UnsupportedError(f"{what} not supported", where=self.file.path.name, problems=problems)


def _unique(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """``names``, with numbers behind those that are there already."""
    found: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique in found or unique in taken:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found
