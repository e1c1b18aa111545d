"""The values of constant sub-graphs, computed when a rule has to know them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import ControlOp, Op
from mmconvert.tensors import Array

LIMIT = 1 << 16
"""What is asked for are shapes, axes and bounds: a computation with more elements than this is left alone."""


class Constants:
    """Values that follow from constants alone; each is computed once."""

    def __init__(self) -> None:
        self._known: dict[Value, Array | None] = {}

    def array(self, value: Value) -> Array | None:
        """The elements of ``value``, or None when they are only known while the model runs.

        Raises:
            InvalidModelError: an operator on the way cannot be computed with these operands.
        """
        if value.constant is not None:
            return value.constant.numpy()
        stack = [value]
        while stack:
            missing = [v for v in _dependencies(stack[-1]) if v not in self._known]
            if missing and not self._settle(stack[-1]):
                stack += missing
                continue
            self._compute(stack.pop())
        return self._known[value]

    def _settle(self, value: Value) -> bool:
        """Notes a value whose elements need no computation."""
        if value not in self._known:
            extents = value.extents
            if value.constant is not None:
                self._known[value] = value.constant.numpy()
            elif extents is not None and all(isinstance(e, int) for e in extents):
                self._known[value] = np.array(extents, dtype=value.type.dtype).reshape(
                    value.type.static_shape
                )
            elif value.producer is None or not _is_small(value.producer):
                self._known[value] = None
        return value in self._known

    def _compute(self, value: Value) -> None:
        if self._settle(value):
            return
        node = value.producer
        assert node is not None
        arrays = [None if v is None else self._known[v] for v in node.inputs]
        if any(a is None and v is not None for a, v in zip(arrays, node.inputs, strict=True)):
            self._known.update(dict.fromkeys(node.outputs))
            return
        results = _evaluate(node, arrays)
        self._known.update(zip(node.outputs, results, strict=True))


def _dependencies(value: Value) -> Iterator[Value]:
    if value.producer is not None and value.constant is None:
        yield from (v for v in value.producer.inputs if v is not None)


def _is_small(node: Node[Op]) -> bool:
    if isinstance(node.op, ControlOp) or node.op.bind({}) is not node.op:
        return False  # an operator with symbols among its attributes is not itself when these are bound
    sizes = [v.type.size for v in (*node.outputs, *node.inputs) if v is not None]
    return all(isinstance(size, int) and size <= LIMIT for size in sizes)


def _evaluate(node: Node[Op], arrays: list[Array | None]) -> tuple[Array, ...]:
    try:
        with np.errstate(all="ignore"):
            results = node.op.evaluate(*arrays)
    except (ArithmeticError, LookupError, ValueError) as error:
        raise InvalidModelError(f"this cannot be computed: {error}", where=node.place) from error
    results = results if isinstance(results, tuple) else (results,)
    return tuple(np.asarray(r) for r in results)
