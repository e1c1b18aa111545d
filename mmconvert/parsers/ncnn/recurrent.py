"""Recurrent layers, over one sequence."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Array
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[str] = Rules("NCNN")

_DIRECTIONS = ("forward", "reverse", "bidirectional")
_ORDERS = {"LSTM": (0, 2, 1, 3), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where the IR's gates stand among NCNN's."""
_FUNCTIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@rule("LSTM", "GRU", "RNN")
def recurrent(layer: Source) -> tuple[Value, ...]:
    p, kind = layer.p, layer.kind
    hidden, direction = p.count("num_output", 1), p.count("direction")
    if p.flag("int8_scale_term"):
        raise layer.unsupported("recurrent layers with quantized weights")
    if kind == "LSTM" and p.count("hidden_size", 1) != hidden:
        raise layer.unsupported("an LSTM with a projection")
    if direction >= len(_DIRECTIONS) or layer.rank() != 2:
        raise layer.invalid(f"there is no {kind} in the direction {direction} over {layer.x.type}")
    count, gates = 2 if direction == 2 else 1, len(_ORDERS[kind])
    inputs = p.count("weight_data_size", 1) // (count * gates * hidden)
    w = _gates(layer, "weight_xc", kind, (count, gates * hidden, inputs))
    r = _gates(layer, "weight_hc", kind, (count, gates * hidden, hidden))
    functions = _FUNCTIONS[kind] * count
    zeros = (0.0,) * len(functions)
    common = {
        "hidden_size": hidden,
        "direction": _DIRECTIONS[direction],
        "activations": functions,
        "alphas": zeros,
        "betas": zeros,
    }
    make = {"LSTM": ops.LSTM, "RNN": ops.RNN}.get(kind)
    op = make(**common) if make else ops.GRU(linear_before_reset=True, **common)  # type: ignore[arg-type]
    x = layer.reshape(layer.x, (layer.x.type.shape[1], 1, layer.x.type.shape[2]))
    states = [layer.reshape(v, (count, 1, hidden)) for v in layer.inputs[1:]]
    bias = layer.b.constant(_bias(layer, kind, count, hidden))
    made = layer.b.multi(op, x, w, r, bias, None, *states)
    y = layer.reshape(made[0], (1, layer.x.type.shape[1], count * hidden))
    last = [layer.reshape(v, (1, count, hidden)) for v in made[1:]]
    return (y, *last)[: len(layer.stored.layer.outputs)]


def _gates(layer: Source, name: str, kind: str, shape: tuple[int, int, int]) -> Value:
    count, rows, size = shape
    order = _ORDERS[kind]
    tensor = layer.weight(name, shape)

    def turned(array: Array) -> Array:
        return array.reshape(count, len(order), rows // len(order), size)[:, list(order)].reshape(shape)

    return layer.b.constant(tensor if len(order) == 1 else tensor.map(turned))


def _bias(layer: Source, kind: str, count: int, hidden: int) -> Tensor:
    """The biases of the input and of the state; but for the last gate of a GRU NCNN has their sum."""
    order = list(_ORDERS[kind])
    rows = 4 if kind == "GRU" else len(order)
    tensor = layer.weight("bias", (count, rows, hidden))

    def parted(array: Array) -> Array:
        first = array[:, : len(order)][:, order]
        second = np.zeros_like(first)
        if kind == "GRU":
            second[:, 2] = array[:, 3]
        return np.concatenate([first, second], axis=1).reshape(count, -1)

    return tensor.map(parted, shape=(count, 2 * len(order) * hidden))
