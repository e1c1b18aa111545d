"""MNN rules for recurrent layers; what they do not have becomes a loop."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import LSTM
from mmconvert.ir.ops.recurrent import Recurrent
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

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


def _refuse_extras(node: Node[Recurrent], functions: tuple[str, ...]) -> None:
    op = node.op
    if op.activations != functions * op.directions or op.clip is not None:
        raise UnsupportedError(f"MNN's {op.name} has the gates' usual functions, without limits")
    if node.optional(4) is not None:
        raise UnsupportedError(f"MNN's {op.name} takes sequences of one length")
    if op.direction == "reverse":
        raise UnsupportedError(f"MNN's {op.name} does not go backwards alone")
