"""Recurrent operators as a Scan, and a Scan as a While, for targets that have only the latter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.ops.activation import Clip, HardSigmoid, LeakyRelu, Relu, Softsign, ThresholdedRelu
from mmconvert.ir.ops.attention import extent, positions
from mmconvert.ir.ops.binary import Add, Mul, Sub
from mmconvert.ir.ops.composed import Tanh
from mmconvert.ir.ops.indexing import Gather, Slice
from mmconvert.ir.ops.logic import Less, Where
from mmconvert.ir.ops.matmul import MatMul
from mmconvert.ir.ops.shape import Concat, Fill, Reshape, Split, Squeeze, Transpose, Unsqueeze
from mmconvert.ir.ops.smooth import Elu, Sigmoid, Softplus
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.ops.update import UpdateSlice

if TYPE_CHECKING:
    from mmconvert.ir.ops.control import Scan
    from mmconvert.ir.ops.recurrent import Recurrent


# --- a Scan as a While ---------------------------------------------------------------------------------


def as_while(op: Scan, b: Builder, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """The same rounds, counted: what is collected is written into tensors that are there from the start.

    A single round needs no loop.
    """
    from mmconvert.ir.ops.control import While

    first = op.carried
    rounds = inputs[first].type.shape[op.axes[0]]
    if rounds == 1:
        return _once(op, b, inputs)
    made = [v.type for v in op.body.outputs[first:]]
    collected = [
        b(Fill(shape=(*t.shape[:axis], rounds, *t.shape[axis:]), value=_zero(t.dtype), dtype=t.dtype))
        for t, axis in zip(made, op.output_axes, strict=True)
    ]
    start = [b.constant(0, dtypes.I32), *inputs[:first], *collected, *inputs[first:]]
    results = b.multi(While(condition=_goes_on(op, b, start), body=_round(op, b, start)), *start)
    return results[1 : 1 + first + len(collected)]


def _once(op: Scan, b: Builder, inputs: Sequence[Value]) -> tuple[Value, ...]:
    """The only round, without a loop."""
    split = op.carried + len(op.axes)
    sequences = zip(inputs[op.carried : split], op.axes, strict=True)
    slices = [b(Squeeze(axes=(axis,)), sequence) for sequence, axis in sequences]
    results = inline(b, op.body, [*inputs[: op.carried], *slices, *inputs[split:]])
    collected = zip(results[op.carried :], op.output_axes, strict=True)
    return (*results[: op.carried], *(b(Unsqueeze(axes=(axis,)), part) for part, axis in collected))


def _zero(dtype: Any) -> float | int | bool:
    return False if dtype == dtypes.BOOL else 0


def _part(b: Builder, name: str, state: Sequence[Value]) -> tuple[Graph, Builder, list[Value]]:
    graph = Graph(name)
    return graph, Builder(graph, origin=b.origin), [graph.input(f"s{i}", v.type) for i, v in enumerate(state)]


def _goes_on(op: Scan, b: Builder, start: Sequence[Value]) -> Graph:
    graph, inner, state = _part(b, "condition", start)
    sequence = state[1 + op.carried + len(op.output_axes)]
    count = inner(Cast(to=dtypes.I32), extent(inner, sequence, op.axes[0]))
    graph.set_outputs([inner(Less(), state[0], count)], ["goes_on"])
    return graph


def _round(op: Scan, b: Builder, start: Sequence[Value]) -> Graph:
    graph, inner, state = _part(b, "body", start)
    number, carried = state[0], state[1 : 1 + op.carried]
    split = 1 + op.carried + len(op.output_axes)
    collected, sequences = state[1 + op.carried : split], state[split : split + len(op.axes)]
    others = state[split + len(op.axes) :]
    backwards = None
    if any((*op.reverse, *op.output_reverse)):
        count = inner(Cast(to=dtypes.I32), extent(inner, sequences[0], op.axes[0]))
        backwards = inner(Sub(), inner(Sub(), count, 1), number)
    slices = [
        inner(Gather(axis=axis), sequence, backwards if reverse and backwards is not None else number)
        for sequence, axis, reverse in zip(sequences, op.axes, op.reverse, strict=True)
    ]
    results = inline(inner, op.body, [*carried, *slices, *others])
    written = [
        inner(
            UpdateSlice(axis=axis),
            whole,
            inner(Unsqueeze(axes=(axis,)), part),
            backwards if reverse and backwards is not None else number,
        )
        for whole, part, axis, reverse in zip(
            collected, results[op.carried :], op.output_axes, op.output_reverse, strict=True
        )
    ]
    following = [inner(Add(), number, 1), *results[: op.carried], *written, *sequences, *others]
    graph.set_outputs(following, [f"n{i}" for i in range(len(following))])
    return graph


def inline(b: Builder, graph: Graph, inputs: Sequence[Value]) -> list[Value]:
    """The outputs of ``graph``, whose nodes are built once more over ``inputs``."""
    values: dict[Value, Value] = dict(zip(graph.inputs, inputs, strict=True))

    def find(value: Value | None) -> Value | None:
        if value is not None and value not in values:
            assert value.constant is not None
            values[value] = b.constant(value.constant, name=value.name)
        return None if value is None else values[value]

    for node in graph:
        with b.at(node.origin):
            outputs = b.multi(node.op, *map(find, node.inputs))
        values.update(zip(node.outputs, outputs, strict=True))
    return [values[v] for v in graph.outputs if find(v) is not None]


# --- recurrent operators as a Scan ---------------------------------------------------------------------


def as_scan(
    op: Recurrent,
    b: Builder,
    x: Value,
    weight: Value,
    recurrence: Value,
    bias: Value | None,
    lengths: Value | None,
    initial: Sequence[Value | None],
    peephole: Value | None,
) -> tuple[Value, ...]:
    """Every direction on its own: all inputs times their weights at once, then step by step."""
    parts = []
    alive = None if lengths is None else _alive(b, x, lengths)
    for d in range(op.directions):
        mine = [None if v is None else _row(b, v, d) for v in (weight, recurrence, bias, peephole, *initial)]
        parts.append(_Direction(op, b, d, mine, alive).run(x))
    ys, *states = (list(column) for column in zip(*parts, strict=True))
    y = _stacked(b, ys, 1)
    return (y, *(_stacked(b, state, 0) for state in states))


def _row(b: Builder, x: Value, d: int) -> Value:
    op = Slice(axes=(0,), starts=(d,), sizes=(1,), steps=(1,))
    return b(Squeeze(axes=(0,)), b(op, x))


def _stacked(b: Builder, values: list[Value], axis: int) -> Value:
    wide = [b(Unsqueeze(axes=(axis,)), value) for value in values]
    return wide[0] if len(wide) == 1 else b(Concat(axis=axis), *wide)


def _alive(b: Builder, x: Value, lengths: Value) -> Value:
    """Whether a step belongs to the sequence, [time, batch]."""
    return b(Less(), b(Unsqueeze(axes=(1,)), positions(b, x, 0, dtypes.I32)), lengths)


class _Direction:
    """One direction of a recurrent operator."""

    def __init__(
        self, op: Recurrent, b: Builder, d: int, operands: Sequence[Value | None], alive: Value | None
    ) -> None:
        self.op, self.b, self.d, self.alive = op, b, d, alive
        self.weight, self.recurrence, self.bias, self.peephole, *self.initial = operands
        self.width = op.gates * op.hidden_size

    def run(self, x: Value) -> tuple[Value, ...]:
        """All outputs [time, batch, hidden], and what the state ends with."""
        from mmconvert.ir.ops.control import Scan

        b, hidden = self.b, self.op.hidden_size
        assert self.weight is not None
        assert self.recurrence is not None
        batch = x.type.shape[1]
        type = x.type.with_shape((batch, hidden))
        start = [
            # A batch that goes by another name in the state is the same one.
            b(Fill(shape=type.shape, value=0.0, dtype=type.dtype))
            if value is None
            else value
            if value.type == type
            else b(Reshape(shape=type.shape), value)
            for value in self.initial
        ]
        turn = Transpose(perm=(1, 0))
        v = b(MatMul(), x, b(turn, self.weight))
        if self.bias is not None:
            v = b(Add(), v, self._piece(b, self.bias, 0, self.width))
        outer = [b(turn, self.recurrence)]
        if self.bias is not None:
            outer.append(self._piece(b, self.bias, self.width, self.width))
        if self.peephole is not None:
            outer.append(self.peephole)
        sequences = [v] + ([] if self.alive is None else [self.alive])
        body = self._body(start, sequences, outer)
        others = [value for value in outer if value.constant is None]
        backwards = self.op.direction == "reverse" or self.d == 1
        scan = Scan(
            body=body,
            carried=len(start),
            axes=(0,) * len(sequences),
            reverse=(backwards,) * len(sequences),
            output_axes=(0,),
            output_reverse=(backwards,),
        )
        *state, y = b.multi(scan, *start, *sequences, *others)
        return (y, *state)

    def _body(self, start: list[Value], sequences: list[Value], outer: list[Value]) -> Graph:
        graph = Graph("step")
        inner = Builder(graph, origin=self.b.origin)
        state = [graph.input(f"state_{i}", v.type) for i, v in enumerate(start)]
        slices = [
            graph.input(f"step_{i}", v.type.with_shape(v.type.shape[1:])) for i, v in enumerate(sequences)
        ]
        weights = [
            graph.input(f"weight_{i}", v.type) if v.constant is None else inner.constant(v.constant)
            for i, v in enumerate(outer)
        ]
        after = self._step(inner, slices[0], state, weights)
        output = after[0]
        if self.alive is not None:
            flags = inner(Unsqueeze(axes=(1,)), slices[1])
            zero = inner(Fill(shape=output.type.shape, value=0.0, dtype=output.type.dtype))
            output = inner(Where(), flags, output, zero)
            after = [inner(Where(), flags, new, old) for new, old in zip(after, state, strict=True)]
        graph.set_outputs([*after, output], [*(f"next_{i}" for i in range(len(after))), "output"])
        return graph

    def _step(self, b: Builder, v: Value, state: list[Value], weights: list[Value]) -> list[Value]:
        recurrence, *rest = weights
        bias = rest.pop(0) if self.bias is not None else None
        match self.op.name:
            case "RNN":
                return [self._function(b, 0, b(Add(), v, self._product(b, state[0], recurrence, bias)))]
            case "GRU":
                return [self._gru(b, v, state[0], recurrence, bias)]
            case _:
                total = b(Add(), v, self._product(b, state[0], recurrence, bias))
                return self._lstm(b, total, state[1], rest[0] if rest else None)

    def _product(self, b: Builder, h: Value, recurrence: Value, bias: Value | None) -> Value:
        y = b(MatMul(), h, recurrence)
        return y if bias is None else b(Add(), y, bias)

    def _gru(self, b: Builder, v: Value, h: Value, recurrence: Value, bias: Value | None) -> Value:
        size = self.op.hidden_size
        apart = Split(axis=1, sizes=(2 * size, size))
        gates, new = b.multi(apart, v)
        if getattr(self.op, "linear_before_reset", False):
            h_gates, h_new = b.multi(apart, self._product(b, h, recurrence, bias))
        else:
            gate_kernel, new_kernel = b.multi(apart, recurrence)
            h_gates = self._product(
                b, h, gate_kernel, None if bias is None else self._piece(b, bias, 0, 2 * size)
            )
        both = self._function(b, 0, b(Add(), gates, h_gates))
        z, r = b.multi(Split(axis=1, sizes=(size, size)), both)
        if getattr(self.op, "linear_before_reset", False):
            inner = b(Mul(), r, h_new)
        else:
            last = None if bias is None else self._piece(b, bias, 2 * size, size)
            inner = self._product(b, b(Mul(), r, h), new_kernel, last)
        n = self._function(b, 1, b(Add(), new, inner))
        return b(Add(), b(Mul(), b(Sub(), 1.0, z), n), b(Mul(), z, h))

    def _lstm(self, b: Builder, total: Value, c: Value, peephole: Value | None) -> list[Value]:
        size = self.op.hidden_size
        i, o, f, g = b.multi(Split(axis=1, sizes=(size,) * 4), total)
        if peephole is not None:
            pi, po, pf = (self._piece(b, peephole, k * size, size) for k in range(3))
            i, f = b(Add(), i, b(Mul(), pi, c)), b(Add(), f, b(Mul(), pf, c))
        i = self._function(b, 0, i)
        f = b(Sub(), 1.0, i) if getattr(self.op, "input_forget", False) else self._function(b, 0, f)
        c = b(Add(), b(Mul(), f, c), b(Mul(), i, self._function(b, 1, g)))
        if peephole is not None:
            o = b(Add(), o, b(Mul(), po, c))
        return [b(Mul(), self._function(b, 0, o), self._function(b, 2, c)), c]

    def _piece(self, b: Builder, x: Value, start: int, size: int) -> Value:
        return b(Slice(axes=(0,), starts=(start,), sizes=(size,), steps=(1,)), x)

    def _function(self, b: Builder, gate: int, x: Value) -> Value:
        index = self.d * self.op.functions + gate
        if gate < 2 and self.op.clip is not None:
            x = b(Clip(low=-self.op.clip, high=self.op.clip), x)
        return activation(b, x, self.op.activations[index], self.op.alphas[index], self.op.betas[index])


def activation(b: Builder, x: Value, name: str, alpha: float, beta: float) -> Value:
    """A function that a gate may have."""
    match name:
        case "Affine":
            return b(Add(), b(Mul(), x, alpha), beta)
        case "ScaledTanh":
            return b(Mul(), b(Tanh(), b(Mul(), x, beta)), alpha)
        case "LeakyRelu":
            return b(LeakyRelu(alpha=alpha), x)
        case "ThresholdedRelu":
            return b(ThresholdedRelu(alpha=alpha), x)
        case "HardSigmoid":
            return b(HardSigmoid(alpha=alpha, beta=beta), x)
        case "Elu":
            return b(Elu(alpha=alpha), x)
        case _:
            return b(_PLAIN[name], x)


_PLAIN = {
    "Relu": Relu(),
    "Tanh": Tanh(),
    "Sigmoid": Sigmoid(),
    "Softsign": Softsign(),
    "Softplus": Softplus(),
}
