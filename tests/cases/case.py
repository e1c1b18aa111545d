"""One row of the case table: an operator, its operands, and how to make them.

Rows drive the common operator test and every emitter x runtime test, so a row says nothing about who runs it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType


@dataclass(frozen=True)
class Data:
    """An operand: a graph input (``constant=False``) or a constant, random over [low, high) or given."""

    dtype: str
    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    constant: bool = False
    values: tuple[Any, ...] | None = None  # flat, row-major, when the numbers matter

    def array(self, rng: np.random.Generator) -> Array:
        dtype = dtypes.BY_NAME[self.dtype]
        if self.values is not None:
            return np.array(self.values, dtype=dtype).reshape(self.shape)
        if dtype == dtypes.BOOL:
            return np.asarray(rng.random(self.shape) < 0.5)
        if dtypes.is_integer(dtype):
            return rng.integers(int(self.low), int(self.high), self.shape).astype(dtype)
        return rng.uniform(self.low, self.high, self.shape).astype(dtype)


def data(spec: str, low: float = -2.0, high: float = 2.0, *, values: Any = None) -> Data:
    """``data("f32[1,3,8,8]")``: a graph input; ``values`` gives the numbers."""
    return _data(spec, low, high, values, constant=False)


def const(spec: str, low: float = -1.0, high: float = 1.0, *, values: Any = None) -> Data:
    """``const("f32[8,3,3,3]")``: a weight."""
    return _data(spec, low, high, values, constant=True)


def _data(spec: str, low: float, high: float, values: Any, *, constant: bool) -> Data:
    dtype, _, rest = spec.partition("[")
    shape = tuple(int(e) for e in rest.rstrip("]").split(",") if e)
    flat = None if values is None else tuple(np.asarray(values).reshape(-1).tolist())
    return Data(dtype, shape, low, high, constant, flat)


@dataclass(frozen=True)
class Case:
    """A named operator over operands; the name is unique within its family and starts with the operator's."""

    name: str
    op: Op
    inputs: tuple[Data | None, ...]

    def build(self) -> tuple[Graph, dict[str, Array]]:
        """A graph of this one node, and values for its inputs; the same for every call."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        graph, feeds = Graph(self.name.replace("/", "_")), dict[str, Array]()
        operands: list[Value | None] = []
        b = Builder(graph)
        for index, item in enumerate(self.inputs):
            if item is None:
                operands.append(None)
                continue
            array = item.array(rng)
            if item.constant:
                operands.append(b.constant(array, name=f"w{index}"))
            else:
                name = f"x{index}"
                operands.append(graph.input(name, TensorType(array.dtype, array.shape)))
                feeds[name] = array
        outputs = b.multi(self.op, *operands, name=self.op.name)
        graph.set_outputs(outputs, [f"y{i}" for i in range(len(outputs))])
        return graph, feeds

    def __str__(self) -> str:
        return self.name
