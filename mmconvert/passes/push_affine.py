"""Multiplications and additions by constants move on into the weights of what reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Conv, Div, Gemm, MatMul, Mul, Relu, Sub
from mmconvert.ir.types import Array
from mmconvert.passes.match import only_user
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Tensor

LIMIT = 1 << 16
"""Constants with more elements than this are left alone."""

LARGEST = 2.0**16
"""Factors beyond this, and below its inverse, could take a weight out of its element type's range."""

_BLOCK = 1 << 20  # weights that are widened to float64 at a time

Edit = Callable[[Graph], None]


@dataclass(frozen=True, slots=True)
class _Step:
    """What an operator does with the values of one operand: ``x * factor`` or ``x + shift``.

    The constants are float64, and have as many axes as ``x``.
    """

    x: Value
    factor: Array | None = None
    shift: Array | None = None


def push_affine(graph: Graph) -> Outcome:
    """Takes ``Mul``, ``Div``, ``Add`` and ``Sub`` by constants out, and changes the weights behind them.

    ::

        %1 = Mul(x, %k)          %2 = Add(x, %c / %k)    |    %1 = Add(x, %c)          %2 = Gemm(x, %w, %b')
        %2 = Add(%1, %c)    →    %3 = Relu(%2)           |    %2 = Gemm(%1, %w, %b)  →
        %3 = Relu(%2)            %4 = Conv(%3, %w * %k)  |
        %4 = Conv(%3, %w)                                |    with b' = b + c·w, summed in float64

    A factor passes additions of constants, products with one other value if it is one number, and Relus if it
    is positive; a sum passes nothing, and goes into no convolution that pads, because there the padding is 0
    and the rest is not.

    Declines when: something else reads the value, too; a weight is not constant, or used elsewhere; the
    constant differs along another axis than the channels; a factor is extreme.
    """
    outcome = Outcome()
    # From the end: what is pushed first clears the way for what stands before it.
    for node in reversed(list(graph)):
        step = None if node.graph is None else _step(node)
        if step is None:
            continue
        edits: list[Edit] = []
        if step.factor is not None:
            reason = _scale(node.output, step.factor, edits)
        else:
            assert step.shift is not None
            reason = _shift(node.output, step.shift, edits)
        if reason is not None:
            outcome.decline(node, reason)
            continue
        for edit in edits:
            edit(graph)
        graph.replace_uses(node.output, step.x)
        graph.remove(node)
        outcome.done += 1
    return outcome


def _step(node: Node[Op]) -> _Step | None:
    if not is_op(node, Mul, Div, Add, Sub) or node.output.type.dtype not in (dtypes.F32, dtypes.F64):
        return None
    found = _constant_side(node)
    if found is None or found[0].type != node.output.type or not _is_small(found[1]):
        return None
    x, constant = found[0], _wide(found[1])
    constant = constant.reshape((1,) * (x.type.rank - constant.ndim) + constant.shape)
    with np.errstate(divide="ignore"):
        match node.op:
            case Mul():
                return _Step(x, factor=constant)
            case Div():
                return _Step(x, factor=1 / constant)
            case Add():
                return _Step(x, shift=constant)
            case _:
                return _Step(x, shift=-constant)


def _constant_side(node: Node[Op]) -> tuple[Value, Value] | None:
    """The variable operand and the constant one; of ``c - x`` and ``c / x`` there is none."""
    left, right = node.operand(0), node.operand(1)
    if left.constant is not None and isinstance(node.op, Mul | Add):
        left, right = right, left
    return (left, right) if left.constant is None and right.constant is not None else None


# --- factors -------------------------------------------------------------------------------------------


def _scale(value: Value, factor: Array, edits: list[Edit]) -> str | None:
    """Plans that what reads ``value`` reads ``value / factor``; returns why that cannot be."""
    size = np.abs(factor)
    if not np.all((size >= 1 / LARGEST) & (size <= LARGEST)):
        return "a factor is extreme"
    for user, index in value.uses:
        reason = _scale_use(user, index, factor, edits)
        if reason is not None:
            return reason
    return None


def _scale_use(user: Node[Op], index: int, factor: Array, edits: list[Edit]) -> str | None:
    if is_op(user, Relu):
        return _scale(user.output, factor, edits) if np.all(factor > 0) else "a factor is negative"
    if is_op(user, Mul) and factor.size == 1 and user.operand(0) is not user.operand(1):
        return _scale(user.output, factor, edits)
    if is_op(user, Add, Sub) and index == 0 and user.operand(1).constant is not None:
        return _scale_sum(user, user.operand(0), user.operand(1), factor, edits)
    if is_op(user, Add) and user.operand(0).constant is not None:
        return _scale_sum(user, user.operand(1), user.operand(0), factor, edits)
    weight = _weight(user, index)
    if weight is None:
        return "it is not only read by operators with weights of their own"
    vector = _along(factor, _contracted(user))
    if vector is None:
        return "the constant differs along another axis than the channels"
    edits.append(lambda graph: graph.set_input(user, 1, graph.constant(_scaled(user, vector), weight.name)))
    return None


def _scale_sum(user: Node[Op], x: Value, constant: Value, factor: Array, edits: list[Edit]) -> str | None:
    if x.type != user.output.type or not _is_small(constant):
        return "it is broadcast"
    term = (_wide(constant) / factor).astype(x.type.dtype)
    term = term.reshape(term.shape[next((a for a, e in enumerate(term.shape) if e != 1), term.ndim) :])
    edits.append(lambda graph: _replace_term(graph, user, constant, term))
    return _scale(user.output, factor, edits)


def _replace_term(graph: Graph, user: Node[Op], constant: Value, term: Array) -> None:
    new = graph.constant(Tensor.of(term), constant.name)
    graph.replace(user, user.op, [new if v is constant else v for v in user.inputs])


def _scaled(user: Node[Op], factor: Array) -> Tensor:
    """The weight times one factor for each input channel, or for all, computed when it is read."""
    weight = user.operand(1).constant
    assert weight is not None
    axis = _weight_axis(user)
    groups = user.op.groups if isinstance(user.op, Conv) else 1

    def compute(array: Array) -> Array:
        if axis == 0:  # a matrix of input by output channels
            product: Array = (array * factor[:, None]).astype(array.dtype)
            return product
        grouped = array.reshape(groups, array.shape[0] // groups, *array.shape[1:])
        shape = [groups if a == 0 else -1 if a == axis + 1 else 1 for a in range(grouped.ndim)]
        each = np.broadcast_to(factor, (groups * array.shape[axis],)).reshape(shape)
        scaled: Array = (grouped * each).astype(array.dtype)
        return scaled.reshape(array.shape)

    return weight.map(compute)


# --- sums ----------------------------------------------------------------------------------------------


def _shift(value: Value, shift: Array, edits: list[Edit]) -> str | None:
    """Plans that what reads ``value`` reads ``value - shift``; returns why that cannot be."""
    for user, index in value.uses:
        if _weight(user, index) is None or (is_op(user, Gemm) and user.op.alpha != 1):
            return "it is not only read by operators with weights of their own"
        if is_op(user, Conv) and not (user.op.groups == 1 and _pads_nothing(user.op)):
            return "a convolution pads, or is in groups"
        vector = _along(shift, _contracted(user))
        if vector is None:
            return "the constant differs along another axis than the channels"
        place = _bias(user)
        if place is None:
            return "no bias of its own stands behind it"
        edits.append(_raise(user, place, vector))
    return None


def _pads_nothing(op: Conv) -> bool:
    return isinstance(op.padding, Explicit) and op.padding.is_zero


def _bias(user: Node[Op]) -> tuple[Node[Op], int] | None:
    """Where the constant stands that is added to the result; a position behind the inputs for a new one."""
    if is_op(user, MatMul):
        follower = only_user(user.output)
        if not is_op(follower, Add) or follower.output.type != user.output.type:
            return None
        index = 1 if follower.operand(0) is user.output else 0
        holder: Node[Op] = follower
    else:
        holder, index = user, 2
        if is_op(user, Gemm) and user.op.beta != 1:
            return None
        if user.optional(2) is None:
            return holder, index
    bias = holder.operand(index)
    columns = user.output.type.shape[-1]
    if bias.constant is None or (is_op(user, Conv) and bias.type.rank != 1):
        return None
    whole = is_op(user, Conv) or bias.type.size == columns == bias.type.shape[-1]
    return (holder, index) if whole else None


def _raise(user: Node[Op], place: tuple[Node[Op], int], shift: Array) -> Edit:
    """Adds the product of the weight and ``shift`` to the bias."""
    holder, index = place

    def edit(graph: Graph) -> None:
        total = _product(user, shift)
        old = holder.optional(index)
        if old is not None:
            total = total + _wide(old).reshape(-1)
        shape = (total.size,) if old is None else old.type.shape
        new = graph.constant(
            Tensor.of(total.astype(user.output.type.dtype).reshape(shape)), "" if old is None else old.name
        )
        inputs = [*holder.inputs, None][: max(len(holder.inputs), index + 1)]
        inputs[index] = new
        graph.replace(holder, holder.op, inputs)

    return edit


def _product(user: Node[Op], shift: Array) -> Array:
    """What a constant ``shift`` of the input adds to each output channel, in float64."""
    tensor = user.operand(1).constant
    assert tensor is not None
    axis = _weight_axis(user)
    rows = np.moveaxis(tensor.numpy(), axis, -1)
    step = max(1, _BLOCK // max(1, rows[:1].size))
    parts = [
        np.multiply(rows[start : start + step], shift, dtype=np.float64).reshape(-1, rows[0].size).sum(axis=1)
        for start in range(0, len(rows), step)
    ]
    return np.concatenate(parts)


# --- linear operators ----------------------------------------------------------------------------------


def _weight(user: Node[Op], index: int) -> Value | None:
    """The constant weight of an operator that is linear in its operand ``index``."""
    if index != 0 or not is_op(user, Conv, Gemm, MatMul):
        return None
    if (is_op(user, Gemm) and user.op.transpose_a) or (
        is_op(user, MatMul) and user.operand(1).type.rank != 2
    ):
        return None
    weight = user.operand(1)
    return weight if weight.constant is not None and len(weight.uses) == 1 else None


def _contracted(user: Node[Op]) -> int:
    """The axis of the input that the weight sums over."""
    rank = user.operand(0).type.rank
    return user.op.layout.channel_axis(rank) if isinstance(user.op, Conv) else rank - 1


def _weight_axis(user: Node[Op]) -> int:
    """The axis of the weight that runs over the input channels (of a group)."""
    if isinstance(user.op, Conv):
        return user.op.layout.channel_axis(user.operand(1).type.rank)
    return 1 if isinstance(user.op, Gemm) and user.op.transpose_b else 0


def _along(constant: Array, axis: int) -> Array | None:
    """The constant as a vector over ``axis``, or as one number; None when it differs along another axis."""
    if constant.size == 1 or constant.size == constant.shape[axis]:
        return constant.reshape(-1)
    return None


def _is_small(value: Value) -> bool:
    return value.constant is not None and value.constant.size <= LIMIT


def _wide(value: Value) -> Array:
    assert value.constant is not None
    return value.constant.numpy().astype(np.float64)
