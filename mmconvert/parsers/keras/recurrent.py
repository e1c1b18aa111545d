"""Recurrent layers: a cell along a sequence, in one of the IR's operators or as a Scan."""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.ops import Fill, Reverse, Scan, Slice, Squeeze, Unsqueeze, Where
from mmconvert.ir.types import TensorType
from mmconvert.parsers.keras.cells import CELLS, Cell
from mmconvert.parsers.keras.convlstm import ConvLstmCell
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.source import container, leaves, unique
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_CONV = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_LAYERS = {"SimpleRNN": "SimpleRNNCell", "GRU": "GRUCell", "LSTM": "LSTMCell"}
_PART_NAMES = {"SimpleRNNCell": "simple_rnn_cell", "GRUCell": "gru_cell", "LSTMCell": "lstm_cell"}


@dataclass(frozen=True)
class Result:
    """What a sequence gave.

    Attributes:
        outputs: of every step in order of time, [batch, time, ...].
        last: the output of the step that came last.
        state: what is left.
    """

    outputs: Value
    last: Value
    state: list[Value]


@rule(*_LAYERS, *_CONV, "RNN")
def recurrent(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    """A layer that runs each call from its initial state, or from where the call before it has ended."""
    if not layer.inputs:
        raise layer.invalid("the layer is called on nothing")
    mask = layer.masks[0]
    result = run(layer, b, layer.inputs[0], mask, initial_state(layer))
    sequences, state = layer.flag("return_sequences", False), layer.flag("return_state", False)
    if sequences:
        layer.mask = mask
    output = in_order(layer, b, result.outputs) if sequences else result.last
    return (output, *result.state) if state else (output,)


def initial_state(layer: KerasLayer) -> list[Value]:
    """The tensors of the state that the layer is called with, behind its input or by name."""
    named = leaves(layer.argument(1, "initial_state"))
    given = [value for value in named if isinstance(value, Value)]
    return [layer.cast(value, layer.dtype) for value in given or layer.inputs[1:]]


def in_order(layer: KerasLayer, b: Builder, outputs: Value) -> Value:
    """``outputs`` in the order in which the layer makes them."""
    return b(Reverse(axes=(1,)), outputs) if layer.flag("go_backwards", False) else outputs


def run(layer: KerasLayer, b: Builder, x: Value, mask: Value | None, initial: list[Value]) -> Result:
    """The cells of a recurrent layer along ``x``, one after the other.

    Raises:
        UnsupportedError: a cell is not one of Keras's own.
    """
    layer.ignore("unroll", "use_cudnn", "seed", "input_length", "input_dim")
    if layer.flag("time_major", False):
        raise layer.refuse("time_major", "transpose the input, and leave the setting out")
    if mask is not None:
        mask = layer.cast(mask, dtypes.BOOL)
    backwards, zero = layer.flag("go_backwards", False), layer.flag("zero_output_for_mask", False)
    stateful, place = layer.flag("stateful", False), "/".join(layer.record.trail)
    parts = _cells(layer)
    result = None
    state: list[Value] = []
    for index, part in enumerate(parts):
        cell = _cell(part, x)
        mine, initial = initial[: len(cell.state)], initial[len(cell.state) :]
        if mine and len(mine) != len(cell.state):
            raise layer.invalid(f"the state consists of {len(cell.state)} tensors, not {len(mine)}")
        kept = [f"{place}/state_{len(state) + i}" for i in range(len(cell.state))] if stateful else []
        if not mine:
            mine = [layer.host.kept.read(name, type) for name, type in zip(kept, cell.state, strict=False)]
        result = _along(cell, b, x, mask, mine, backwards, zero and index == len(parts) - 1)
        for name, value in zip(kept, result.state, strict=False):
            layer.host.kept.write(name, value)
        x = result.outputs
        state += result.state
    if result is None or initial:
        raise layer.invalid("the initial state does not fit the cells")
    return Result(result.outputs, result.last, state)


def _cells(layer: KerasLayer) -> list[KerasLayer]:
    if layer.kind in _LAYERS:
        kind = _LAYERS[layer.kind]
        return [layer.part(kind, _PART_NAMES[kind], "cell/")]
    if layer.kind in _CONV:
        return [layer.part(layer.kind, "conv_lstm_cell", "cell/")]
    return _flattened(layer.inner(layer.setting("cell"), "cell/"))


def _flattened(cell: KerasLayer) -> list[KerasLayer]:
    """The cells of a stack, whose variables are counted by class like those of layers."""
    if cell.kind != "StackedRNNCells":
        return [cell]
    items = cell.setting("cells")
    if not isinstance(items, list):
        raise cell.invalid("the cells are not a list")
    counts: dict[str, int] = {}
    found = []
    for item in items:
        kind = str(item.get("class_name")) if isinstance(item, dict) else ""
        name = unique(container(kind), counts)
        found += _flattened(cell.inner(item, f"cells/{name}/"))
    cell.finish()
    return found


def _cell(part: KerasLayer, x: Value) -> Cell:
    if part.kind in _CONV:
        return ConvLstmCell(part, x)
    if part.kind not in CELLS or part.record.is_custom:
        raise part.refuse("a cell that is not one of Keras's own", "use LSTMCell, GRUCell or SimpleRNNCell")
    return CELLS[part.kind](part, x)


def _along(
    cell: Cell, b: Builder, x: Value, mask: Value | None, initial: list[Value], backwards: bool, zero: bool
) -> Result:
    if mask is None:
        fused = cell.fused(b, x, "reverse" if backwards else "forward", initial)
        if fused is not None:
            outputs, state = fused
            return Result(outputs, state[0], state)
    start = initial or [b(Fill(shape=t.shape, value=0.0, dtype=t.dtype)) for t in cell.state]
    outputs, state = _scan(cell, b, x, mask, start, backwards, zero, held=not initial)
    if mask is None:
        return Result(outputs, state[0], state)
    end = 0 if backwards else x.type.shape[1] - 1
    last = b(Slice(axes=(1,), starts=(end,), sizes=(1,), steps=(1,)), outputs)
    return Result(outputs, b(Squeeze(axes=(1,)), last), state)


def _scan(
    cell: Cell,
    b: Builder,
    x: Value,
    mask: Value | None,
    start: list[Value],
    backwards: bool,
    zero: bool,
    *,
    held: bool,
) -> tuple[Value, list[Value]]:
    """The steps one by one.

    Where the mask is false a step leaves the state, and gives the output of the step before it (zeros at
    first), or zeros when ``zero``. That output is the state itself where that began with zeros (``held``).
    """
    sequences = [cell.project(b, x)] + ([] if mask is None else [mask])
    carried = list(start)
    if mask is not None and not zero and not held:
        carried.append(b(Fill(shape=start[0].type.shape, value=0.0, dtype=start[0].type.dtype)))
    body = Graph("step")
    inner = Builder(body, origin=b.origin)
    state = [body.input(f"state_{i}", value.type) for i, value in enumerate(carried)]
    slices = [body.input(f"step_{i}", _without_time(value.type)) for i, value in enumerate(sequences)]
    before = state[: len(start)]
    after = cell.step(cell.layer.within(inner), slices[0], before)
    output = after[0]
    if mask is not None:
        alive = _spread(inner, slices[1], output)
        after = [inner(Where(), alive, new, old) for new, old in zip(after, before, strict=True)]
        if zero:
            nothing = inner(Fill(shape=output.type.shape, value=0.0, dtype=output.type.dtype))
            output = inner(Where(), alive, output, nothing)
        elif held:
            output = after[0]
        else:
            output = inner(Where(), alive, output, state[-1])
            after.append(output)
    body.set_outputs([*after, output], [*(f"next_{i}" for i in range(len(after))), "output"])
    op = Scan(
        body=body,
        carried=len(carried),
        axes=(1,) * len(sequences),
        reverse=(backwards,) * len(sequences),
        output_axes=(1,),
        output_reverse=(backwards,),
    )
    results = b.multi(op, *carried, *sequences)
    return results[-1], list(results[: len(start)])


def _without_time(type: TensorType) -> TensorType:
    return type.with_shape((type.shape[0], *type.shape[2:]))


def _spread(b: Builder, flags: Value, output: Value) -> Value:
    """``flags`` [batch] with as many axes as ``output``."""
    return b(Unsqueeze(axes=tuple(range(1, output.type.rank))), flags)
