"""MNN rules for recurrent layers; what they do not have becomes a loop."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.mnn.shape import take
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import GRU, LSTM
from mmconvert.ir.ops.recurrent import Recurrent
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor

rule: Rules[type[Op]] = Rules("MNN")


@rule(LSTM)
def lstm(node: Node[LSTM], out: Writer) -> None:
    op, x, weight, recurrence = node.op, node.operand(0), node.operand(1), node.operand(2)
    _refuse_extras(node, ("Sigmoid", "Tanh", "Tanh"))
    if op.input_forget or node.optional(7) is not None:
        raise UnsupportedError("MNN's LSTM has no peepholes and no coupled gates")
    bias, rows = node.optional(3), 4 * op.hidden_size
    if bias is not None and bias.constant is None:
        raise UnsupportedError("MNN's LSTM has a constant bias")
    if bias is None or bias.constant is None:
        total = Tensor.of(np.zeros((op.directions, rows), np.float32))
    else:
        total = bias.constant.map(lambda b: b[:, :rows] + b[:, rows:], shape=(op.directions, rows))
    operands = [x, weight, recurrence, out.tensor(total)]
    states = [node.optional(5), node.optional(6)]
    if any(v is not None for v in states):
        if None in states:
            raise UnsupportedError("MNN's LSTM takes both states or none")
        operands += [v for v in states if v is not None]
    out("LSTM", operands, node.outputs, outputCount=op.hidden_size)


@rule(GRU)
def gru(node: Node[GRU], out: Writer) -> None:
    """Gates in the order of ONNX; rows for the input above those for the state, a column for each gate.

    The last state of MNN 3.6.1 is not that of the second direction, so it is taken from all states.
    """
    op, x, (y, last) = node.op, node.operand(0), node.outputs
    _refuse_extras(node, ("Sigmoid", "Tanh"))
    given = [node.operand(1), node.operand(2), node.optional(3)]
    if any(v is not None and v.constant is None for v in given):
        raise UnsupportedError("MNN's GRU has constant weights")
    constants = [None if v is None else v.constant for v in given]
    operands = [x, *(out.tensor(t) for d in range(op.directions) for t in _direction(op, d, *constants))]
    if (state := node.optional(5)) is not None:
        operands.append(state)
    both = op.direction == "bidirectional"
    unused = Value(last.type, f"{out.scope}/last") if both else last
    out(
        "RNNSequenceGRU",
        operands,
        (y, unused),
        numUnits=op.hidden_size,
        isBidirectionalRNN=both,
        linearBeforeReset=op.linear_before_reset,
        keepAllOutputs=True,
    )
    if both and last.uses:
        _last(y, last, out)


def _direction(op: GRU, d: int, *given: Tensor | None) -> list[Tensor]:
    """Matrix and bias of both gates, those of the new state, and the biases that the state has for all."""
    gates, size = 2 * op.hidden_size, 3 * op.hidden_size
    *matrices, bias = given
    kernels = [t for t in matrices if t is not None]
    rows = sum(t.shape[2] for t in kernels)
    biases = np.zeros(2 * size, np.float32) if bias is None else bias.numpy()[d]

    def matrix(start: int, stop: int) -> Tensor:
        def load() -> Array:
            return np.concatenate([t.numpy()[d, start:stop] for t in kernels], axis=1).T

        return Tensor(dtypes.F32, (rows, stop - start), load)

    def vector(start: int, stop: int) -> Tensor:
        return Tensor.of(biases[None, start:stop])

    return [
        *(matrix(0, gates), vector(0, gates)),
        *(matrix(gates, size), vector(gates, size)),
        vector(size, 2 * size),
    ]


def _last(y: Value, last: Value, out: Writer) -> None:
    """The last step of the first direction, and the first of the second."""
    time, _, batch, hidden = y.type.shape
    parts = []
    for d, step in enumerate((time - 1, 0)):
        part = Value(last.type.with_shape((1, 1, batch, hidden)), f"{out.scope}/last")
        take(out, y, (0, 1), (step, d), (1, 1), (1, 1), part)
        parts.append(out.reshape(part, (1, batch, hidden)))
    out("Concat", parts, last, axis=0)


def _refuse_extras(node: Node[Recurrent], functions: tuple[str, ...]) -> None:
    op = node.op
    if op.activations != functions * op.directions or op.clip is not None:
        raise UnsupportedError(f"MNN's {op.name} has the gates' usual functions, without limits")
    if node.optional(4) is not None:
        raise UnsupportedError(f"MNN's {op.name} takes sequences of one length")
    if op.direction == "reverse":
        raise UnsupportedError(f"MNN's {op.name} does not go backwards alone")
