"""NCNN rules for recurrent layers.

NCNN runs one sequence at a time: members of a batch follow one another, each with the weights.
"""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.shape import crop
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")

_DIRECTIONS = {"forward": 0, "reverse": 1, "bidirectional": 2}
_ORDERS: dict[type[Op], tuple[int, ...]] = {ops.LSTM: (0, 2, 1, 3), ops.GRU: (1, 0, 2), ops.RNN: (0,)}
"""Where NCNN's gates stand among those of the IR: IFOG in IOFG's order, RUN in ZRH's."""
_FUNCTIONS = {
    ops.LSTM: ("Sigmoid", "Tanh", "Tanh"),
    ops.GRU: ("Sigmoid", "Tanh"),
    ops.RNN: ("Tanh",),
}
_LONGEST_BATCH = 8


@rule(ops.LSTM, ops.GRU, ops.RNN)
def recurrent(node: Node[ops.LSTM] | Node[ops.GRU] | Node[ops.RNN], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    _require_plain(node)
    time, size = x.type.shape[0], x.type.shape[2]
    batch, inputs = known((x.type.shape[1], size), "the batch")
    if batch > _LONGEST_BATCH:
        raise UnsupportedError(f"NCNN has no batch axis, and the batch is {batch}")
    hidden, count = op.hidden_size, op.directions
    weights = _weights(node)
    states = [v for v in (node.optional(i) for i in range(5, 7)) if v is not None]
    if isinstance(op, ops.LSTM) and len(states) == 1:
        raise UnsupportedError("NCNN takes both states of an LSTM or none")
    wanted = ((time, count * hidden), *[(count, hidden)] * (2 if isinstance(op, ops.LSTM) else 1))
    results: list[list[Blob]] = []
    for i in range(batch):
        member = _member(x, i, out)
        operands = [out.view(member, (time, inputs))]
        operands += [out.view(_member(state, i, out), (count, hidden)) for state in states]
        made = out(
            type(op).__name__,
            operands,
            *wanted,
            weights=weights,
            num_output=hidden,
            weight_data_size=weights[0].size,
            direction=_DIRECTIONS[op.direction],
        )
        results.append(list(made))
    for value, parts in zip(node.outputs, zip(*results, strict=True), strict=False):
        _join(value, list(parts), out)


def _require_plain(node: Node[ops.LSTM] | Node[ops.GRU] | Node[ops.RNN]) -> None:
    op = node.op
    functions = _FUNCTIONS[type(op)] * op.directions
    if op.activations != functions:
        raise UnsupportedError(f"NCNN's {op.name} has the activations {', '.join(functions)}")
    if op.clip is not None or node.optional(4) is not None:
        raise UnsupportedError(f"NCNN's {op.name} has no limits and no lengths")
    if isinstance(op, ops.LSTM) and (op.input_forget or node.optional(7) is not None):
        raise UnsupportedError("NCNN's LSTM has neither peepholes nor coupled gates")
    if isinstance(op, ops.GRU) and not op.linear_before_reset:
        raise UnsupportedError("NCNN's GRU resets after the product with the state")
    if any(v is not None and v.constant is None for v in node.inputs[1:4]):
        raise UnsupportedError(f"NCNN's {op.name} has constant weights")


def _weights(node: Node[ops.LSTM] | Node[ops.GRU] | Node[ops.RNN]) -> list[Tensor]:
    """The weights of input, bias and state, with the gates in NCNN's order."""
    order, gates, hidden = _ORDERS[type(node.op)], node.op.gates, node.op.hidden_size
    w, r = (_reordered(node.operand(i), order, hidden) for i in (1, 2))
    bias = node.optional(3)
    rows = 4 if isinstance(node.op, ops.GRU) else gates
    shape = (node.op.directions, rows, hidden)
    if bias is None:
        return [w, Tensor.of(np.zeros(shape, np.float32)), r]
    assert bias.constant is not None
    is_gru = isinstance(node.op, ops.GRU)

    def combined(array: Array) -> Array:
        both = array.astype(np.float32).reshape(-1, 2, gates, hidden)[:, :, list(order)]
        total = both[:, 0] + both[:, 1]
        # The reset gate of a GRU stands between its two last biases.
        return np.concatenate([total[:, :2], both[:, 0, 2:], both[:, 1, 2:]], axis=1) if is_gru else total

    return [w, bias.constant.map(combined, dtype=dtypes.F32, shape=shape), r]


def _reordered(weight: Value, order: tuple[int, ...], hidden: int) -> Tensor:
    tensor = weight.constant
    assert tensor is not None
    count, _, size = tensor.shape

    def gates(array: Array) -> Array:
        return array.reshape(count, len(order), hidden, size)[:, list(order)].reshape(tensor.shape)

    return tensor if len(order) == 1 else tensor.map(gates)


def _member(value: Value, index: int, out: Writer) -> Blob:
    """One member of a batch, of a value with the batch in the middle."""
    if value.type.shape[1] == 1:
        return out.raw(value)
    whole = out.blob(value, value.type.shape)
    return crop(whole, whole.shape, [(1, index, 1)], out)[0]


def _join(value: Value, parts: list[Blob], out: Writer) -> None:
    """The members of a batch, which stands before the last axis."""
    if len(parts) == 1:
        out.place(value, parts[0])
        return
    *lead, _, hidden = value.type.shape
    size = 1
    rows = tuple(lead) if len(lead) == 1 else (lead[0] * lead[1],)
    pieces = [out.view(part, (*rows, size, hidden)) for part in parts]
    out.place(value, out.layer("Concat", pieces, (*rows, len(parts), hidden), axis=1))


@rule(ops.If, ops.Loop, ops.Scan, ops.While)
def control(node: Node[Op], out: Writer) -> None:
    """What recurrent layers become where NCNN's own layers do not have their form."""
    raise UnsupportedError(
        "NCNN has no control flow, and recurrent layers in their plain forms only: sigmoid and tanh, "
        "no limits, no lengths, no peepholes, a GRU that resets after the product with the state"
    )
