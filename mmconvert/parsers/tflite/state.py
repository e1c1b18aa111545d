"""State that a file keeps from one run to the next, made visible: an input and an output for each variable.

TensorFlow Lite has two kinds: variables with a name, which operators read and assign, and tensors that are
marked as variable, which recurrent operators change. Both begin anew when a runtime loads the file: the
former with what a sub-graph that runs once assigns, the latter with zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import TensorType
from mmconvert.parsers.tflite.tensors import Record
from mmconvert.tensors import Tensor

_LIMIT = 1 << 31


@dataclass(slots=True, eq=False)
class Variable:
    """One variable: what it is at the beginning of a run, and by now.

    Attributes:
        name: of the input.
        input: what it holds when a run begins; None while it was not read.
        current: what it holds; None before the first assignment or reading.
        initial: what it holds before the first run.
    """

    name: str
    input: Value | None = None
    current: Value | None = None
    initial: Tensor | None = None


@dataclass(slots=True, eq=False)
class Variables:
    """The variables that a graph can reach."""

    graph: Graph
    found: dict[str, Variable] = field(default_factory=dict)

    def get(self, key: str) -> Variable:
        """The variable behind a name; a new one where there is none."""
        return self.found.setdefault(key, Variable(key))

    def read(self, key: str, type: TensorType) -> Value:
        """What a variable holds.

        Raises:
            InvalidModelError: it holds something of another type.
        """
        variable = self.get(key)
        if variable.current is None:
            if variable.initial is not None:
                type = TensorType(variable.initial.dtype, variable.initial.shape)
            variable.input = variable.current = self.graph.input(self._unique(key), type)
        return variable.current

    def assign(self, key: str, value: Value) -> None:
        """Gives a variable something else to hold."""
        self.get(key).current = value

    def of_tensor(self, graph: int, index: int, record: Record) -> Value:
        """What a tensor that is marked as variable holds."""
        where = record.where
        if -1 in record.shape:
            raise UnsupportedError("a variable of unknown shape", where=where)
        if math.prod(record.shape) > _LIMIT:
            raise InvalidModelError(f"a variable of shape {list(record.shape)}", where=where)
        key, type = self.key(graph, index, record), TensorType(record.dtype, record.shape)
        value, q, variable = self.read(key, type), record.quantization, self.get(key)
        if variable.initial is None and type.dtype == dtypes.I8 and q is not None:
            variable.initial = _filled(type, int(q.zero_point.reshape(-1)[0]))  # as the runtimes reset it
        return value

    def key(self, graph: int, index: int, record: Record) -> str:
        """The name of a tensor that is marked as variable."""
        return record.name or f"variable_{graph}_{index}"

    def settle(self) -> dict[str, tuple[Value, Value, Tensor]]:
        """For each input that stands for a variable: itself, what comes after it, and what it begins with."""
        return {
            v.input.name: (v.input, v.current, v.initial or _filled(v.input.type, 0))
            for v in self.found.values()
            if v.input is not None and v.current is not None
        }

    def _unique(self, name: str) -> str:
        taken = {value.name for value in self.graph.inputs}
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        return unique


def _filled(type: TensorType, value: int) -> Tensor:
    shape, dtype = type.static_shape, type.dtype
    return Tensor(dtype, shape, lambda: np.full(shape, value, dtype))
