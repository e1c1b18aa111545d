"""TFLite rules for recurrent layers. Their state is what variable tensors hold, here inputs and outputs.

Gates have matrices of their own, in the order input, forget, cell, output. A layer that is an LSTM as the IR
has it becomes one; with a projection, normalized gates, a limited cell or quantized state it becomes a Scan
over one step (``steps``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.activation import FUSED, activated
from mmconvert.parsers.tflite.fused import fused
from mmconvert.parsers.tflite.quantization import ONCE, Arithmetic, dequantized, guard_bits, quantized
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.steps import (
    GATE,
    Cell,
    Hybrid,
    fixed_point_grid,
    quantized_floats,
    scanned,
    scanned_rnn,
)
from mmconvert.parsers.tflite.tensors import Quantization
from mmconvert.parsers.tflite.weights import is_hybrid, product
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

_NAMES = {"NONE": "Affine", "RELU": "Relu", "TANH": "Tanh"}
_PARAMETERS = {"NONE": 1.0}
_IFCO_TO_IOFC = (0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Places:
    """Which operands belong to one direction of an LSTM; -1 for what the operator does not have.

    Attributes:
        weights: the first of four matrices over the input.
        recurrence: the first of four over the state.
        peephole: the first of three vectors over the cell, for input, forget and output.
        bias: the first of four.
        projection: the matrix from cell to state; its bias follows.
        state: what it gave last.
        cell: what it remembers.
        norm: the first of four vectors that scale normalized gates.
    """

    weights: int
    recurrence: int
    peephole: int
    bias: int
    projection: int
    state: int
    cell: int
    norm: int = -1


_UNIDIRECTIONAL = Places(1, 5, 9, 12, 16, 18, 19, 20)
_FORWARD = Places(1, 5, 9, 12, 16, 35, 36)
_BACKWARD = Places(18, 22, 26, 29, 33, 37, 38)


def _state(n: Source, index: int) -> Value:
    """The real numbers of a state; it has to be one that the file keeps, or makes."""
    if not n.has(index):
        raise n.invalid(f"operand {index}, its state, is missing")
    return n.operand(index)


def _keep(n: Source, b: Builder, index: int, value: Value, arithmetic: Arithmetic = ONCE) -> None:
    """Notes what a state is after the operator."""
    record, q = n.record(index), n.quantization(index)
    if not record.is_variable or n.context.variables is None:
        return
    stored = quantized(b, value, q, record.dtype, arithmetic) if q is not None else value
    tensor, variables = n.input(index), n.context.variables
    variables.assign(variables.key(n.context.number, tensor, record), stored)
    n.context.values[tensor] = stored
    n.context.reals.pop(tensor, None)


def _time_first(b: Builder, x: Value, time_major: bool) -> Value:
    return x if time_major else b(ops.Transpose(perm=(1, 0, *range(2, x.type.rank))), x)


def _cell(
    n: Source, places: Places, cell_clip: float, projection_clip: float, activation: str, hybrid: Hybrid
) -> Cell:
    def optional(first: int, offset: int) -> Value | None:
        return n.optional(first + offset) if first >= 0 else None

    if activation not in ("NONE", *FUSED):
        raise n.unsupported(f"with the activation {activation}")
    return Cell(
        weights=[optional(places.weights, i) for i in range(4)],
        recurrence=[optional(places.recurrence, i) for i in range(4)],
        peephole=[optional(places.peephole, i) for i in range(3)],
        bias=[_gate_bias(n, places, i) for i in range(4)],
        projection=optional(places.projection, 0),
        projection_bias=optional(places.projection, 1),
        norm=[optional(places.norm, i) for i in range(4)],
        activation=activation,
        cell_clip=cell_clip,
        projection_clip=projection_clip,
        state_type=(n.quantization(places.state), n.stored(places.state).type.dtype),
        made_type=_made_type(n, places),
        cell_type=(n.quantization(places.cell), n.stored(places.cell).type.dtype),
        hybrid=hybrid,
        arithmetic=[
            (
                _product_arithmetic(n, (0, places.weights + gate), fixed_point_grid(GATE)),
                _product_arithmetic(n, (places.state, places.recurrence + gate), fixed_point_grid(GATE)),
            )
            for gate in range(4)
        ],
        projecting=_product(
            _made_type(n, places)[0],
            n.quantization(places.projection) if n.has(places.projection) else None,
            n.quantization(places.state),
        ),
    )


def _hybrid(n: Source, weights: int) -> Hybrid:
    """How the kernels quantize the floats that they multiply with operand ``weights``."""
    asymmetric = n.flag("asymmetric_quantize_inputs")
    if not is_hybrid(n, weights):
        return ""
    return "asymmetric" if asymmetric else "symmetric"


def _product_arithmetic(n: Source, operands: tuple[int, int], result: Quantization | None) -> Arithmetic:
    """How products of the integers of two operands become those of ``result``."""
    x, y = (n.quantization(index) if n.has(index) else None for index in operands)
    return _product(x, y, result)


def _product(x: Quantization | None, y: Quantization | None, result: Quantization | None) -> Arithmetic:
    if x is None or y is None or result is None or not (x.scale * y.scale).all() or not result.scale.all():
        return ONCE
    return Arithmetic("half_away", guard_bits(np.float64(x.scale) * np.float64(y.scale) / result.scale))


def _made_type(n: Source, places: Places) -> tuple[Quantization | None, DType]:
    """How the gates' product is stored: like the last inner result that the file describes, or the state."""
    state, dtype = n.quantization(places.state), n.stored(places.state).type.dtype
    inner = n.operator.intermediates
    if state is None or len(inner) < 5 or inner[4] < 0:
        return state, dtype
    return n.context.subgraph.tensors[inner[4]].quantization or state, dtype


def _gate_bias(n: Source, places: Places, gate: int) -> Value | None:
    index = places.bias + gate
    if not n.has(index):
        return None
    stored, x, w = n.stored(index), n.quantization(0), n.quantization(places.weights + gate)
    if dtypes.is_float(stored.type.dtype) or n.quantization(index) is not None or x is None or w is None:
        return n.operand(index)
    return dequantized(n.builder, stored, product(x, w))


def _lstm(n: Source, b: Builder, x: Value, places: Places, cell: Cell, reverse: bool) -> Value:
    """The states of all steps, [time, batch, size]; the last state and cell are kept."""
    h, c = _state(n, places.state), _state(n, places.cell)
    if cell.is_plain:
        y, last_h, last_c = _plain(b, x, cell, h, c, reverse)
    else:
        y, last_h, last_c = scanned(b, x, cell, h, c, reverse)
    _keep(n, b, places.state, last_h)
    _keep(n, b, places.cell, last_c)
    return y


def _plain(b: Builder, x: Value, cell: Cell, h: Value, c: Value, reverse: bool) -> tuple[Value, Value, Value]:
    """An LSTM as the IR has it; a missing input gate is one minus the forget gate."""
    weights, recurrence = (_stacked(b, part) for part in (cell.weights, cell.recurrence))
    biases = [_zeros_for(v, cell, i) for i, v in enumerate(cell.bias)]
    whole = b(ops.Concat(axis=0), *(biases[i] for i in _IFCO_TO_IOFC))
    bias = b(ops.Concat(axis=0), whole, np.zeros(whole.type.static_shape, np.float32))
    peephole = None
    if cell.peephole[1] is not None:
        p = cell.peephole
        first = p[0] if p[0] is not None else p[1]
        peephole = b(ops.Unsqueeze(axes=(0,)), b(ops.Concat(axis=0), first, p[2], p[1]))
    direction: Literal["forward", "reverse"] = "reverse" if reverse else "forward"
    size = h.type.static_shape[1]
    op = ops.LSTM(
        hidden_size=size,
        direction=direction,
        activations=("Sigmoid", "Tanh", "Tanh"),
        alphas=(0.0,) * 3,
        betas=(0.0,) * 3,
    )
    operands = [b(ops.Unsqueeze(axes=(0,)), v) for v in (weights, recurrence, bias)]
    states = [b(ops.Unsqueeze(axes=(0,)), v) for v in (h, c)]
    y, last_h, last_c = b.multi(op, x, *operands, None, *states, peephole)
    return tuple(b(ops.Squeeze(axes=(axis,)), v) for v, axis in ((y, 1), (last_h, 0), (last_c, 0)))  # type: ignore[return-value]


def _stacked(b: Builder, parts: list[Value | None]) -> Value:
    return b(ops.Concat(axis=0), *(parts[i] for i in _IFCO_TO_IOFC))


def _zeros_for(
    bias: Value | None, cell: Cell, gate: int
) -> Value | np.ndarray[tuple[int], np.dtype[np.float32]]:
    if bias is not None:
        return bias
    matrix = cell.weights[gate]
    assert matrix is not None
    return np.zeros(matrix.type.static_shape[:1], np.float32)


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM")
@fused
def unidirectional_lstm(n: Source, b: Builder) -> Value:
    hybrid = _hybrid(n, 2)
    if n.flag("diagonal_recurrent_tensors"):
        raise n.unsupported("with diagonal recurrent weights")
    cell = _cell(n, _UNIDIRECTIONAL, n.real("cell_clip"), n.real("proj_clip"), _activation(n), hybrid)
    time_major = n.flag("time_major")
    x = _time_first(b, n.operand(0), time_major)
    return _time_first(b, _lstm(n, b, x, _UNIDIRECTIONAL, cell, reverse=False), time_major)


@rule("BIDIRECTIONAL_SEQUENCE_LSTM")
@fused
def bidirectional_lstm(n: Source, b: Builder) -> tuple[Value, ...]:
    hybrid = _hybrid(n, 2)
    if n.has(39):
        raise n.unsupported("with an auxiliary input")
    clips, activation, time_major = (
        (n.real("cell_clip"), n.real("proj_clip")),
        _activation(n),
        n.flag("time_major"),
    )
    x = _time_first(b, n.operand(0), time_major)
    found = []
    for places, reverse in ((_FORWARD, False), (_BACKWARD, True)):
        y = _lstm(n, b, x, places, _cell(n, places, *clips, activation, hybrid), reverse)
        found.append(_time_first(b, y, time_major))
    return (b(ops.Concat(axis=2), *found),) if n.flag("merge_outputs") else tuple(found)


def _activation(n: Source) -> str:
    return n.choice("fused_activation_function", "NONE", *FUSED, "SIGN_BIT")


@rule("LSTM")
@fused
def lstm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    hybrid = _hybrid(n, 2)
    if n.choice("kernel_type", "FULL", "BASIC") == "BASIC":
        return _basic(n, b)
    cell = _cell(n, _UNIDIRECTIONAL, n.real("cell_clip"), n.real("proj_clip"), _activation(n), hybrid)
    x = b(ops.Unsqueeze(axes=(0,)), n.operand(0))
    y = b(ops.Squeeze(axes=(0,)), _lstm(n, b, x, _UNIDIRECTIONAL, cell, reverse=False))
    return (*(None for _ in n.outputs[:-1]), y)


def _basic(n: Source, b: Builder) -> tuple[Value | None, ...]:
    """One matrix over input and state, gates in the order input, cell, forget, output."""
    n.ignore("fused_activation_function", "cell_clip", "proj_clip")  # the kernel has the tanh, and no limits
    x, h, matrix, bias, c = (n.operand(i) for i in range(5))
    gates = b(ops.MatMul(), b(ops.Concat(axis=1), x, h), b(ops.Transpose(perm=(1, 0)), matrix))
    size = c.type.static_shape[1]
    i, g, f, o = b.multi(ops.Split(axis=1, sizes=(size,) * 4), b(ops.Add(), gates, bias))
    kept = b(ops.Mul(), b(ops.Sigmoid(), f), c)
    cell = b(ops.Add(), kept, b(ops.Mul(), b(ops.Sigmoid(), i), b(ops.Tanh(), g)))
    return (b(ops.Mul(), b(ops.Sigmoid(), o), b(ops.Tanh(), cell)), cell, *(None for _ in n.outputs[2:]))


def _rnn(
    n: Source, b: Builder, x: Value, first: int, activation: str, hybrid: Hybrid, reverse: bool
) -> Value:
    """The states of all steps; operands from ``first`` on are weights, recurrence, bias, state."""
    if activation not in _NAMES:
        raise n.unsupported(f"with the activation {activation}")
    h, matrix = _state(n, first + 3), n.operand(first)
    if hybrid:
        parameters = (matrix, n.operand(first + 1), n.operand(first + 2))
        y, last = scanned_rnn(b, x, parameters, h, activation, hybrid, reverse)
        _keep(n, b, first + 3, last)
        return y
    size = matrix.type.require_rank(2).static_shape[0]
    bias = b(ops.Concat(axis=0), n.operand(first + 2), np.zeros(size, np.float32))
    op = ops.RNN(
        hidden_size=size,
        direction="reverse" if reverse else "forward",
        activations=(_NAMES[activation],),
        alphas=(_PARAMETERS.get(activation, 0.0),),
        betas=(0.0,),
    )
    operands = [b(ops.Unsqueeze(axes=(0,)), v) for v in (matrix, n.operand(first + 1), bias)]
    y, last = b.multi(op, x, *operands, None, b(ops.Unsqueeze(axes=(0,)), h))
    _keep(n, b, first + 3, b(ops.Squeeze(axes=(0,)), last))
    return b(ops.Squeeze(axes=(1,)), y)


@rule("RNN")
@fused
def rnn(n: Source, b: Builder) -> Value:
    hybrid = _hybrid(n, 1)
    x = b(ops.Unsqueeze(axes=(0,)), n.operand(0))
    return b(ops.Squeeze(axes=(0,)), _rnn(n, b, x, 1, _activation(n), hybrid, reverse=False))


@rule("UNIDIRECTIONAL_SEQUENCE_RNN")
@fused
def unidirectional_rnn(n: Source, b: Builder) -> Value:
    hybrid = _hybrid(n, 1)
    time_major = n.flag("time_major")
    x = _time_first(b, n.operand(0), time_major)
    return _time_first(b, _rnn(n, b, x, 1, _activation(n), hybrid, reverse=False), time_major)


@rule("BIDIRECTIONAL_SEQUENCE_RNN")
@fused
def bidirectional_rnn(n: Source, b: Builder) -> tuple[Value, ...]:
    hybrid = _hybrid(n, 1)
    if n.has(9):
        raise n.unsupported("with an auxiliary input")
    time_major, activation = n.flag("time_major"), _activation(n)
    x = _time_first(b, n.operand(0), time_major)
    found = [
        _time_first(b, _rnn(n, b, x, first, activation, hybrid, reverse), time_major)
        for first, reverse in ((1, False), (5, True))
    ]
    return (b(ops.Concat(axis=2), *found),) if n.flag("merge_outputs") else tuple(found)


@rule("SVDF")
@fused
def svdf(n: Source, b: Builder) -> Value:
    """Filters of rank ``rank``: each remembers what it saw, and weighs it over time.

    Nakkiran and others, "Compressing deep neural networks using a rank-constrained topology", 2015.
    """
    hybrid = _hybrid(n, 1)
    (rank,) = n.positive("rank")
    x, feature, time = (n.operand(i) for i in range(3))
    filters, memory = time.type.require_rank(2).static_shape
    batch = x.type.require_rank(2).shape[0]
    if filters % rank:
        raise n.invalid(f"{filters} filters of rank {rank}")
    newest = b(ops.MatMul(), quantized_floats(b, x, hybrid), b(ops.Transpose(perm=(1, 0)), feature))
    old = b(ops.Reshape(shape=(batch, filters, memory)), n.operand(4))
    kept = b(ops.Slice(axes=(2,), starts=(1,), sizes=(memory - 1,), steps=(1,)), old)
    state = b(ops.Concat(axis=2), kept, b(ops.Unsqueeze(axes=(2,)), newest))
    how = _product_arithmetic(n, (0, 1), n.quantization(4))
    _keep(n, b, 4, b(ops.Reshape(shape=(batch, filters * memory)), state), how)
    if n.quantization(4) is not None:
        state = b(ops.Reshape(shape=(batch, filters, memory)), n.operand(4))
    weighed = b(ops.ReduceSum(axes=(2,), keepdims=False), b(ops.Mul(), state, time))
    ranks = b(ops.Reshape(shape=(batch, filters // rank, rank)), weighed)
    y = b(ops.ReduceSum(axes=(2,), keepdims=False), ranks)
    y = y if not n.has(3) else b(ops.Add(), y, n.operand(3))
    if n.quantization(4) is None:
        return activated(n, b, y)
    n.choice("fused_activation_function", "NONE", "RELU")  # the range of the result is what limits it
    n.multiplies(4, 2)
    return y
