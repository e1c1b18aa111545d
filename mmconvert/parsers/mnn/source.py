"""One operator of an MNN file, as rules see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmconvert import mnnlib
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Origin, Value
from mmconvert.mnnlib import Record
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.operands import Operands
from mmconvert.parsers.symbols import Symbols

NAMES = {code: (name, parameter) for name, (code, parameter) in mnnlib.OPERATORS.items()}


@dataclass(slots=True)
class Shared:
    """What the operators of a file share.

    Attributes:
        path: of the file.
        names: of its tensors.
        values: the tensors that are there.
        external: the bytes of the file of weights beside it, None where there is none.
    """

    path: Path
    names: list[str]
    external: memoryview | None = None
    values: dict[int, Value] = field(default_factory=dict)
    symbols: Symbols = field(default_factory=Symbols)
    constants: Constants = field(default_factory=Constants)


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
