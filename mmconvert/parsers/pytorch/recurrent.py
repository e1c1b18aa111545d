"""PyTorch rules for recurrent layers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("PyTorch")

_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
"""torch stacks the gates i f c o and r z n, the IR i o f c and z r n."""


@rule("aten.lstm.input")
def lstm(n: Source, b: Builder) -> tuple[Value, ...]:
    hidden, cell = n.values("hx")
    return _layers(n, b, "lstm", [hidden, cell], ("Sigmoid", "Tanh", "Tanh"))


@rule("aten.gru.input")
def gru(n: Source, b: Builder) -> tuple[Value, ...]:
    return _layers(n, b, "gru", [n.value("hx")], ("Sigmoid", "Tanh"))


@rule("aten.rnn_tanh.input", "aten.rnn_relu.input")
def rnn(n: Source, b: Builder) -> tuple[Value, ...]:
    return _layers(n, b, "rnn", [n.value("hx")], ("Tanh" if "tanh" in n.kind else "Relu",))


def _layers(
    n: Source, b: Builder, kind: str, initial: list[Value], activations: tuple[str, ...]
) -> tuple[Value, ...]:
    """Layers one over the other, each over the states of both directions of the one below."""
    x, parameters = n.value("input"), n.values("params")
    biased, count = n.flag("has_biases"), n.integer("num_layers")
    directions = 2 if n.flag("bidirectional") else 1
    if n.flag("train") and n.real("dropout", 0.0) > 0 and count > 1:
        raise n.unsupported("with dropout between layers in training mode", hint="call eval() first")
    n.ignore("dropout")
    batch_first = n.flag("batch_first")
    each = 4 if biased else 2
    if len(parameters) != each * count * directions:
        raise n.unsupported("with a projection of the states", hint="build it with proj_size=0")
    x = b(ops.Transpose(perm=(1, 0, 2)), x) if batch_first else x
    states: list[list[Value]] = [[] for _ in initial]
    for layer in range(count):
        start = layer * directions * each
        groups = [parameters[start + d * each : start + (d + 1) * each] for d in range(directions)]
        first = [_layer_of(b, state, layer * directions, directions) for state in initial]
        y, *last = _layer(n, b, kind, x, groups, first, activations)
        time, _, batch, size = y.type.shape
        x = b(ops.Reshape(shape=(time, batch, size * directions)), b(ops.Transpose(perm=(0, 2, 1, 3)), y))
        for found, state in zip(states, last, strict=True):
            found.append(state)
    y = b(ops.Transpose(perm=(1, 0, 2)), x) if batch_first else x
    return y, *(b(ops.Concat(axis=0), *s) if len(s) > 1 else s[0] for s in states)


def _layer_of(b: Builder, state: Value, start: int, size: int) -> Value:
    if state.type.shape[0] == size:
        return state
    return b(ops.Slice(axes=(0,), starts=(start,), sizes=(size,), steps=(1,)), state)


def _layer(
    n: Source,
    b: Builder,
    kind: str,
    x: Value,
    groups: list[list[Value]],
    initial: list[Value],
    activations: tuple[str, ...],
) -> tuple[Value, ...]:
    order = _ORDER[kind]
    size = groups[0][1].type.shape[1]
    if not isinstance(size, int):
        raise n.unsupported("with weights of unknown size")
    direction: Literal["forward", "bidirectional"] = "bidirectional" if len(groups) == 2 else "forward"
    names = activations * len(groups)
    fields: dict[str, Any] = {
        "hidden_size": size,
        "direction": direction,
        "activations": names,
        "alphas": (0.0,) * len(names),
        "betas": (0.0,) * len(names),
    }
    op = {
        "lstm": ops.LSTM(**fields),
        "gru": ops.GRU(**fields, linear_before_reset=True),
        "rnn": ops.RNN(**fields),
    }[kind]
    weight = _together(b, [_ordered(b, group[0], order) for group in groups])
    recurrence = _together(b, [_ordered(b, group[1], order) for group in groups])
    bias = None
    if len(groups[0]) == 4:
        pairs = [[_ordered(b, part, order) for part in group[2:]] for group in groups]
        bias = _together(b, [b(ops.Concat(axis=0), *pair) for pair in pairs])
    return b.multi(op, x, weight, recurrence, bias, None, *initial)


def _together(b: Builder, parts: list[Value]) -> Value:
    rows = [b(ops.Unsqueeze(axes=(0,)), part) for part in parts]
    return b(ops.Concat(axis=0), *rows) if len(rows) > 1 else rows[0]


def _ordered(b: Builder, stacked: Value, order: tuple[int, ...]) -> Value:
    """Gates that are stacked along the first axis, in another order."""
    if order == tuple(range(len(order))):
        return stacked
    if stacked.constant is None:
        size = stacked.type.static_shape[0] // len(order)
        parts = b.multi(ops.Split(axis=0, sizes=(size,) * len(order)), stacked)
        return b(ops.Concat(axis=0), *(parts[i] for i in order))

    def turn(array: Array) -> Array:
        gates = np.split(array, len(order))
        return np.concatenate([gates[i] for i in order])

    return b.constant(stacked.constant.map(turn), name=stacked.name)


# --- single steps ----------------------------------------------------------------------------------------


def _gates(n: Source, b: Builder, x: Value, weight: str, bias: str) -> Value:
    y = b(ops.MatMul(), x, b(ops.Transpose(perm=(1, 0)), n.value(weight)))
    shift = n.optional(bias)
    return y if shift is None else b(ops.Add(), y, shift)


def _split(b: Builder, x: Value, count: int) -> tuple[Value, ...]:
    axis = x.type.rank - 1
    extent = x.type.shape[axis]
    assert isinstance(extent, int), "weights have known extents"
    size = extent // count
    return b.multi(ops.Split(axis=axis, sizes=(size,) * count), x)


@rule("aten.lstm_cell.default")
def lstm_cell(n: Source, b: Builder) -> tuple[Value, Value]:
    h, c = n.values("hx")
    total = b(ops.Add(), _gates(n, b, n.value("input"), "w_ih", "b_ih"), _gates(n, b, h, "w_hh", "b_hh"))
    i, f, g, o = _split(b, total, 4)
    kept = b(ops.Mul(), b(ops.Sigmoid(), f), c)
    cell = b(ops.Add(), kept, b(ops.Mul(), b(ops.Sigmoid(), i), b(ops.Tanh(), g)))
    return b(ops.Mul(), b(ops.Sigmoid(), o), b(ops.Tanh(), cell)), cell


@rule("aten.gru_cell.default")
def gru_cell(n: Source, b: Builder) -> Value:
    h = n.value("hx")
    own, other = _gates(n, b, n.value("input"), "w_ih", "b_ih"), _gates(n, b, h, "w_hh", "b_hh")
    (r1, z1, n1), (r2, z2, n2) = _split(b, own, 3), _split(b, other, 3)
    r, z = b(ops.Sigmoid(), b(ops.Add(), r1, r2)), b(ops.Sigmoid(), b(ops.Add(), z1, z2))
    new = b(ops.Tanh(), b(ops.Add(), n1, b(ops.Mul(), r, n2)))
    return b(ops.Add(), new, b(ops.Mul(), z, b(ops.Sub(), h, new)))


@rule("aten.rnn_tanh_cell.default", "aten.rnn_relu_cell.default")
def rnn_cell(n: Source, b: Builder) -> Value:
    own = _gates(n, b, n.value("input"), "w_ih", "b_ih")
    total = b(ops.Add(), own, _gates(n, b, n.value("hx"), "w_hh", "b_hh"))
    return b(ops.Tanh() if "tanh" in n.kind else ops.Relu(), total)
