"""A part of a graph, between values that are given and one that is wanted, to be run by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mmconvert.errors import MMConvertError
from mmconvert.interpreter import Precision, Session
from mmconvert.ir.copy import Copier
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from mmconvert.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Variant:
    """What a segment is run with in place of what it has.

    Attributes:
        ops: other operators, or other attributes of the same.
        constants: other weights.
        given: other arrays for the values it begins with.
        operands: other operands of a node.
    """

    ops: Mapping[Node[Op], Op] = field(default_factory=dict)
    constants: Mapping[Value, Array] = field(default_factory=dict)
    given: Mapping[Value, Array] = field(default_factory=dict)
    operands: Mapping[Node[Op], tuple[Value | None, ...]] = field(default_factory=dict)


UNCHANGED = Variant()

_REFUSALS = (MMConvertError, ArithmeticError, IndexError, TypeError, ValueError)
"""What comes of a shape that does not fit, or of an attribute that the operator does not allow."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The nodes that compute ``value`` from what is ``given``.

    Attributes:
        value: what is wanted.
        nodes: in execution order.
        given: an array for each value that the nodes read and do not make.
        extents: what the symbolic extents are.
    """

    value: Value
    nodes: tuple[Node[Op], ...]
    given: Mapping[Value, Array]
    extents: Mapping[str, int]

    def run(self, variant: Variant = UNCHANGED, precision: Precision = "float64") -> Array | None:
        """The value; None when it cannot be computed in this way.

        Args:
            variant: what to use in place of what the segment has.
            precision: the arithmetic.
        """
        try:
            graph, feed = self._graph(variant)
            (result,) = Session(graph, precision, hold_weights=False).run(feed).values()
        except _REFUSALS:
            return None
        return result

    def _graph(self, variant: Variant) -> tuple[Graph, dict[str, Array]]:
        copier, feed = Copier("segment", dict(self.extents)), dict[str, Array]()
        for index, value in enumerate(self.given):
            array = variant.given.get(value, self.given[value])
            copier.take(value, f"given{index}", TensorType(value.type.dtype, array.shape))
            feed[f"given{index}"] = array
        for value, array in variant.constants.items():
            tensor = Tensor.of(array.astype(value.type.dtype, copy=False))
            copier.values[value] = copier.graph.constant(tensor, value.name)
        for node in self.nodes:
            op, inputs = variant.ops.get(node, node.op), variant.operands.get(node, node.inputs)
            copier.add(Node(op, inputs, node.outputs, node.name, node.origin))
        copier.graph.set_outputs([copier.find(self.value)], ["value"])
        return copier.graph, feed


def segment_of(
    value: Value, shown: Mapping[Value, Array], extents: Mapping[str, int], known: Collection[Value] = ()
) -> Segment:
    """What computes ``value`` from the nearest values before it that are shown.

    Args:
        value: what is wanted.
        shown: arrays for values of the graph, its inputs among them.
        extents: what the symbolic extents are.
        known: values that are not to be used although they are shown.
    """
    nodes: dict[Node[Op], None] = {}
    given: dict[Value, Array] = {}
    _collect(value, shown, set(known) | {value}, nodes, given)
    graph = value.producer.graph if value.producer is not None else None
    ordered = tuple(node for node in graph if node in nodes) if graph is not None else ()
    return Segment(value, ordered, given, extents)


def _collect(
    value: Value,
    shown: Mapping[Value, Array],
    hidden: Collection[Value],
    nodes: dict[Node[Op], None],
    given: dict[Value, Array],
) -> None:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current.constant is not None:
            continue
        if current in shown and current not in hidden:
            given[current] = shown[current]
        elif current.producer is not None and current.producer not in nodes:
            nodes[current.producer] = None
            waiting += [v for v in current.producer.inputs if v is not None]
