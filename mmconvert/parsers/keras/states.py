"""What stateful layers keep from one call of the model to the next: inputs and outputs of the graph."""

from __future__ import annotations

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import State
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor


class States:
    """The state of all layers, by name."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._current: dict[str, Value] = {}
        self._inputs: dict[str, Value] = {}

    def read(self, name: str, type: TensorType) -> Value:
        """What an earlier call in the same run left, else what the run begins with.

        Raises:
            InvalidModelError: the batch is not known.
        """
        if not type.is_static:
            raise InvalidModelError(f"a stateful layer needs a known batch, not {type}", where=name)
        if name not in self._current:
            self._inputs[name] = self._current[name] = self._graph.input(name, type)
        return self._current[name]

    def write(self, name: str, value: Value) -> None:
        """Leaves ``value`` for the next call."""
        self._current[name] = value

    def settle(self, outputs: list[str]) -> tuple[list[Value], tuple[State, ...]]:
        """What a run ends with, and which outputs behind ``outputs`` feed which inputs of the next run.

        It begins with zeros.
        """
        found = []
        for name, value in self._inputs.items():
            after = f"{name}_next"
            while after in outputs:
                after += "_"
            zeros = Tensor.of(np.zeros(value.type.static_shape, value.type.dtype))
            found.append(State(name, after, zeros))
        return [self._current[name] for name in self._inputs], tuple(found)
