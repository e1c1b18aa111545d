"""Batch normalization behind a convolution becomes part of its weights."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import BatchNorm, Conv, ConvTranspose, Gemm
from mmconvert.ir.types import Array
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.scale_weights import output_channel_axis, scaled_bias, scaled_weight


def fold_batch_norm(graph: Graph) -> Outcome:
    """Folds a normalization into the convolution or Gemm before it.

    ::

        %1 = Conv(x, %w, %b)                               →    %2 = Conv(x, %w', %b')
        %2 = BatchNorm(%1, %scale, %bias, %mean, %var)

    with k = scale / sqrt(var + epsilon), w' = w * k per output channel, b' = (b - mean) * k + bias, computed
    in float64 and rounded once.

    Declines when: the normalization is not over the output channels; the first result is used elsewhere; a
    weight or a statistic is not constant.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, BatchNorm):
            continue
        producer = node.operand(0).producer
        if not is_op(producer, Conv, ConvTranspose, Gemm):
            continue
        reason = _obstacle(node, producer)
        if reason:
            outcome.decline(node, reason)
            continue
        _fold(graph, node, producer)
        outcome.done += 1
    return outcome


def _obstacle(norm: Node[BatchNorm], producer: Node[Op]) -> str:
    if len(producer.output.uses) > 1:
        return "the result of the convolution is used elsewhere"
    if norm.op.axis != output_channel_axis(producer):
        return "it does not normalize the output channels"
    constants = [producer.operand(1), producer.optional(2), *(norm.operand(i) for i in range(1, 5))]
    if any(v is not None and v.constant is None for v in constants):
        return "a weight or a statistic is not constant"
    return ""


def _fold(graph: Graph, norm: Node[BatchNorm], producer: Node[Op]) -> None:
    scale, bias, mean, variance = (_float64(norm.operand(i)) for i in range(1, 5))
    factor = scale / np.sqrt(variance + norm.op.epsilon)
    weight = scaled_weight(producer, factor)
    new_bias = scaled_bias(producer, factor, bias - mean * factor)
    op = producer.op
    graph.replace(norm, op, (producer.operand(0), graph.constant(weight), graph.constant(new_bias)))
    graph.remove(producer)


def _float64(value: Value) -> Array:
    assert value.constant is not None
    return value.constant.numpy().astype(np.float64)
