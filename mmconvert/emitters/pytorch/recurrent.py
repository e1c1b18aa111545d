"""PyTorch rules for recurrent layers: those of ``torch.nn`` where they compute the same."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor

rule: Rules[type[Op]] = Rules("PyTorch")

Layer: TypeAlias = ops.LSTM | ops.GRU | ops.RNN

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of the IR's gates stands at each place in torch."""
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}


@rule(ops.LSTM, ops.GRU, ops.RNN)
def recurrent(node: Node[Layer], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    _require(node, out)
    states = [node.optional(5), node.optional(6)] if isinstance(op, ops.LSTM) else [node.optional(5)]
    out.require(len({v is None for v in states}) == 1, "torch takes all states, or none")
    given = [out.tensor(v) for v in states if v is not None]
    source = out.operand(x)
    if op.direction == "reverse":
        source += ".flip(0)"
    layer = out.layers.layer(node, _made(node, out), _state(node), [node.optional(i) for i in (1, 2, 3)])
    start = given[0] if len(given) == 1 else f"({', '.join(given)})"
    text = call(layer, source, *([start] if given else []))
    y, *last = node.outputs
    sequence = _sequence(node, out)
    names = [out.fresh("state") if v.uses else "_" for v in last]
    kept = names[0] if len(names) == 1 else f"({', '.join(names)})" if any(v.uses for v in last) else "_"
    for value, called in zip(last, names, strict=True):
        if value.uses:
            out.alias(value, called)
    name = out.assign(y, text, "sequence", also=kept)
    if sequence is not None:
        out.line(f"{name} = {name}{sequence}")


def _sequence(node: Node[Layer], out: Writer) -> str | None:
    """What makes the IR's [time, directions, batch, hidden] of torch's [time, batch, directions * hidden].

    None where what follows makes the latter of the former: then that is left out.
    """
    op, y = node.op, node.outputs[0]
    flip = ".flip(0)" * (op.direction == "reverse")
    time, _, batch, hidden = y.type.shape
    users = y.users
    if op.directions == 1:
        wanted = (time, batch, hidden)
        if users and all(_gives(u, wanted) for u in users):
            out.done.update(users)
            return flip or None
        return f"{flip}.unsqueeze(1)"
    wanted = (time, batch, hidden * 2)
    turns = [u for u in users if is_op(u, ops.Transpose) and u.op.perm == (0, 2, 1, 3)]
    behind = [u for t in turns for u in t.output.users]
    if users and len(turns) == len(users) and behind and all(_gives(u, wanted) for u in behind):
        out.done.update([*turns, *behind])
        return None
    return f".unflatten(2, (2, {op.hidden_size})).transpose(1, 2)"


def _gives(node: Node[Op], shape: Shape) -> bool:
    return is_op(node, ops.Reshape, ops.Squeeze) and node.output.type.shape == shape


def _require(node: Node[Layer], out: Writer) -> None:
    op = node.op
    kind = op.name
    functions = _USUAL.get(kind, op.activations[:1])
    out.require(op.activations == functions * op.directions, "torch has its own activations")
    out.require(kind != "RNN" or functions[0] in ("Tanh", "Relu"), "torch has tanh and relu")
    out.require(op.clip is None, "torch limits no gates")
    out.require(node.optional(4) is None, "sequences of several lengths")
    if isinstance(op, ops.LSTM):
        out.require(not op.input_forget and node.optional(7) is None, "torch has no peepholes")
    if isinstance(op, ops.GRU):
        out.require(op.linear_before_reset, "torch resets behind the product")
    weights = [v for v in (node.optional(i) for i in (1, 2, 3)) if v is not None]
    out.require(all(v.constant is not None for v in weights), "weights that are computed")


def _made(node: Node[Layer], out: Writer) -> str:
    op, dtype = node.op, node.operand(0).type.dtype
    size = node.operand(1).type.static_shape[2]
    relu = op.name == "RNN" and op.activations[0] == "Relu"
    return call(
        f"nn.{op.name}",
        str(size),
        str(op.hidden_size),
        nonlinearity='"relu"' if relu else None,
        bias="False" if node.optional(3) is None else None,
        bidirectional="True" if op.directions == 2 else None,
        dtype=None if dtype == dtypes.F32 else out.dtype(dtype),
    )


def _state(node: Node[Layer]) -> dict[str, Tensor]:
    op = node.op
    weights: dict[str, tuple[Value | None, int]] = {
        "weight_ih": (node.operand(1), 0),
        "weight_hh": (node.operand(2), 0),
        "bias_ih": (node.optional(3), 0),
        "bias_hh": (node.optional(3), 1),
    }
    state = {}
    for direction in range(op.directions):
        for role, (value, half) in weights.items():
            if value is not None:
                key = f"{role}_l0{'_reverse' * direction}"
                state[key] = _part(op, value, direction, half, split="bias" in role)
    return state


def _part(op: Layer, value: Value, direction: int, half: int, *, split: bool) -> Tensor:
    """The weights of one direction with torch's order of gates."""
    tensor = value.constant
    assert tensor is not None
    rows = op.gates * op.hidden_size

    def load(array: Array) -> Array:
        part = array[direction]
        part = part[half * rows : (half + 1) * rows] if split else part
        gates = part.reshape(op.gates, op.hidden_size, *part.shape[1:])
        return np.ascontiguousarray(gates[list(_ORDER[op.name])].reshape(part.shape))

    return tensor.map(load, shape=(rows, *tensor.shape[2:]))
