"""Multiplications and additions by constants merge with one another and into the convolution before them."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Conv, ConvTranspose, Div, Gemm, MatMul, Mul, Sub
from mmconvert.ir.types import Array
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.scale_weights import output_channel_axis, scaled_bias, scaled_weight
from mmconvert.tensors import Tensor

LIMIT = 1 << 16
"""Constants with more elements than this are left alone."""


def fold_affine(graph: Graph) -> Outcome:
    """Folds ``Mul``, ``Div``, ``Add`` and ``Sub`` by constants.

    ::

        %1 = Mul(x, 2.0)       →   %2 = Mul(x, 6.0)         %1 = Conv(x, %w, %b)    →   %2 = Conv(x, %w, %b')
        %2 = Mul(%1, 3.0)                                   %2 = Add(%1, %c)

        %1 = MatMul(x, %w)     →   %2 = MatMul(x, %w * %c)
        %2 = Add(%1, %b)           %3 = Add(%2, %b * %c)
        %3 = Mul(%2, %c)

    Declines when: the first result is used elsewhere; the constant differs along another axis than the output
    channels; a weight is not constant.
    """
    outcome = Outcome()
    for node in graph:
        found = _constant_operand(node)
        if found is None:
            continue
        x, constant = found
        producer = x.producer
        if producer is None or len(x.uses) > 1:
            continue
        if is_op(producer, Conv, ConvTranspose, Gemm):
            reason = _into_linear(graph, node, producer, constant)
        elif is_op(node, Mul, Div) and (product := _biased_product(producer)) is not None:
            reason = _into_product(graph, node, producer, product, constant)
        else:
            reason = _into_affine(graph, node, producer, constant)
        if reason is None:
            outcome.done += 1
        elif reason:
            outcome.decline(node, reason)
    return outcome


def _constant_operand(node: Node[Op]) -> tuple[Value, Array] | None:
    """The variable operand of an affine step in floats, and the small constant."""
    if not is_op(node, Mul, Div, Add, Sub) or not dtypes.is_float(node.output.type.dtype):
        return None
    left, right = node.operand(0), node.operand(1)
    if left.constant is not None and isinstance(node.op, Mul | Add):
        left, right = right, left
    if left.constant is not None or right.constant is None or right.constant.size > LIMIT:
        return None
    if left.type.shape != node.output.type.shape:
        return None
    return left, right.constant.numpy().astype(np.float64)


def _into_linear(graph: Graph, node: Node[Op], producer: Node[Op], constant: Array) -> str | None:
    weight, bias = producer.operand(1), producer.optional(2)
    if weight.constant is None or (bias is not None and bias.constant is None):
        return "a weight is not constant"
    vector = _per_channel(constant, output_channel_axis(producer), producer.output.type.rank)
    channels = producer.output.type.shape[output_channel_axis(producer)]
    if vector is None or vector.size not in (1, channels) or not isinstance(channels, int):
        return "the constant differs along another axis than the channels"
    if bias is not None and bias.type.shape != (channels,):
        return "the bias is not one per channel"
    vector = np.broadcast_to(vector, (channels,))
    factor, shift = np.ones(channels), np.zeros(channels)
    match node.op:
        case Mul():
            factor = vector
        case Div():
            factor = 1.0 / vector
        case Add():
            shift = vector
        case _:
            shift = -vector
    scaled = isinstance(node.op, Mul | Div)
    new_weight = graph.constant(scaled_weight(producer, factor)) if scaled else weight
    new_bias = graph.constant(scaled_bias(producer, factor, shift))
    graph.replace(node, producer.op, (producer.operand(0), new_weight, new_bias))
    graph.remove(producer)
    return None


def _biased_product(node: Node[Op]) -> Node[MatMul] | None:
    """The product with a constant matrix that a constant is added to."""
    found = _constant_operand(node) if is_op(node, Add) else None
    if found is None or len(found[0].uses) > 1:
        return None
    product = found[0].producer
    if not is_op(product, MatMul) or product.operand(1).constant is None:
        return None
    return product if product.operand(1).type.rank == 2 else None


def _into_product(
    graph: Graph, node: Node[Op], bias: Node[Op], product: Node[MatMul], constant: Array
) -> str | None:
    """``(x @ w + b) * c`` is ``x @ (w * c) + b * c``."""
    columns = product.output.type.shape[-1]
    vector = _per_channel(constant, product.output.type.rank - 1, product.output.type.rank)
    if vector is None or vector.size not in (1, columns) or not isinstance(columns, int):
        return "the constant differs along another axis than the channels"
    factor = np.broadcast_to(1.0 / vector if is_op(node, Div) else vector, (columns,))
    found = _constant_operand(bias)
    assert found is not None
    weight = graph.constant(scaled_weight(product, factor), product.operand(1).name)
    shift = graph.constant(Tensor.of((found[1] * factor).astype(node.output.type.dtype)))
    scaled = graph.add(product.op, (product.operand(0), weight), before=node, origin=product.origin)
    graph.replace(node, Add(), (scaled.output, shift))
    graph.remove(bias)
    graph.remove(product)
    return None


def _per_channel(constant: Array, axis: int, rank: int) -> Array | None:
    """The constant as a vector over ``axis``, when it is the same along every other axis."""
    full = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    return full.reshape(-1) if full.size == full.shape[axis] else None


def _into_affine(graph: Graph, node: Node[Op], producer: Node[Op], constant: Array) -> str | None:
    """Merges two steps of the same kind; returns None when done, else the reason ("" for nothing to do)."""
    found = _constant_operand(producer)
    if found is None:
        return ""
    x, first = found
    multiplicative = isinstance(node.op, Mul | Div), isinstance(producer.op, Mul | Div)
    if multiplicative[0] != multiplicative[1]:
        return ""
    if multiplicative[0]:
        merged = (1 / first if isinstance(producer.op, Div) else first) * (
            1 / constant if isinstance(node.op, Div) else constant
        )
        op: Op = Mul()
    else:
        merged = (-first if isinstance(producer.op, Sub) else first) + (
            -constant if isinstance(node.op, Sub) else constant
        )
        op = Add()
    dtype = node.output.type.dtype
    if not np.all(np.isfinite(merged.astype(dtype))):
        return "the merged constant overflows"
    graph.replace(node, op, (x, graph.constant(Tensor.of(merged.astype(dtype)))))
    graph.remove(producer)
    return None
