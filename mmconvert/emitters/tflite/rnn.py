"""The TFLite rule for simple recurrent layers that its fused operator can run."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.lstm import cut, is_open, last_states, reversed_in_time, rows_of, variable
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import RNN
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_ACTIVATIONS = {"Tanh": tfl.Activation.TANH, "Relu": tfl.Activation.RELU}


@rule(RNN)
def rnn(node: Node[RNN], out: Writer) -> None:
    """One operator for each direction, and before them one that writes the states anew."""
    _require_plain(node)
    op, x, y = node.op, node.operand(0), node.outputs[0]
    time, batch, _ = x.type.shape
    (rows,) = known((batch,), "the batch of an RNN")
    kind = TensorType(dtypes.F32, (rows, op.hidden_size))
    states = [variable(kind, out) for _ in range(op.directions)]
    cut(node.optional(5), states, out)
    made = [
        _direction(node, d, state, x.type.with_shape((time, batch, op.hidden_size)), out)
        for d, state in enumerate(states)
    ]
    if len(made) == 1:
        out.reshape_into(made[0], y)
    else:
        parts = [out.reshape(steps, (time, 1, batch, op.hidden_size)) for steps in made]
        out(tfl.CONCATENATION, parts, y, axis=1)
    if node.outputs[1].uses:
        last_states(node, out)


def _direction(node: Node[RNN], d: int, state: Value, steps: TensorType, out: Writer) -> Value:
    """The states of all steps in one direction."""
    op, x = node.op, node.operand(0)
    hidden = op.hidden_size

    def part(index: int) -> Value:
        tensor = node.operand(index).constant
        assert tensor is not None
        return out.tensor(tensor.rearrange(rows_of(d, 0, hidden), (hidden, tensor.shape[2])))

    bias = np.zeros(hidden, np.float32)
    if (given := node.optional(3)) is not None and given.constant is not None:
        bias = given.constant.numpy()[d].reshape(2, hidden).sum(0)
    backwards = op.direction == "reverse" or d == 1
    made = out.make(
        tfl.UNIDIRECTIONAL_SEQUENCE_RNN,
        [reversed_in_time(x, out) if backwards else x, part(1), part(2), out.constant(bias), state],
        steps,
        time_major=True,
        fused_activation_function=_ACTIVATIONS[op.activations[d]],
    )
    return reversed_in_time(made, out) if backwards else made


def _require_plain(node: Node[RNN]) -> None:
    """
    Raises:
        UnsupportedError: the layer does something that the fused operator does not.
    """
    op, x = node.op, node.operand(0)
    weights = [node.operand(1), node.operand(2), node.optional(3)]
    for reason, holds in (
        ("other than f32", x.type.dtype != dtypes.F32),
        ("with weights that are computed", any(v is not None and v.constant is None for v in weights)),
        ("with lengths", node.optional(4) is not None),
        ("with other activations", not set(op.activations) <= set(_ACTIVATIONS)),
        ("with limits", op.clip is not None),
        ("whose last state is used, over unknown time", bool(node.outputs[1].uses) and is_open(x)),
    ):
        if holds:
            raise UnsupportedError(f"TFLite has no fused RNN {reason}")
