"""Which nodes are written as part of the node before them: biases and activations."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.emitters.tflite.schema import Activation
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    AveragePool,
    Clip,
    Conv,
    ConvTranspose,
    Dequantize,
    Div,
    Gemm,
    MatMul,
    MaxPool,
    Mul,
    Relu,
    Reshape,
    Squeeze,
    Sub,
    Transpose,
)
from mmconvert.ir.ops.reduce import Reduce
from mmconvert.ir.types import Layout
from mmconvert.passes.match import only_user


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows an operator inside the same TFLite operator: a bias, an activation, and the result."""

    output: Value
    bias: Value | None = None
    activation: Activation = Activation.NONE


@dataclass(slots=True)
class Plan:
    """The tails of the nodes that have one, and the nodes that are written in them."""

    tails: dict[Node[Op], Tail] = field(default_factory=dict)
    absorbed: set[Node[Op]] = field(default_factory=set)
    adjoints: dict[Node[Op], Value] = field(default_factory=dict)
    """The products whose right operand is the transpose of a value, and that value."""


_TAKES_BIAS = (Conv, ConvTranspose, MatMul, Gemm)
_TAKES_ACTIVATION = (*_TAKES_BIAS, Add, Sub, Mul, Div, MaxPool, AveragePool)


def plan(graph: Graph) -> Plan:
    """Decides for every node what it absorbs: only what reads nothing else, and is alone in reading it."""
    found = Plan()
    for node in graph:
        if is_op(node, MatMul) and (transpose := _adjoint(node)) is not None:
            found.adjoints[node] = transpose.operand(0)
            found.absorbed.add(transpose)
        if isinstance(node.op, Reduce) and (reshape := _dropping(node)) is not None:
            found.tails[node] = Tail(reshape.output)
            found.absorbed.add(reshape)
        if node in found.absorbed or not _takes_activation(node):
            continue
        absorbed: list[Node[Op]] = []
        output, bias, activation = node.output, None, Activation.NONE
        if is_op(node, *_TAKES_BIAS) and node.optional(2) is None:
            bias = _bias(node, output)
            if bias is not None:
                absorbed.append(output.users[0])
                output = output.users[0].output
        following = only_user(output)
        if following is not None:
            activation = _activation(following)
            if activation is not Activation.NONE:
                absorbed.append(following)
                output = following.output
        if absorbed:
            found.tails[node] = Tail(output, bias, activation)
            found.absorbed.update(absorbed)
    return found


def _takes_activation(node: Node[Op]) -> bool:
    if not is_op(node, *_TAKES_ACTIVATION) or node.output.type.dtype != dtypes.F32:
        return False
    if is_op(node, MatMul, Gemm) and not is_dense(node):
        return False
    # A dilated pool is written as several operators.
    return not isinstance(node.op, MaxPool | AveragePool) or all(d == 1 for d in node.op.dilations)


def _dropping(node: Node[Op]) -> Node[Op] | None:
    """What does nothing but drop the axes that a reduction has kept."""
    following = only_user(node.output)
    if not isinstance(node.op, Reduce) or not node.op.keepdims or not is_op(following, Reshape, Squeeze):
        return None
    kept = enumerate(node.output.type.shape)
    dropped = tuple(e for a, e in kept if a not in node.op.axes)
    return following if following.output.type.shape == dropped else None


def is_dense(node: Node[Op]) -> bool:
    """True for products with a constant matrix, which become FULLY_CONNECTED."""
    weight = node.operand(1)
    rows = node.operand(0).type.rank >= 2
    return is_op(node, Gemm) or (is_fixed(weight) and weight.type.rank == 2 and rows)


def is_fixed(value: Value) -> bool:
    """True for a constant, and for the real numbers behind a constant of integers."""
    stored = value.producer.operand(0) if is_op(value.producer, Dequantize) else value
    return stored.constant is not None


def _adjoint(node: Node[MatMul]) -> Node[Op] | None:
    """The transposition of the last two axes that makes the right operand, and nothing else."""
    right = node.operand(1)
    transpose = right.producer
    if not is_op(transpose, Transpose) or len(right.uses) != 1 or node.operand(0).type.rank < 2:
        return None
    rank = right.type.rank
    return transpose if transpose.op.perm == (*range(rank - 2), rank - 1, rank - 2) else None


def _bias(node: Node[Op], output: Value) -> Value | None:
    """The constant vector over the last axis that is added to ``output``, if nothing else is done with it."""
    user = only_user(output)
    if not is_op(user, Add):
        return None
    other = next((v for v in user.inputs if v is not output), None)
    if other is None or not is_fixed(other) or not other.type.rank:
        return None
    if isinstance(node.op, Conv | ConvTranspose) and node.op.layout is not Layout.NHWC:
        return None
    channels = output.type.shape[-1]
    whole = other.type.size == channels == other.type.shape[-1]
    return other if whole and user.output.type.shape == output.type.shape else None


_RANGES: dict[tuple[float | None, float | None], Activation] = {
    (0.0, None): Activation.RELU,
    (0.0, 6.0): Activation.RELU6,
    (-1.0, 1.0): Activation.RELU_N1_TO_1,
}


def _activation(node: Node[Op]) -> Activation:
    if is_op(node, Relu):
        return Activation.RELU
    if is_op(node, Clip):
        return _RANGES.get((node.op.low, node.op.high), Activation.NONE)
    return Activation.NONE
