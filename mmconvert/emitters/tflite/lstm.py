"""The TFLite rule for LSTM layers that its fused operators can run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.fused import read_after
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import LSTM, RNN
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[type[Op]] = Rules("TFLite")

_GATES = (0, 2, 3, 1)
"""Where TFLite's gates (input, forget, cell, output) stand among those of the layer."""

_PEEPHOLES = (0, 2, 1)
"""Where TFLite's peepholes (input, forget, output) stand among those of the layer."""


@rule(LSTM)
def lstm(node: Node[LSTM], out: Writer) -> None:
    """One operator, and before it one that writes its state: by itself it goes on from the run before."""
    _require_plain(node)
    op, x, y = node.op, node.operand(0), node.outputs[0]
    time, batch, _ = x.type.shape
    states = _states(node, out)
    cells = [operand for d in range(op.directions) for operand in _cell(node, d, out)]
    options = {"fused_activation_function": tfl.Activation.TANH, "time_major": True}
    steps = x.type.with_shape((time, batch, op.directions * op.hidden_size))
    if op.direction == "bidirectional":
        extra = [None] * 9  # another input, and its weights
        made = out.make(
            tfl.BIDIRECTIONAL_SEQUENCE_LSTM,
            [x, *cells, *states, *extra],
            steps,
            merge_outputs=True,
            **options,
        )
        if batch == 1:
            out.reshape_into(made, y)
        else:
            apart = out.reshape(made, (time, batch, 2, op.hidden_size))
            out.transpose_into(apart, (0, 2, 1, 3), y)
    else:
        norms = [None] * 4
        backwards = op.direction == "reverse"
        x = reversed_in_time(x, out) if backwards else x
        made = out.make(tfl.UNIDIRECTIONAL_SEQUENCE_LSTM, [x, *cells, *states, *norms], steps, **options)
        out.reshape_into(reversed_in_time(made, out) if backwards else made, y)
    if node.outputs[1].uses:
        last_states(node, out)
    if node.outputs[2].uses:
        _last_cells(node, states[1::2], made, out)


def _last_cells(node: Node[LSTM], cells: list[Value], made: Value, out: Writer) -> None:
    """The last cell of each direction: what the operator that made ``made`` left in its state."""
    last = node.outputs[2]
    rows = [Value(cell.type, f"{out.scope}/last") for cell in cells]
    for cell, row in zip(cells, rows, strict=True):
        read_after(cell, made, row, out)
    both = rows[0]
    if len(rows) > 1:
        extents = (len(rows) * rows[0].type.static_shape[0], *rows[0].type.shape[1:])
        both = out.make(tfl.CONCATENATION, rows, last.type.with_shape(extents), axis=0)
    out.reshape_into(both, last)


def _require_plain(node: Node[LSTM]) -> None:
    """
    Raises:
        UnsupportedError: the layer does something that the fused operators do not.
    """
    op, x = node.op, node.operand(0)
    weights = [node.operand(1), node.operand(2), node.optional(3), node.optional(7)]
    for reason, holds in (
        ("other than f32", x.type.dtype != dtypes.F32),
        ("with weights that are computed", any(v is not None and v.constant is None for v in weights)),
        ("with lengths", node.optional(4) is not None),
        ("with other activations", op.activations != ("Sigmoid", "Tanh", "Tanh") * op.directions),
        ("with limits or coupled gates", op.clip is not None or op.input_forget),
        ("whose last state is used, over unknown time", bool(node.outputs[1].uses) and is_open(x)),
    ):
        if holds:
            raise UnsupportedError(f"TFLite has no fused LSTM {reason}")


def is_open(x: Value) -> bool:
    """True when the number of steps is not known."""
    return not isinstance(x.type.shape[0], int)


def _cell(node: Node[LSTM], d: int, out: Writer) -> list[Value | None]:
    """The weights, peepholes, biases and (none) projection of one direction, in the operator's order."""
    hidden = node.op.hidden_size

    def part(index: int, place: int, count: int) -> Value | None:
        """Part ``place`` of an operand, of which each direction has ``count`` of ``hidden`` rows."""
        value = node.optional(index)
        if value is None:
            return None
        assert value.constant is not None
        shape = (hidden, *value.constant.shape[2:])
        return out.tensor(value.constant.rearrange(rows_of(d, place * hidden, hidden), shape))

    def bias(place: int) -> Value:
        """What is added to a gate: beside the input and beside the state."""
        halves = [part(3, place, 8), part(3, place + 4, 8)]
        arrays = [v.constant.numpy() for v in halves if v is not None and v.constant is not None]
        return out.constant(sum(arrays) if arrays else np.zeros(hidden), dtypes.F32)

    weights = [part(index, place, 4) for index in (1, 2) for place in _GATES]
    peepholes = [part(7, place, 3) for place in _PEEPHOLES]
    return [*weights, *peepholes, *map(bias, _GATES), None, None]


def rows_of(d: int, start: int, count: int) -> Callable[[Array], Array]:
    """Takes some rows of the weights of direction ``d``."""
    return lambda array: array[d, start : start + count]


def _states(node: Node[LSTM], out: Writer) -> list[Value]:
    """The state and the cell of each direction, [batch, hidden], made anew at each run."""
    op, (batch,) = node.op, known(node.operand(0).type.shape[1:2], "the batch of an LSTM")
    type = TensorType(dtypes.F32, (batch, op.hidden_size))
    made = [[variable(type, out) for _ in range(op.directions)] for _ in ("state", "cell")]
    initial = [node.optional(5), node.optional(6)]
    if initial == [None, None]:
        cut(None, [v for kind in made for v in kind], out)
    else:
        for start, kind in zip(initial, made, strict=True):
            cut(start, kind, out)
    return [kind[d] for d in range(op.directions) for kind in made]


def variable(type: TensorType, out: Writer) -> Value:
    """A state, which a runtime keeps from one run to the next."""
    value = Value(type, f"{out.scope}/state")
    out.tensors[out.index(value)].values["is_variable"] = True
    return value


def cut(start: Value | None, parts: list[Value], out: Writer) -> None:
    """Writes ``start``, or zeros, to tensors of as many rows each."""
    rows, columns = parts[0].type.static_shape
    whole = (len(parts) * rows, columns)
    source = out.constant(np.zeros(whole, np.float32)) if start is None else out.reshape(start, whole)
    out(tfl.SPLIT, (out.constant(0, dtypes.I32), source), parts, num_splits=len(parts))


def reversed_in_time(x: Value, out: Writer) -> Value:
    """``x`` with its last step first."""
    return out.make(tfl.REVERSE_V2, (x, out.integers((0,))), x.type)


def last_states(node: Node[LSTM] | Node[RNN], out: Writer) -> None:
    """The last state of each direction: that of the first step where time runs backwards."""
    y, state, op = node.outputs[0], node.outputs[1], node.op
    time, directions, *rest = known(y.type.shape, "the extents of a recurrent layer")
    backwards = [op.direction == "reverse", True][:directions]
    rows = [
        out.make(
            tfl.SLICE,
            (y, out.integers((0 if backward else time - 1, d, 0, 0)), out.integers((1, 1, *rest))),
            y.type.with_shape((1, 1, *rest)),
        )
        for d, backward in enumerate(backwards)
    ]
    whole = y.type.with_shape((1, directions, *rest))
    both = rows[0] if directions == 1 else out.make(tfl.CONCATENATION, rows, whole, axis=1)
    out.reshape_into(both, state)
