"""A product with one number goes into the weights that the value was computed with."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    Conv,
    ConvTranspose,
    Div,
    Gemm,
    MatMul,
    Mul,
    Reshape,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from mmconvert.passes.match import scaled
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Tensor

LARGEST = 2.0**16
"""Factors beyond this, and below its inverse, could take a weight out of its element type's range."""

Place = tuple[Node[Op], int]
"""A constant: a node, and which of its operands it is."""


def fold_scale(graph: Graph) -> Outcome:
    """Multiplies weights and biases in place of what was made with them.

    ::

        %1 = MatMul(x, %w)                          →    %1 = MatMul(x, %w / 8)
        %2 = Reshape(%1)    %3 = Transpose(%2)           %2 = Reshape(%1)    %3 = Transpose(%2)
        %4 = MatMul(%3, k)                               %4 = MatMul(%3, k)
        %5 = Div(%4, 8.0)

    Declines when: no weights are found before the factor; they, or a value on the way, are used elsewhere;
    the factor is extreme.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Mul, Div) or not dtypes.is_float(node.output.type.dtype):
            continue
        step = scaled(node.output)
        if step is None:
            continue
        x, factor = step
        places = _weights(x)
        if places is None:
            outcome.decline(node, "no weights of its own stand before it")
        elif not 1 / LARGEST <= abs(factor) <= LARGEST:
            outcome.decline(node, "the factor is extreme")
        else:
            index = node.inputs.index(x)
            for holder, operand in places:
                graph.set_input(holder, operand, _times(graph, holder.operand(operand), factor))
            graph.replace_uses(node.output, node.operand(index))
            graph.remove(node)
            outcome.done += 1
    return outcome


def _weights(value: Value) -> list[Place] | None:
    """The constants that ``value`` is linear in, when nothing else depends on them."""
    node = value.producer
    if node is None or len(value.uses) != 1:
        return None
    if is_op(node, Reshape, Squeeze, Unsqueeze, Transpose):
        return _weights(node.operand(0))
    if is_op(node, Conv, ConvTranspose, Gemm):
        return _own([(node, i) for i in (1, 2) if node.optional(i) is not None])
    if is_op(node, Add, MatMul):
        places = [_own([(node, i)]) for i in (0, 1)]
        if is_op(node, MatMul):
            return places[1] or places[0] or _weights(node.operand(0)) or _weights(node.operand(1))
        for bias, other in ((places[0], 1), (places[1], 0)):
            if bias is not None and (rest := _weights(node.operand(other))) is not None:
                return bias + rest
    return None


def _own(places: list[Place]) -> list[Place] | None:
    """``places`` when constants stand there that are used nowhere else."""
    values = [node.operand(i) for node, i in places]
    return places if all(v.constant is not None and len(v.uses) == 1 for v in values) else None


def _times(graph: Graph, value: Value, factor: float) -> Value:
    assert value.constant is not None
    number = np.asarray(factor, value.type.dtype)
    product: Tensor = value.constant.map(lambda array: array * number)
    return graph.constant(product, value.name)
