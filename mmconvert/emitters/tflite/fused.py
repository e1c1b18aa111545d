"""The TFLite rule for fused operators over integers that were read from a TFLite file."""

from __future__ import annotations

from collections.abc import Mapping

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.grid import Grid, of_composite, of_numbers
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Composite
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

BUILTINS = {
    f"tflite.{builtin.name}": builtin
    for builtin in (
        tfl.LSTM,
        tfl.UNIDIRECTIONAL_SEQUENCE_LSTM,
        tfl.BIDIRECTIONAL_SEQUENCE_LSTM,
        tfl.RNN,
        tfl.UNIDIRECTIONAL_SEQUENCE_RNN,
        tfl.BIDIRECTIONAL_SEQUENCE_RNN,
        tfl.SVDF,
        tfl.L2_NORMALIZATION,
        tfl.LOGISTIC,
        tfl.SQUARED_DIFFERENCE,
        tfl.TANH,
    )
}


@rule(Composite)
def composite(node: Node[Composite], out: Writer) -> None:
    """The operator as it was. Its states are written before it, and read after it."""
    op = node.op
    builtin = BUILTINS.get(op.kind)
    if builtin is None:
        raise UnsupportedError(f"TFLite has no {op.kind}")
    grids = of_composite(node)
    inputs = [_described(v, grids, out) for v in node.inputs]
    count = len(node.outputs) - len(op.states)
    results, after = node.outputs[:count], node.outputs[count:]
    made = [_described(v, grids, out) for v in results]
    for index in op.states:
        inputs[index] = _variable(inputs[index], out)
    operands = [None if index < 0 else inputs[index] for index in op.operands]
    inner = [_inner(scale, zero, out) for scale, zero in op.inner]
    out.emit(builtin, operands, made, dict(map(_option, op.options)), inner)
    for index, value in zip(op.states, after, strict=True):
        read_after(inputs[index], made[0], value, out)


def _described(value: Value | None, grids: Mapping[Value, Grid], out: Writer) -> Value:
    """An operand or result as a tensor that says what its integers mean."""
    assert value is not None, "a Composite leaves no operand out"
    grid = grids.get(value)
    if grid is None:
        return value
    if value.constant is None:
        return out.on_grid(value, grid)
    own = Value(value.type, value.name, constant=value.constant)
    out.grids[own] = grid
    return own


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value) if "." in value or "e" in value else int(value)


def _like(value: Value, name: str, out: Writer) -> Value:
    """A new tensor over the same numbers."""
    made = Value(value.type, name)
    if value in out.grids:
        out.grids[made] = out.grids[value]
    return made


def _variable(start: Value, out: Writer) -> Value:
    """A tensor that the operator may change, which holds ``start`` before it."""
    made = _like(start, f"{out.scope}/state", out)
    out.tensors[out.index(made)].values["is_variable"] = True
    out.emit(tfl.SPLIT, (out.constant(0, dtypes.I32), start), (made,), {"num_splits": 1})
    return made


def _inner(scale: float, zero: int, out: Writer) -> int:
    """A tensor that holds nothing: it only says what an inner result is stored with."""
    value = Value(TensorType(dtypes.I16 if scale else dtypes.F32, (0,)), f"{out.scope}/inner")
    if scale:
        out.grids[value] = of_numbers(scale, zero)
    return out.index(value)


def read_after(state: Value, made: Value, result: Value, out: Writer) -> None:
    """``result`` as what ``state`` is by now.

    A delegate may run operators before others that they do not depend on, so reading depends on what the
    operator made: both choices are the same.
    """
    rank = made.type.rank
    zeros, ones = (out.integers([number] * rank) for number in (0, 1))
    first = Value(made.type.with_shape((1,) * rank), f"{out.scope}/first")
    if made in out.grids:
        out.grids[first] = out.grids[made]
    out.emit(tfl.SLICE, (made, zeros, ones), (first,), {})
    flag = Value(TensorType(dtypes.BOOL, (1,) * rank), f"{out.scope}/done")
    out.emit(tfl.EQUAL, (first, first), (flag,), {})
    one = Value(TensorType(dtypes.BOOL, (1,) * state.type.rank), f"{out.scope}/after")
    out.reshape_into(flag, one)
    if state in out.grids:
        out.grids.setdefault(result, out.grids[state])
    out.emit(tfl.SELECT_V2, (one, state, state), (result,), {})
