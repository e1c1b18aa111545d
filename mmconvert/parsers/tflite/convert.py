"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert.errors import UnsupportedError, UsageError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, prune
from mmconvert.ir.model import Metadata, Module, State
from mmconvert.ir.types import Extent, TensorType
from mmconvert.parsers.tflite import metadata, scope
from mmconvert.parsers.tflite.reader import ModelFile, Signature
from mmconvert.parsers.tflite.source import Context, Library
from mmconvert.parsers.tflite.state import Variables
from mmconvert.parsers.tflite.tensors import Record
from mmconvert.rules import Rules

MAIN = 0
"""The sub-graph that a runtime runs unless it is told a signature."""


def convert(
    file: ModelFile, rules: Rules[str], signature: str | None = None, *, exact: bool = True
) -> Module:
    """The whole model, or of several signatures one; ``exact`` with what hybrid operators do to floats.

    Raises:
        UnsupportedError: with every problem of the model.
        InvalidModelError: the model is not valid.
        UsageError: it has no such signature.
    """
    library = Library(file, rules, exact)
    wanted, others = _chosen(file, signature)
    main = Converter(library, wanted)
    states = main.convert()
    kept = {other.key: Converter(library, other) for other in others}
    lost = {name for converter in kept.values() for name in (s.input for s in converter.convert())}
    if library.problems:
        raise _unsupported(library, [wanted, *others] if others else [])
    warnings = list(dict.fromkeys(library.warnings))
    if states or lost:
        shown = ", ".join([*(f"{s.input} -> {s.output}" for s in states), *sorted(lost)])
        warnings.append(f"the state that the file keeps between runs is inputs and outputs now: {shown}")
    graphs = {key: converter.graph for key, converter in kept.items()}
    return Module(main.graph, _metadata(file), warnings, states, wanted.key, graphs)


def _chosen(file: ModelFile, name: str | None) -> tuple[Signature, list[Signature]]:
    """The signature to read, and those beside it."""
    found = {signature.key: signature for signature in file.signatures}
    if name is not None:
        if name not in found:
            known = ", ".join(found) or "it has none"
            raise UsageError(
                f"there is no signature {name!r}", where=str(file.path), hint=f"there is {known}"
            )
        return found[name], []
    mains = [signature for signature in found.values() if signature.subgraph == MAIN]
    first = mains[0] if mains else Signature("", MAIN, {}, {})
    # Two names for the main graph are one signature: it is written under the first.
    return first, [signature for signature in found.values() if signature.subgraph != MAIN]


def _metadata(file: ModelFile) -> Metadata:
    about = metadata.read(file)
    return Metadata(
        format="tflite",
        producer=file.description,
        labels=about.labels,
        properties=about.properties,
        files=about.files,
    )


def _unsupported(library: Library, signatures: list[Signature]) -> UnsupportedError:
    problems = merge_problems(library.problems)
    what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
    names = ", ".join(signature.key for signature in signatures if signature.key)
    return UnsupportedError(
        f"{what} not supported",
        where=library.file.path.name,
        problems=problems,
        hint=f"signature= reads one of {names} alone" if names else "",
    )


class Converter:
    """Reads the graph of one signature into the IR."""

    def __init__(self, library: Library, signature: Signature) -> None:
        self.library, self.signature = library, signature
        self.main = library.file.subgraphs[signature.subgraph]
        self.graph = Graph(self.main.name or signature.key or "main")
        self.variables = Variables(self.graph)
        self.context = Context(library, signature.subgraph, self.graph, self.variables)

    def convert(self) -> tuple[State, ...]:
        """Reads the graph; returns the state that it is fed. Problems are noted in the library."""
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
            return ()
        states = self.variables.settle()
        names = [*outputs, *_unique([f"{name}_next" for name in states], outputs)]
        self.graph.set_outputs([*results, *(current for _, current, _ in states.values())], names)
        prune(self.graph)
        kept = zip(states.items(), names[len(outputs) :], strict=True)
        return tuple(State(name, after, initial) for (name, (_, _, initial)), after in kept)

    def _names(self, end: int, numbers: Sequence[int]) -> list[str]:
        """What inputs (0) or outputs (1) are called: by the signature, else by their tensors.

        A signature that names only some of them is not asked.
        """
        names = {number: self.main.tensors[number].name for number in numbers}
        given = (self.signature.inputs, self.signature.outputs)[end]
        if set(given) == set(numbers):
            names |= given
        kind = ("input", "output")[end]
        return _unique([names[number] or f"{kind}_{i}" for i, number in enumerate(numbers)])

    def _type(self, record: Record, name: str) -> TensorType:
        shape: list[Extent] = [
            self.library.symbols.fresh(f"{name}_{axis}") if extent < 0 else extent
            for axis, extent in enumerate(record.shape)
        ]
        return TensorType(record.dtype, tuple(shape))


def _unique(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """``names``, with numbers behind those that are there already."""
    found: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique in found or unique in taken:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found
