"""A typed view of one operator of the file: operands and options by name, and nothing left unread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.operands import Operands
from mmconvert.parsers.symbols import Symbols
from mmconvert.parsers.tflite import schema
from mmconvert.parsers.tflite.quantization import ONCE, Arithmetic, dequantized, guard_bits
from mmconvert.parsers.tflite.reader import ModelFile, Operator, SubGraph
from mmconvert.parsers.tflite.state import Variables
from mmconvert.parsers.tflite.tensors import Quantization, Record
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor


@dataclass(slots=True, eq=False)
class Library:
    """What all sub-graphs of a file share.

    Attributes:
        file: the file.
        rules: one rule for each operator.
        quantizes: products of floats with weights of 8 bits are read as the kernels compute them.
        symbols: the names of unknown extents.
        constants: what is known of computed values.
        problems: everything that cannot be represented, so far.
        operators: how many operators were read; one is read again wherever its sub-graph is used.
        warnings: what the reader of the model has to know.
    """

    file: ModelFile
    rules: Rules[str]
    quantizes: bool = True
    symbols: Symbols = field(default_factory=Symbols)
    constants: Constants = field(default_factory=Constants)
    problems: list[Problem] = field(default_factory=list)
    operators: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Context:
    """One sub-graph while it is read.

    Attributes:
        library: what it shares with the others.
        number: which one it is.
        graph: what it is read into.
        variables: the state it can reach; None inside of branches and loops, where it can reach none.
        calls: the sub-graphs that this one is inside of.
        values: the stored elements behind each tensor that is there.
        reals: what the quantized ones of them mean.
        handles: the variable behind each tensor that refers to one.
        complex: tensors of complex numbers, whose values are pairs of real ones.
        refused: tensors that could not be made.
    """

    library: Library
    number: int
    graph: Graph
    variables: Variables | None
    calls: tuple[int, ...] = ()
    values: dict[int, Value] = field(default_factory=dict)
    reals: dict[int, Value] = field(default_factory=dict)
    handles: dict[int, str] = field(default_factory=dict)
    complex: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    @property
    def symbols(self) -> Symbols:
        """The names of unknown extents."""
        return self.library.symbols

    @property
    def constants(self) -> Constants:
        """What is known of computed values."""
        return self.library.constants

    @property
    def subgraph(self) -> SubGraph:
        """The records of the file."""
        return self.library.file.subgraphs[self.number]

    def find(self, index: int) -> Value | None:
        """The stored elements of a tensor; None when nothing has made it."""
        if index in self.values:
            return self.values[index]
        record = self.subgraph.tensors[index]
        tensor = record.constant
        if tensor is None and not record.is_variable and 0 in record.shape and -1 not in record.shape:
            tensor = Tensor.of(_nothing(record))  # there is no data for no elements
        if tensor is not None:
            self.values[index] = self.graph.constant(tensor, record.name)
        elif record.is_variable and self.variables is not None:
            self.values[index] = self.variables.of_tensor(self.number, index, record)
        return self.values.get(index)


def _nothing(record: Record) -> Array:
    return np.empty(record.shape, record.dtype)


class Source(Operands):
    """One operator: hands out operands and options, and remembers which options were asked for."""

    def __init__(self, operator: Operator, context: Context, builder: Builder) -> None:
        """
        Args:
            operator: as the file has it.
            context: the sub-graph that it is in.
            builder: writes where the operator is.
        """
        super().__init__(context, builder)
        self.operator, self.context, self.builder = operator, context, builder
        self.kind = operator.name
        self.inputs, self.outputs = operator.inputs, operator.outputs
        named = (context.subgraph.tensors[i].name for i in self.outputs if i >= 0)
        name = next((name for name in named if name), "")
        self.origin = Origin(name, self.kind, context.library.file.path.name)
        self.where = str(self.origin)
        self.arithmetic = ONCE
        self._options = self._read_options()

    def _read_options(self) -> dict[str, Any]:
        """Every option by name, those that the file leaves out with their defaults."""
        table, slots = self.operator.options, schema.options(self.kind)[1]
        if table is None:
            return {slot.name: _default(slot) for slot in slots if slot.name != "_"}
        found: dict[str, Any] = {}
        for number, slot in enumerate(slots):
            if slot.type == "string":
                found[slot.name] = table.text(number)
            elif slot.type.startswith("["):
                found[slot.name] = tuple(table.vector(number, slot.type.strip("[]")).tolist())
            else:
                found[slot.name] = table.number(number, slot.type, _default(slot))
        found.pop("_", None)
        found |= {f"number {number}": True for number in table.written if number >= len(slots)}
        return found

    # --- errors --------------------------------------------------------------------------------------

    def invalid(self, message: str) -> InvalidModelError:
        """The error that this operator is not valid."""
        return InvalidModelError(f"{self.kind}: {message}", where=self.where)

    def unsupported(self, message: str, hint: str = "") -> UnsupportedError:
        """The error that this operator is valid, and cannot be represented."""
        return UnsupportedError(f"{self.kind}: {message}", where=self.where, hint=hint)

    def finish(self) -> None:
        """Refuses what no rule has read.

        Raises:
            UnsupportedError: an option that is set was never asked for.
        """
        defaults = {slot.name: _default(slot) for slot in schema.options(self.kind)[1]}
        left = sorted(name for name, value in self._options.items() if value != defaults.get(name, 0))
        if left:
            raise self.unsupported(f"options not understood: {', '.join(left)}")

    # --- operands ------------------------------------------------------------------------------------

    def has(self, index: int) -> bool:
        """True when operand ``index`` is there."""
        return index < len(self.inputs) and self.inputs[index] >= 0

    def wants(self, index: int) -> bool:
        """True when output ``index`` is asked for."""
        return index < len(self.outputs) and self.outputs[index] >= 0

    def record(self, index: int) -> Record:
        """What the file says about operand ``index``."""
        return self.context.subgraph.tensors[self.input(index)]

    def output_record(self, index: int = 0) -> Record:
        """What the file says about output ``index``."""
        if not self.wants(index):
            raise self.invalid(f"output {index} is missing")
        return self.context.subgraph.tensors[self.outputs[index]]

    def input(self, index: int) -> int:
        """The tensor that is operand ``index``."""
        if not self.has(index):
            raise self.invalid(f"operand {index} is missing")
        return self.inputs[index]

    def stored(self, index: int) -> Value:
        """Operand ``index`` as it is stored: of a quantized tensor the integers."""
        if self.input(index) in self.context.complex:
            raise self.unsupported("of complex numbers")
        return self._value(index)

    def parts(self, index: int) -> Value:
        """Operand ``index``, complex numbers, as real numbers with a last axis of two."""
        if self.input(index) not in self.context.complex:
            raise self.unsupported("of complex numbers that no operator makes")
        return self._value(index)

    def _value(self, index: int) -> Value:
        value = self.context.find(self.input(index))
        if value is None:  # a rule runs when all operands are there
            raise self.invalid(f"operand {index} is a variable, not what it holds")
        return value

    def operand(self, index: int) -> Value:
        """Operand ``index``; of a quantized tensor the real numbers that it means."""
        tensor, quantization = self.input(index), self.quantization(index)
        if quantization is None:
            return self.stored(index)
        reals = self.context.reals
        if tensor not in reals:
            reals[tensor] = dequantized(self.builder, self.stored(index), quantization)
        return reals[tensor]

    def optional(self, index: int) -> Value | None:
        """Operand ``index``, or None when it was left out."""
        return self.operand(index) if self.has(index) else None

    def operands(self) -> list[Value]:
        """All operands of an operator that takes any number, at least one."""
        return [self.operand(index) for index in range(max(1, len(self.inputs)))]

    def quantization(self, index: int) -> Quantization | None:
        """What the integers of operand ``index`` mean; None for plain numbers."""
        return self.record(index).quantization

    def alike(self, *indices: int) -> bool:
        """True when these operands and the first output store numbers in one and the same way."""
        result = self.output_record()
        return all(
            self.record(i).number == result.number
            and (self.quantization(i) is None) == (result.quantization is None)
            and (result.quantization is None or result.quantization.same(self.quantization(i)))
            for i in indices
        )

    def multiplies(
        self, *indices: int, by: float = 1.0, negative: float | None = None, count: int = 1
    ) -> None:
        """Says that integer kernels multiply the integers of these operands and then convert the product.

        Args:
            indices: the operands.
            by: another factor of the product.
            negative: the one below 0, where that is another.
            count: what the product is divided by, in the multiplier as well.
        """
        scales = [self.quantization(index) for index in indices]
        result = self.output_record().quantization
        # 16 bits are multiplied by 16, which is less exact than one rounding is.
        if result is None or self.output_record().dtype == dtypes.I16 or not result.scale.all():
            return
        product: Array = np.asarray(by / np.float64(result.scale))
        for q in scales:
            if q is None:
                return
            product = product * q.scale.astype(np.float64)
        below = () if negative is None else guard_bits(np.abs(product / by * negative), count)
        self.arithmetic = Arithmetic("half_away", guard_bits(product, count), below)

    # --- options -------------------------------------------------------------------------------------

    def option(self, name: str) -> Any:
        """An option as it stands in the file, or its default."""
        return self._options.pop(name)

    @property
    def left(self) -> tuple[str, ...]:
        """The options that nobody has asked for yet."""
        return tuple(self._options)

    def integer(self, name: str) -> int:
        """A number that is an integer."""
        return int(self.option(name))

    def flag(self, name: str) -> bool:
        """A boolean."""
        return bool(self.option(name))

    def real(self, name: str) -> float:
        """A floating-point number."""
        return float(self.option(name))

    def pending(self, name: str) -> Any:
        """An option that is still to be read."""
        return self._options[name]

    def choice(self, name: str, *names: str) -> str:
        """A number that stands for one of ``names``, which are counted from 0."""
        number = self.integer(name)
        if not 0 <= number < len(names):
            raise self.unsupported(f"{name}={number}")
        return names[number]

    def positive(self, *names: str) -> tuple[int, ...]:
        """Integers that are at least 1."""
        found = tuple(self.integer(name) for name in names)
        if min(found) < 1:
            raise self.invalid(f"{', '.join(names)} must be at least 1, not {list(found)}")
        return found

    def dtype(self, name: str) -> DType:
        """A number that stands for an element type."""
        number = self.integer(name)
        if number not in schema.TYPES:
            raise self.unsupported(f"{name}={number}")
        return schema.TYPES[number]

    def ignore(self, *names: str) -> None:
        """Reads options that say nothing about what the operator computes."""
        for name in names:
            self._options.pop(name, None)


def _default(slot: schema.Slot) -> Any:
    if slot.type.startswith("["):
        return ()
    return "" if slot.type == "string" else slot.default if slot.type == "f32" else int(slot.default)
