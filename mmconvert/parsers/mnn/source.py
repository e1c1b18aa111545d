"""One operator of an MNN file, as rules see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmconvert import mnnlib
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.mnnlib import Record
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.operands import Operands
from mmconvert.parsers.symbols import Symbols

NAMES = {code: (name, parameter) for name, (code, parameter) in mnnlib.OPERATORS.items()}


@dataclass(slots=True)
class Shared:
    """What the operators of a graph share.

    Attributes:
        path: of the file.
        names: of the graph's tensors.
        external: the bytes of the file of weights beside it, None where there is none.
        parts: the graphs inside of operators, by name.
        depth: how many operators the graph is inside of.
        read: reads operators into a graph, over the tensors that are there.
        values: the tensors that are there.
        symbols, constants: of the whole file.
    """

    path: Path
    names: list[str]
    external: memoryview | None
    parts: Mapping[str, Record]
    read: Callable[[Shared, Graph, list[Record]], None]
    depth: int = 0
    values: dict[int, Value] = field(default_factory=dict)
    symbols: Symbols = field(default_factory=Symbols)
    constants: Constants = field(default_factory=Constants)


_DEEPEST = 4
"""How many operators may be inside of one another: a loop's body is read twice where rounds differ."""


class Inside:
    """A graph inside of an operator, to be read.

    Attributes:
        graph: what it is read into.
        names: of its tensors.
        inputs: the names of its inputs, by their numbers, in order.
        outputs: the numbers of its outputs.
    """

    def __init__(self, record: Record, shared: Shared) -> None:
        self._record, self._shared = record, shared
        self.graph = Graph(record.text("name"))
        self.names = record.texts("tensors")
        self.inputs = {i: self.names[i] for i in record.integers("inputs") if 0 <= i < len(self.names)}
        self.outputs = record.integers("outputs")

    def read(self, fed: dict[int, Value]) -> dict[int, Value]:
        """All tensors by their numbers, over those that it is fed.

        Raises:
            UnsupportedError: with every problem of the graph.
            InvalidModelError: it is not valid.
        """
        of, record = self._shared, self._record
        inner = Shared(
            of.path, self.names, of.external, of.parts, of.read, of.depth + 1, fed, of.symbols, of.constants
        )
        of.read(inner, self.graph, record.records("nodes", "Op"))
        return inner.values


class Source(Operands):
    """One operator: hands out operands and parameters.

    Attributes:
        kind: its name in the schema.
        main: its parameters; the defaults where the file has none.
        inputs, outputs: the numbers of its tensors.
    """

    def __init__(self, record: Record, shared: Shared, builder: Builder) -> None:
        super().__init__(shared, builder)
        self.shared, self.builder = shared, builder
        number = record.number("type")
        self.kind, parameter = NAMES.get(number, (f"operator {number}", ""))
        self.inputs, self.outputs = record.integers("inputIndexes"), record.integers("outputIndexes")
        name = record.text("name") or next((shared.names[i] for i in self.outputs if self._exists(i)), "")
        self.origin = Origin(name, self.kind, shared.path.name)
        self.where = str(self.origin)
        if not all(map(self._exists, (*self.inputs, *self.outputs))):
            raise self.invalid("it has tensors that the file has not")
        self.is_known = number in NAMES
        found = record.record("main", parameter) if parameter else None
        if found is not None and record.number("main_type") != mnnlib.UNION[parameter]:
            found = None
        self.main = found

    def _exists(self, index: int) -> bool:
        return 0 <= index < len(self.shared.names)

    @property
    def parameters(self) -> Record:
        """The parameters, which this operator cannot do without."""
        if self.main is None:
            raise self.invalid("it has no parameters")
        return self.main

    def part(self, name: str, kind: str) -> Record:
        """A table among the parameters that must be there."""
        found = self.parameters.record(name, kind)
        if found is None:
            raise self.invalid(f"it has no {name}")
        return found

    def invalid(self, message: str) -> InvalidModelError:
        """The error that this operator is not valid."""
        return InvalidModelError(f"{self.kind}: {message}", where=self.where)

    def unsupported(self, message: str, hint: str = "") -> UnsupportedError:
        """The error that this operator is valid, and cannot be represented."""
        return UnsupportedError(f"{self.kind}: {message}", where=self.where, hint=hint)

    def inside(self, name: str) -> Inside:
        """The graph of that name, which is inside of this operator."""
        record = self.shared.parts.get(name)
        if record is None:
            raise self.invalid(f"there is no graph {name!r}")
        if self.shared.depth >= _DEEPEST:
            raise self.unsupported(f"graphs in graphs, more than {_DEEPEST} deep")
        return Inside(record, self.shared)

    def has(self, index: int) -> bool:
        """True when operand ``index`` is there."""
        return index < len(self.inputs)

    def operand(self, index: int) -> Value:
        """Operand ``index``."""
        if not self.has(index):
            raise self.invalid(f"operand {index} is missing")
        value = self.shared.values.get(self.inputs[index])
        if value is None:
            raise self.invalid(f"nothing makes its operand {self.shared.names[self.inputs[index]]!r}")
        return value

    def operands(self) -> list[Value]:
        """All operands."""
        return [self.operand(i) for i in range(len(self.inputs))]
