"""The one way in which parsers, passes and decompositions write graphs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvert.errors import InternalError
from mmconvert.ir.graph import Graph, Node, Origin, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, DType
from mmconvert.tensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

Operand = Value | Array | float | int | bool | None
"""What a builder takes as an operand: numbers and arrays become constants."""


class Builder:
    """Adds nodes to a graph, all with the origin that is current.

    ``b(op, x, 2.0)`` returns the one output; ``b.multi(op, ...)`` the tuple of several. Python numbers become
    scalars of the element type of the first operand that is a value.
    """

    def __init__(self, graph: Graph, *, before: Node[Op] | None = None, origin: Origin | None = None) -> None:
        self.graph, self.before, self.origin = graph, before, origin or Origin()

    @contextmanager
    def at(self, origin: Origin) -> Iterator[None]:
        """Everything built inside comes from ``origin``."""
        previous, self.origin = self.origin, origin
        try:
            yield
        finally:
            self.origin = previous

    def __call__(self, op: Op, *operands: Operand, name: str = "") -> Value:
        """Adds a node with one output, and returns it."""
        outputs = self.multi(op, *operands, name=name)
        if len(outputs) != 1:
            raise InternalError(f"{op.name} has {len(outputs)} outputs; use multi()")
        return outputs[0]

    def multi(self, op: Op, *operands: Operand, name: str = "") -> tuple[Value, ...]:
        """Adds a node, and returns all its outputs."""
        like = next((v.type.dtype for v in operands if isinstance(v, Value)), None)
        values = [self._value(v, like) for v in operands]
        node = self.graph.add(
            op, values, name=name or self.origin.name, origin=self.origin, before=self.before
        )
        return node.outputs

    def constant(
        self,
        data: Tensor | Array | Sequence[Any] | float | int,
        dtype: DType | None = None,
        *,
        name: str = "",
    ) -> Value:
        """A constant over an array or a lazy tensor."""
        if isinstance(data, Tensor):
            return self.graph.constant(data if dtype is None else data.cast(dtype), name)
        return self.graph.constant(Tensor.of(np.asarray(data, dtype=dtype)), name)

    def _value(self, operand: Operand, like: DType | None) -> Value | None:
        if operand is None or isinstance(operand, Value):
            return operand
        if isinstance(operand, np.ndarray | np.generic):
            return self.constant(np.asarray(operand))
        if like is None:
            raise InternalError("a number needs a value beside it, to take its element type from")
        return self.constant(np.asarray(operand, dtype=like))
