"""Dequantizes the weights of operators that are not written over integers."""

from __future__ import annotations

from mmconvert.emitters.tflite.quantize import dequantized
from mmconvert.emitters.tflite.rehearsal import integers
from mmconvert.ir.graph import Graph, is_op
from mmconvert.ir.ops import Dequantize
from mmconvert.passes.outcome import Outcome


def settle_quantization(graph: Graph) -> Outcome:
    """Replaces what dequantizes a constant for an operator over real numbers by the real numbers.

    ::

        %1 = Dequantize(%w, s)      →    %2 = Conv(x, %v)
        %2 = Conv(x, %1)

    Declines when: the operator, with what stands around it, becomes an integer operator of TFLite.
    """
    outcome = Outcome()
    covered = integers(graph).covered
    for node in graph:
        real = dequantized(node) if is_op(node, Dequantize) else None
        if real is None:
            continue
        lone = [(user, index) for user, index in node.outputs[0].uses if user not in covered]
        for user, index in lone:
            graph.set_input(user, index, real)
        if lone:
            outcome.done += 1
            if not node.outputs[0].uses:
                graph.remove(node)
    return outcome
