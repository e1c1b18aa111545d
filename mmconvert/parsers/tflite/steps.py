"""An LSTM in all the forms that TFLite has, as a Scan over one step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.parsers.tflite import fixed_point
from mmconvert.parsers.tflite.activation import FUSED
from mmconvert.parsers.tflite.quantization import ONCE, Arithmetic, dequantized, looked_up, quantized
from mmconvert.parsers.tflite.tensors import Quantization
from mmconvert.parsers.tflite.weights import ranged

_NORM_EPSILON = 1e-8

GATE, UNIT = 2.0**-12, 2.0**-15
"""The steps of what kernels over integers give to sigmoid and tanh, and of what they get from them."""

Hybrid = Literal["", "symmetric", "asymmetric"]
Stored = tuple[Quantization | None, DType]


@dataclass(slots=True, eq=False)
class Cell:
    """The parameters of one direction; lists are in the order input, forget, cell, output.

    Attributes:
        weights: over the input; without an input gate that is one minus the forget gate.
        recurrence: over the state.
        peephole: over the cell, for input, forget and output.
        bias: of the gates.
        projection: from what the gates make to the state.
        projection_bias: added to that.
        norm: scales of gates that are normalized over their units.
        activation: of the cell, before and after.
        cell_clip: the cell stays within this of 0; 0 for no limit.
        projection_clip: so does the state.
        state_type: how the state is stored between steps.
        made_type: how what the gates make is stored, before a projection. Without one its integers become
            those of the state, whatever numbers they mean there.
        cell_type: how the cell is stored between steps.
        hybrid: what is multiplied with weights is quantized first: with a zero point ("asymmetric") or
            without ("symmetric"), or not at all ("").
        arithmetic: how products of integers become the 16 bits of each gate: those with the input, with the
            state.
        projecting: how a projection becomes the integers of the state.
    """

    weights: list[Value | None]
    recurrence: list[Value | None]
    peephole: list[Value | None]
    bias: list[Value | None]
    projection: Value | None
    projection_bias: Value | None
    norm: list[Value | None]
    activation: str
    cell_clip: float
    projection_clip: float
    state_type: Stored
    made_type: Stored
    cell_type: Stored
    hybrid: Hybrid = ""
    arithmetic: list[tuple[Arithmetic, Arithmetic]] = field(default_factory=lambda: [(ONCE, ONCE)] * 4)
    projecting: Arithmetic = ONCE

    @property
    def is_integer(self) -> bool:
        """True where state and cell are integers, and so is everything between them."""
        return self.state_type[0] is not None and self.cell_type[0] is not None

    @property
    def is_plain(self) -> bool:
        """True for an LSTM as the IR has it."""
        complete = self.weights[0] is not None and self.projection is None and self.activation == "TANH"
        stored = self.state_type[0] is None and self.cell_type[0] is None
        normal = all(v is None for v in self.norm) and not self.hybrid
        return complete and stored and normal and not self.cell_clip and not self.projection_clip


def scanned(
    b: Builder, x: Value, cell: Cell, h: Value, c: Value, reverse: bool
) -> tuple[Value, Value, Value]:
    """The states of all steps, as they are stored; the last state, the last cell.

    Args:
        b: writes where the layer is.
        x: [time, batch, input].
        cell: the layer.
        h: the first state, [batch, size].
        c: the first cell, [batch, units].
        reverse: time runs backwards.
    """
    body = Graph("step")
    inner = Builder(body, origin=b.origin)
    state, memory = body.input("h", h.type), body.input("c", c.type)
    step = body.input("x", x.type.with_shape(x.type.shape[1:]))
    parameters = _Parameters(body, [])
    made, new_h, new_c = _step(inner, parameters.of(cell), step, state, memory)
    body.set_outputs([new_h, new_c, made], ["h_next", "c_next", "y"])
    scan = ops.Scan(
        body=body, carried=2, axes=(0,), reverse=(reverse,), output_axes=(0,), output_reverse=(reverse,)
    )
    last_h, last_c, y = b.multi(scan, h, c, x, *parameters.taken)
    return y, last_h, last_c


def scanned_rnn(
    b: Builder,
    x: Value,
    parameters: tuple[Value, Value, Value],
    h: Value,
    activation: str,
    hybrid: Hybrid,
    reverse: bool,
) -> tuple[Value, Value]:
    """The states of all steps, and the last one, of a layer whose kernel quantizes what it multiplies.

    Args:
        b: writes where the layer is.
        x: [time, batch, input].
        parameters: weights over the input and over the state, and what is added.
        h: the first state, [batch, units].
        activation: of the state.
        hybrid: how floats are quantized.
        reverse: time runs backwards.
    """
    body = Graph("step")
    inner = Builder(body, origin=b.origin)
    state, step = body.input("h", h.type), body.input("x", x.type.with_shape(x.type.shape[1:]))
    weights, recurrence, bias = (body.input(f"parameter_{i}", v.type) for i, v in enumerate(parameters))
    total = bias
    for value, matrix in ((step, weights), (state, recurrence)):
        value = quantized_floats(inner, value, hybrid)
        part = inner(ops.MatMul(), value, inner(ops.Transpose(perm=(1, 0)), matrix))
        total = inner(ops.Add(), part, total)
    made = total if activation == "NONE" else inner(FUSED[activation], total)
    body.set_outputs([made, made], ["h_next", "y"])
    scan = ops.Scan(
        body=body, carried=1, axes=(0,), reverse=(reverse,), output_axes=(0,), output_reverse=(reverse,)
    )
    last, y = b.multi(scan, h, x, *parameters)
    return y, last


@dataclass(slots=True, eq=False)
class _Parameters:
    """Constants are the body's own; everything else it takes as inputs."""

    body: Graph
    taken: list[Value]

    def of(self, cell: Cell) -> Cell:
        """The same layer over values of the body."""
        return Cell(
            weights=[self._inside(v) for v in cell.weights],
            recurrence=[self._inside(v) for v in cell.recurrence],
            peephole=[self._inside(v) for v in cell.peephole],
            bias=[self._inside(v) for v in cell.bias],
            projection=self._inside(cell.projection),
            projection_bias=self._inside(cell.projection_bias),
            norm=[self._inside(v) for v in cell.norm],
            activation=cell.activation,
            cell_clip=cell.cell_clip,
            projection_clip=cell.projection_clip,
            state_type=cell.state_type,
            made_type=cell.made_type,
            cell_type=cell.cell_type,
            hybrid=cell.hybrid,
            arithmetic=cell.arithmetic,
            projecting=cell.projecting,
        )

    def _inside(self, value: Value | None) -> Value | None:
        if value is None:
            return None
        if value.constant is not None:
            return self.body.constant(value.constant, value.name)
        self.taken.append(value)
        return self.body.input(f"parameter_{len(self.taken)}", value.type)


def _step(b: Builder, cell: Cell, x: Value, h: Value, c: Value) -> tuple[Value, Value, Value]:
    """What is stored of the next state, what that means, and the next cell."""
    x, h = (quantized_floats(b, v, cell.hybrid) for v in (x, h))
    forget = _squashed(b, cell, ops.Sigmoid(), _gate(b, cell, 1, x, h, c, 1))
    candidate = _activate(b, cell, _gate(b, cell, 2, x, h, c, None))
    if cell.weights[0] is None:
        enter = b(ops.Add(), b(ops.Neg(), forget), 1.0 - (UNIT if cell.is_integer else 0.0))
    else:
        enter = _squashed(b, cell, ops.Sigmoid(), _gate(b, cell, 0, x, h, c, 0))
    kept, added = b(ops.Mul(), forget, c), b(ops.Mul(), enter, candidate)
    memory = b(ops.Add(), *(_as_stored(b, v, cell.cell_type, cell.cell_type)[1] for v in (kept, added)))
    _, memory = _as_stored(b, _clipped(b, memory, cell.cell_clip), cell.cell_type, cell.cell_type)
    leave = _squashed(b, cell, ops.Sigmoid(), _gate(b, cell, 3, x, h, memory, 2))
    step = float(cell.cell_type[0].scale) if cell.cell_type[0] is not None else GATE
    y = b(ops.Mul(), leave, _activate(b, cell, memory, step))
    if cell.projection is None:
        return *_as_stored(b, y, cell.made_type, cell.state_type), memory
    _, y = _as_stored(b, y, cell.made_type, cell.made_type)
    y = quantized_floats(b, y, cell.hybrid)
    y = b(ops.MatMul(), y, b(ops.Transpose(perm=(1, 0)), cell.projection))
    if cell.projection_bias is not None:
        y = b(ops.Add(), y, cell.projection_bias)
    y = _clipped(b, y, cell.projection_clip)
    return *_as_stored(b, y, cell.state_type, cell.state_type, cell.projecting), memory


def quantized_floats(b: Builder, x: Value, hybrid: Hybrid) -> Value:
    """What hybrid kernels multiply in the place of ``x``."""
    return ranged(b, x, symmetric=hybrid == "symmetric") if hybrid else x


def _gate(b: Builder, cell: Cell, gate: int, x: Value, h: Value, c: Value, peephole: int | None) -> Value:
    scale, bias = cell.norm[gate], cell.bias[gate]
    first = b(ops.MatMul(), x, b(ops.Transpose(perm=(1, 0)), cell.weights[gate]))
    if bias is not None and scale is None:
        first = b(ops.Add(), first, bias)
    parts = [first, b(ops.MatMul(), h, b(ops.Transpose(perm=(1, 0)), cell.recurrence[gate]))]
    looks = None if peephole is None else cell.peephole[peephole]
    if looks is not None:
        parts.append(b(ops.Mul(), c, looks))
    if scale is None:
        how = (*cell.arithmetic[gate], ONCE)
        parts = [_fixed_point(b, cell, part, a) for part, a in zip(parts, how, strict=False)]
    total = reduce(lambda y, part: b(ops.Add(), y, part), parts)
    if scale is not None:
        total = b(ops.Mul(), b(ops.LayerNorm(axes=(1,), epsilon=_NORM_EPSILON), total), scale)
        total = total if bias is None else b(ops.Add(), total, bias)
    return _fixed_point(b, cell, total, ONCE)


def _fixed_point(b: Builder, cell: Cell, x: Value, arithmetic: Arithmetic) -> Value:
    """``x`` as kernels over integers hold it inside: 16 bits."""
    if not cell.is_integer:
        return x
    return dequantized(
        b, quantized(b, x, fixed_point_grid(GATE), dtypes.I16, arithmetic), fixed_point_grid(GATE)
    )


def _squashed(b: Builder, cell: Cell, op: Op, x: Value, scale: float = GATE) -> Value:
    """A sigmoid or tanh: of integers, ``x`` in steps of ``scale``, by the table of the kernels."""
    if not cell.is_integer:
        return b(op, x)
    bits = round(math.log2(scale)) + 15
    table = fixed_point.sigmoid() if isinstance(op, ops.Sigmoid) else fixed_point.tanh(bits)
    stored = quantized(b, x, fixed_point_grid(scale), dtypes.I16)
    return dequantized(b, looked_up(b, table, stored), fixed_point_grid(UNIT))


def fixed_point_grid(scale: float) -> Quantization:
    """Numbers in steps of ``scale``, around 0."""
    return Quantization(np.array(scale, np.float32), np.array(0), 0)


def _activate(b: Builder, cell: Cell, x: Value, scale: float = GATE) -> Value:
    return x if cell.activation == "NONE" else _squashed(b, cell, FUSED[cell.activation], x, scale)


def _clipped(b: Builder, x: Value, limit: float) -> Value:
    return b(ops.Clip(low=-limit, high=limit), x) if limit > 0 else x


def _as_stored(
    b: Builder, x: Value, written: Stored, read: Stored, arithmetic: Arithmetic = ONCE
) -> tuple[Value, Value]:
    """``x`` as it is stored, and what that means to whoever reads it."""
    if written[0] is None or read[0] is None:
        return x, x
    stored = quantized(b, x, written[0], written[1], arithmetic)
    return stored, dequantized(b, stored, read[0])
