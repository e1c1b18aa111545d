"""One computation of what is computed twice."""

from __future__ import annotations

from collections.abc import Hashable

from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import ControlOp, Op
from mmconvert.passes.outcome import Outcome

SMALL = 4096
"""Constants of at most this many bytes are compared by content, larger ones by identity."""


def eliminate_common_subexpressions(graph: Graph) -> Outcome:
    """Replaces a node by an earlier one with the same operator and operands.

    ::

        %1 = Relu(x)                →    %1 = Relu(x)
        %2 = Relu(x)                     %3 = Add(%1, %1)
        %3 = Add(%1, %2)

    Declines when: the operator has sub-graphs.
    """
    outcome = Outcome()
    seen: dict[tuple[Op, tuple[Hashable, ...]], tuple[Value, ...]] = {}
    for node in graph:
        if isinstance(node.op, ControlOp):
            continue
        key = (node.op, tuple(map(_key, node.inputs)))
        first = seen.setdefault(key, node.outputs)
        if first is node.outputs:
            continue
        for old, new in zip(node.outputs, first, strict=True):
            graph.replace_uses(old, new)
        graph.remove(node)
        outcome.done += 1
    return outcome


def _key(value: Value | None) -> Hashable:
    if value is None or value.constant is None:
        return value
    tensor = value.constant
    if tensor.nbytes > SMALL:
        return tensor
    return (tensor.dtype, tensor.shape, tensor.numpy().tobytes())
