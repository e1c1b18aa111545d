"""Which nodes are written as part of another layer: biases, activations, the products around attentions."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.emitters.ncnn.heads import Projections, attentions
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    Clip,
    Conv,
    ConvTranspose,
    Gemm,
    HardSwish,
    LeakyRelu,
    MatMul,
    Mish,
    Relu,
    Sigmoid,
)
from mmconvert.ncnnlib.records import Parameter


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows an operator inside the same layer: a bias, an activation, and the result."""

    output: Value
    bias: Value | None = None
    activation: tuple[int, tuple[float, ...]] = (0, ())

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The activation as parameters of the layer."""
        number, values = self.activation
        if not number:
            return {}
        return {"activation_type": number, **({"activation_params": values} if values else {})}


@dataclass(slots=True)
class Plan:
    """The tails of nodes, what attentions do as well, and the nodes that are written there."""

    tails: dict[Node[Op], Tail] = field(default_factory=dict)
    absorbed: set[Node[Op]] = field(default_factory=set)
    attentions: dict[Node[Op], Projections] = field(default_factory=dict)


def plan(graph: Graph) -> Plan:
    """Decides for every node what it absorbs: only what reads nothing else, and is alone in reading it."""
    found = Plan(attentions=attentions(graph))
    found.absorbed.update(node for around in found.attentions.values() for node in around.nodes)
    for node in graph:
        if (
            node in found.absorbed
            or not is_op(node, Conv, ConvTranspose, MatMul, Gemm)
            or not _has_constant_weight(node)
        ):
            continue
        absorbed: list[Node[Op]] = []
        output, bias = node.output, None
        if node.optional(2) is None and (bias := _bias(node, output)) is not None:
            absorbed.append(output.users[0])
            output = output.users[0].output
        following = _only_user(output)
        activation = (0, ()) if following is None else _activation(following)
        if following is not None and activation[0]:
            absorbed.append(following)
            output = following.output
        if absorbed:
            found.tails[node] = Tail(output, bias, activation)
            found.absorbed.update(absorbed)
    return found


def _has_constant_weight(node: Node[Op]) -> bool:
    weight = node.operand(1)
    plain = node.output.type.dtype == dtypes.F32 and weight.constant is not None
    if is_op(node, MatMul):
        return plain and weight.type.rank == 2 and node.operand(0).type.rank >= 2
    return plain


def _only_user(value: Value) -> Node[Op] | None:
    if len(value.uses) != 1:
        return None
    ((user, _),) = value.uses
    return user if len(user.outputs) == 1 else None


def _bias(node: Node[Op], output: Value) -> Value | None:
    """The constant vector over the channels that is added to ``output``, if nothing else is done with it."""
    user = _only_user(output)
    if not is_op(user, Add):
        return None
    other = next((v for v in user.inputs if v is not output), None)
    if other is None or other.constant is None or user.output.type.shape != output.type.shape:
        return None
    rank = output.type.rank
    axis = 1 if is_op(node, Conv, ConvTranspose) else rank - 1
    padded = (*(1,) * (rank - other.type.rank), *other.type.shape)
    alone = all(extent == 1 for a, extent in enumerate(padded) if a != axis)
    return other if alone and padded[axis] == output.type.shape[axis] else None


def _activation(node: Node[Op]) -> tuple[int, tuple[float, ...]]:
    """The number and the parameters of a function that layers can apply to what they make."""
    if is_op(node, Relu):
        return 1, ()
    if is_op(node, LeakyRelu):
        return 2, (node.op.alpha,)
    if is_op(node, Clip) and node.op.low is not None and node.op.high is not None:
        return 3, (float(node.op.low), float(node.op.high))
    if is_op(node, Sigmoid):
        return 4, ()
    if is_op(node, Mish):
        return 5, ()
    if is_op(node, HardSwish):
        return 6, (1 / 6, 0.5)
    return 0, ()
