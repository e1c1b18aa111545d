"""Which nodes are written as part of the operator before them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Clip, Conv, ConvTranspose, Gemm, MatMul, Relu


@dataclass(frozen=True, slots=True)
class Tail:
    """What an operator has to produce, and what it applies on the way there."""

    output: Value
    bias: Value | None = None
    relu: bool = False
    relu6: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The tails of the operators that have one, and the nodes that are written in them."""

    tails: dict[Node[Op], Tail] = field(default_factory=dict)
    absorbed: set[Node[Op]] = field(default_factory=set)


def plan(graph: Graph) -> Plan:
    """Decides what products with constant weights, and sums, absorb: what alone reads the result."""
    found = Plan()
    for node in graph:
        if node not in found.absorbed and (ramp := _ramp(node)) is not None:
            found.absorbed.add(ramp)
            found.tails[node] = Tail(ramp.output, relu=True)
        if not is_product(node):
            continue
        output, bias, relu, relu6 = node.output, None, False, False
        following = _only_user(output)
        if (
            following is not None
            and node.optional(2) is None
            and (bias := _bias(node, following)) is not None
        ):
            found.absorbed.add(following)
            output = following.output
            following = _only_user(output)
        if following is not None and (is_op(following, Relu) or is_op(following, Clip)):
            op = following.op
            relu = isinstance(op, Relu) or (isinstance(op, Clip) and (op.low, op.high) == (0, None))
            relu6 = isinstance(op, Clip) and (op.low, op.high) == (0, 6)
            if relu or relu6:
                found.absorbed.add(following)
                output = following.output
        if output is not node.output:
            found.tails[node] = Tail(output, bias, relu, relu6)
    return found


def _ramp(node: Node[Op]) -> Node[Op] | None:
    """The Relu that alone reads a sum of two images."""
    if not is_op(node, Add) or any(v.constant is not None for v in (node.operand(0), node.operand(1))):
        return None
    following = _only_user(node.output)
    return following if is_op(following, Relu) and node.output.type.dtype == dtypes.F32 else None


def is_product(node: Node[Op]) -> bool:
    """True for what is written as a convolution: its weights are constant and its elements f32."""
    if not is_op(node, Conv, ConvTranspose, MatMul, Gemm) or not dtypes.is_float(node.outputs[0].type.dtype):
        return False
    weight = node.operand(1)
    if weight.constant is None:
        return False
    if is_op(node, MatMul, Gemm):
        return is_dense(node)
    return node.operand(0).type.rank in (3, 4)


def is_dense(node: Node[Op]) -> bool:
    """True for products of rows with a constant matrix."""
    weight, x = node.operand(1), node.operand(0)
    if weight.constant is None or weight.type.rank != 2 or x.type.rank < 2 or x.constant is not None:
        return False
    bias = node.optional(2)
    if not is_op(node, Gemm):
        return True
    vector = bias is None or (bias.constant is not None and bias.type.size == node.output.type.shape[-1])
    vector = vector and (bias is None or bias.type.size == 1 or bias.type.shape[-1] != 1)
    return vector and not node.op.transpose_a and node.op.alpha == 1 and node.op.beta == 1


def _only_user(value: Value) -> Node[Op] | None:
    if len(value.uses) != 1:
        return None
    ((user, _),) = value.uses
    return user if len(user.outputs) == 1 else None


def _bias(node: Node[Op], add: Node[Op]) -> Value | None:
    """The constant over the channels that ``add`` adds, if it does nothing else."""
    if not is_op(add, Add):
        return None
    output = node.output
    other = next((v for v in add.inputs if v is not output), None)
    if other is None or other.constant is None or add.output.type.shape != output.type.shape:
        return None
    axis = 1 if is_op(node, Conv, ConvTranspose) else output.type.rank - 1
    shape = (1,) * (output.type.rank - other.type.rank) + other.type.shape
    wanted = tuple(e if i == axis else 1 for i, e in enumerate(output.type.shape))
    return other if shape == wanted else None
