"""PyTorch rules for recurrent layers: those of ``torch.nn`` where they compute the same."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor

rule: Rules[type[Op]] = Rules("PyTorch")

Layer: TypeAlias = ops.LSTM | ops.GRU | ops.RNN

_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of the IR's gates stands at each place in torch."""
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}


@rule(ops.LSTM, ops.GRU, ops.RNN)
def recurrent(node: Node[Layer], out: Writer) -> tuple[str, ...]:
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
    text = call(layer, source if op.direction == "reverse" else source, *([start] if given else []))
    whole = out.let("sequence", text)
    y, last = f"{whole}[0]", f"{whole}[1]"
    if op.direction == "bidirectional":
        y += f".unflatten(2, (2, {op.hidden_size})).transpose(1, 2)"
    else:
        y += ".flip(0)" * (op.direction == "reverse") + ".unsqueeze(1)"
    return (y, f"{last}[0]", f"{last}[1]") if isinstance(op, ops.LSTM) else (y, last)


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
