"""Weights that a model holds in few bits are floating-point ones in targets that have no other."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, is_op
from mmconvert.ir.ops import Add, Cast, Dequantize, Mul, Sub
from mmconvert.passes.fold_constants import lazy
from mmconvert.passes.outcome import Outcome


def unpack_weights(graph: Graph) -> Outcome:
    """Replaces what makes floating-point weights of constants, which would be made in every run.

    ::

        %1 = Cast(%w0) {to=f32}    →    %3 = MatMul(x, %w2)
        %2 = Mul(%1, %scale)
        %3 = MatMul(x, %2)

    The weights stay lazy: they are computed when they are read. ``fold_constants`` leaves them, since a
    target that computes with few bits wants them as they are.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Add, Cast, Dequantize, Mul, Sub) or not dtypes.is_float(node.output.type.dtype):
            continue
        if not all(v is None or v.constant is not None for v in node.inputs):
            continue
        value, operands = node.output, [None if v is None else v.constant for v in node.inputs]
        if value.type.is_static:
            graph.replace_uses(value, graph.constant(lazy(node.op, operands, value), value.name))
            graph.remove(node)
            outcome.done += 1
    return outcome
