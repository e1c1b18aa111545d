"""MNN rules for recurrent layers."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.mnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")


@rule("LSTM")
def lstm(n: Source, b: Builder) -> tuple[Value, ...]:
    x, weight, recurrence, bias = (n.operand(i) for i in range(4))
    directions = weight.type.shape[0]
    if weight.type.rank != 3 or directions not in (1, 2):
        raise n.invalid(f"weights of the type {weight.type}")
    zeros = np.zeros([e for e in bias.type.shape if isinstance(e, int)], np.float32)
    both = b(ops.Concat(axis=1), bias, zeros)
    op = ops.LSTM(
        hidden_size=n.parameters.number("outputCount"),
        direction="forward" if directions == 1 else "bidirectional",
        activations=("Sigmoid", "Tanh", "Tanh") * directions,
        alphas=(0.0,) * 3 * directions,
        betas=(0.0,) * 3 * directions,
    )
    states = [n.operand(i) if n.has(i) else None for i in (4, 5)]
    return b.multi(op, x, weight, recurrence, both, None, *states, None)


@rule("RNNSequenceGRU")
def gru(n: Source, b: Builder) -> tuple[Value, ...]:
    """Five constants for each direction: see the emitter's rule."""
    record, x = n.parameters, n.operand(0)
    directions = 2 if record.number("isBidirectionalRNN") else 1
    if not record.number("keepAllOutputs"):
        raise n.unsupported("only the last state")
    parts = [_direction(n, b, x, [n.operand(1 + 5 * d + i) for i in range(5)]) for d in range(directions)]
    parameters = [b(ops.Concat(axis=0), *values) for values in zip(*parts, strict=True)]
    op = ops.GRU(
        hidden_size=record.number("numUnits"),
        direction="forward" if directions == 1 else "bidirectional",
        activations=("Sigmoid", "Tanh") * directions,
        alphas=(0.0,) * 2 * directions,
        betas=(0.0,) * 2 * directions,
        linear_before_reset=bool(record.number("linearBeforeReset")),
    )
    state = 1 + 5 * directions
    return b.multi(op, x, *parameters, None, n.operand(state) if n.has(state) else None)


def _direction(n: Source, b: Builder, x: Value, given: list[Value]) -> tuple[Value, Value, Value]:
    """The weights of the input, of the state, and the biases, each with an axis for the direction."""
    gates, gate_bias, new, new_bias, recurrent_bias = given
    size, rows = x.type.shape[-1], gates.type.shape[0] if gates.type.rank == 2 else 0
    if not isinstance(size, int) or not isinstance(rows, int) or size >= rows:
        raise n.invalid(f"weights of the type {gates.type} for {x.type}")
    both = b(ops.Unsqueeze(axes=(0,)), b(ops.Transpose(perm=(1, 0)), b(ops.Concat(axis=1), gates, new)))
    weight, recurrence = (
        b(ops.Slice(axes=(2,), starts=(start,), sizes=(stop - start,), steps=(1,)), both)
        for start, stop in ((0, size), (size, rows))
    )
    return weight, recurrence, b(ops.Concat(axis=1), gate_bias, new_bias, recurrent_bias)
