"""Recurrent layers over a sequence: RNN, GRU, LSTM; in time order, in reverse, or both."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.logic import require_same_dtype
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.types import Array, Extent, Shape, TensorType

Direction = Literal["forward", "reverse", "bidirectional"]
Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, Callable[[Array, float, float], Array]] = {
    "Relu": lambda x, a, b: np.maximum(x, 0),
    "Tanh": lambda x, a, b: np.tanh(x),
    "Sigmoid": lambda x, a, b: 0.5 * (1 + np.tanh(0.5 * x)),
    "Softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "Softplus": lambda x, a, b: np.logaddexp(x.dtype.type(0), x),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "ThresholdedRelu": lambda x, a, b: np.where(x >= a, x, 0),
    "ScaledTanh": lambda x, a, b: a * np.tanh(b * x),
    "HardSigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "Elu": lambda x, a, b: np.where(x >= 0, x, a * np.expm1(np.minimum(x, 0))),
}
"""The functions that a gate may have, by their ONNX names; those that need it take an alpha and a beta."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of one direction.

    Attributes:
        w: input to gates, [gates * hidden, input].
        r: state to gates, [gates * hidden, hidden].
        wb: bias beside ``w``, [gates * hidden].
        rb: bias beside ``r``, [gates * hidden].
        p: from the cell to the gates of an LSTM, [3 * hidden].
    """

    w: Array
    r: Array
    wb: Array
    rb: Array
    p: Array


@attributes
class Recurrent(Op):
    """What the layers have in common.

    x: floating point, [time, batch, input]. weight: [directions, gates * hidden, input]. recurrence:
    [directions, gates * hidden, hidden]. bias: [directions, 2 * gates * hidden], that of the input before
    that of the state, 0 when absent. lengths: i32[batch], the steps of each sequence; what comes after them
    gives 0 and leaves the state. initial_h: [directions, batch, hidden], 0 when absent.

    Returns y: [time, directions, batch, hidden], every step's state, and the last one, [directions, batch,
    hidden]. In the reverse direction time runs backwards from each sequence's own end.

    Attributes:
        hidden_size: the extent of the state.
        direction: one direction, or both, the forward one first.
        activations: of each gate function of each direction, names from ``ACTIVATIONS``.
        alphas: the alpha of each activation; those that take none have 0.
        betas: the beta of each activation; those that take none have 0.
        clip: limits the arguments of the gates' activations to [-clip, clip]; a cell is not limited where the
            output is made of it, as in ONNX Runtime, though ONNX's text can be read otherwise.
    """

    gates: ClassVar[int]
    functions: ClassVar[int]

    hidden_size: int
    direction: Direction
    activations: tuple[str, ...]
    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    clip: float | None = None

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 2 if self.direction == "bidirectional" else 1

    def states(
        self,
        x: TensorType,
        weight: TensorType,
        recurrence: TensorType,
        bias: TensorType | None,
        lengths: TensorType | None,
        *initial: TensorType | None,
    ) -> tuple[TensorType, TensorType]:
        """The types of ``y`` and of one final state, when the operands fit."""
        x.require_float().require_rank(3)
        count, gates, hidden = self.directions, self.gates * self.hidden_size, self.hidden_size
        named = len(self.activations) == count * self.functions and set(self.activations) <= set(ACTIVATIONS)
        x.require(named, f"{count * self.functions} known activations for {self.name}")
        complete = len(self.alphas) == len(self.betas) == len(self.activations)
        x.require(complete, "an alpha and a beta for each activation")
        time, batch, size = x.shape
        require_shape(x, weight, (count, gates, size))
        require_shape(x, recurrence, (count, gates, hidden))
        if bias is not None:
            require_shape(x, bias, (count, 2 * gates))
        if lengths is not None:
            lengths.require(lengths.dtype == dtypes.I32, "i32 lengths").require_rank(1)
        for state in initial:
            if state is not None:
                require_shape(x, state, (count, batch, hidden))
        return x.with_shape((time, count, batch, hidden)), x.with_shape((count, batch, hidden))

    @abc.abstractmethod
    def step(
        self, v: Array, h: Array, c: Array, weights: Weights, f: tuple[Activation, ...]
    ) -> tuple[Array, Array]:
        """The next state and cell; ``v`` is the input times its weights, [batch, gates * hidden]."""

    def run(
        self,
        x: Array,
        parameters: tuple[Array, Array, Array | None, Array | None],
        lengths: Array | None,
        initial: tuple[Array | None, Array | None],
    ) -> tuple[Array, Array, Array]:
        """``y``, the last states and the last cells of all directions."""
        wide = widen(x)
        results = []
        for d in range(self.directions):
            weights = self._weights(parameters, d)
            start = [self._start(state, d, wide) for state in initial]
            backwards = self.direction == "reverse" or d == 1
            results.append(self._pass(wide, weights, lengths, start, d, backwards))
        ys, hs, cs = (np.stack(parts) for parts in zip(*results, strict=True))
        return (
            np.moveaxis(ys, 0, 1).astype(x.dtype, copy=False),
            hs.astype(x.dtype, copy=False),
            cs.astype(x.dtype, copy=False),
        )

    def _weights(self, parameters: tuple[Array, Array, Array | None, Array | None], d: int) -> Weights:
        weight, recurrence, bias, peephole = parameters
        w, r = widen(weight[d]), widen(recurrence[d])
        both = np.zeros(2 * len(w), w.dtype) if bias is None else widen(bias[d])
        p = np.zeros(3 * self.hidden_size, w.dtype) if peephole is None else widen(peephole[d])
        return Weights(w, r, both[: len(w)], both[len(w) :], p)

    def _start(self, state: Array | None, d: int, x: Array) -> Array:
        return np.zeros((x.shape[1], self.hidden_size), x.dtype) if state is None else widen(state[d])

    def _pass(
        self, x: Array, weights: Weights, lengths: Array | None, start: list[Array], d: int, backwards: bool
    ) -> tuple[Array, Array, Array]:
        """One direction: every step's state, the last state and the last cell."""
        time, batch, _ = x.shape
        ends = np.full(batch, time) if lengths is None else lengths.astype(np.int64)
        steps = np.arange(time)[:, None]
        order = np.where(steps < ends, ends - 1 - steps, steps) if backwards else steps + 0 * ends
        columns = np.arange(batch)
        v = x[order, columns] @ weights.w.T + weights.wb
        f = tuple(self._activation(i) for i in range(d * self.functions, (d + 1) * self.functions))
        h, c = start
        ys = np.zeros((time, batch, self.hidden_size), x.dtype)
        for t in range(time):
            alive = (t < ends)[:, None]
            new_h, new_c = self.step(v[t], h, c, weights, f)
            h, c = np.where(alive, new_h, h), np.where(alive, new_c, c)
            ys[order[t], columns] = np.where(alive, new_h, x.dtype.type(0))
        return ys, h, c

    def _activation(self, index: int) -> Activation:
        """Activation ``index``, with its limits and parameters."""
        function = ACTIVATIONS[self.activations[index]]
        gate = index % self.functions < 2
        limit = self.clip if gate and self.clip is not None else math.inf

        def activate(x: Array) -> Array:
            kind = x.dtype.type
            y = function(np.clip(x, kind(-limit), kind(limit)), self.alphas[index], self.betas[index])
            return y.astype(x.dtype, copy=False)

        return activate


class OneState(Recurrent):
    """A recurrent layer whose one state is what it gives out."""

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        recurrence: TensorType,
        bias: TensorType | None = None,
        lengths: TensorType | None = None,
        initial_h: TensorType | None = None,
    ) -> tuple[TensorType, TensorType]:
        return self.states(x, weight, recurrence, bias, lengths, initial_h)

    def evaluate(
        self,
        x: Array,
        weight: Array,
        recurrence: Array,
        bias: Array | None = None,
        lengths: Array | None = None,
        initial_h: Array | None = None,
    ) -> tuple[Array, Array]:
        return self.run(x, (weight, recurrence, bias, None), lengths, (initial_h, None))[:2]

    def decompose(
        self,
        b: Builder,
        x: Value,
        weight: Value,
        recurrence: Value,
        bias: Value | None = None,
        lengths: Value | None = None,
        initial_h: Value | None = None,
    ) -> tuple[Value, ...]:
        from mmconvert.ir.ops.steps import as_scan  # which is made of most other operators

        return as_scan(self, b, x, weight, recurrence, bias, lengths, (initial_h,), None)


@operator
class RNN(OneState):
    """``h = f(w x + wb + r h + rb)``; see ``Recurrent``."""

    gates: ClassVar[int] = 1
    functions: ClassVar[int] = 1

    def step(
        self, v: Array, h: Array, c: Array, weights: Weights, f: tuple[Activation, ...]
    ) -> tuple[Array, Array]:
        return f[0](v + h @ weights.r.T + weights.rb), c


@operator
class GRU(OneState):
    """Gates z (update), r (reset), h (new), stacked in this order in the weights::

        z = f(wz x + wbz + rz h + rbz)      r = f(wr x + wbr + rr h + rbr)
        n = g(wh x + wbh + rh (r * h) + rbh)     or, linear_before_reset, g(wh x + wbh + r * (rh h + rbh))
        h = (1 - z) * n + z * h

    See ``Recurrent``. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.
    """

    gates: ClassVar[int] = 3
    functions: ClassVar[int] = 2

    linear_before_reset: bool = False

    def step(
        self, v: Array, h: Array, c: Array, weights: Weights, f: tuple[Activation, ...]
    ) -> tuple[Array, Array]:
        size = self.hidden_size
        gates, new = slice(0, 2 * size), slice(2 * size, None)
        both = f[0](v[:, gates] + h @ weights.r[gates].T + weights.rb[gates])
        z, r = both[:, :size], both[:, size:]
        if self.linear_before_reset:
            n = f[1](v[:, new] + r * (h @ weights.r[new].T + weights.rb[new]))
        else:
            n = f[1](v[:, new] + (r * h) @ weights.r[new].T + weights.rb[new])
        return (1 - z) * n + z * h, c


@operator
class LSTM(Recurrent):
    """Gates i (input), o (output), f (forget), c (cell), stacked in this order in the weights::

        i = f(wi x + wbi + ri h + rbi + pi * c)      f = f(wf x + wbf + rf h + rbf + pf * c)
        c = f * c + i * g(wc x + wbc + rc h + rbc)
        o = f(wo x + wbo + ro h + rbo + po * c)      h = o * h(c)

    initial_c: like initial_h. peephole: [directions, 3 * hidden] for i, o, f. With ``input_forget`` the
    forget gate is ``1 - i``. Returns the last cells after the last states; see ``Recurrent``.
    Hochreiter and Schmidhuber, "Long short-term memory", 1997.
    """

    gates: ClassVar[int] = 4
    functions: ClassVar[int] = 3

    input_forget: bool = False

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        recurrence: TensorType,
        bias: TensorType | None = None,
        lengths: TensorType | None = None,
        initial_h: TensorType | None = None,
        initial_c: TensorType | None = None,
        peephole: TensorType | None = None,
    ) -> tuple[TensorType, TensorType, TensorType]:
        if peephole is not None:
            require_shape(x, peephole, (self.directions, 3 * self.hidden_size))
        y, state = self.states(x, weight, recurrence, bias, lengths, initial_h, initial_c)
        return y, state, state

    def evaluate(
        self,
        x: Array,
        weight: Array,
        recurrence: Array,
        bias: Array | None = None,
        lengths: Array | None = None,
        initial_h: Array | None = None,
        initial_c: Array | None = None,
        peephole: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        return self.run(x, (weight, recurrence, bias, peephole), lengths, (initial_h, initial_c))

    def decompose(
        self,
        b: Builder,
        x: Value,
        weight: Value,
        recurrence: Value,
        bias: Value | None = None,
        lengths: Value | None = None,
        initial_h: Value | None = None,
        initial_c: Value | None = None,
        peephole: Value | None = None,
    ) -> tuple[Value, ...]:
        from mmconvert.ir.ops.steps import as_scan  # which is made of most other operators

        return as_scan(self, b, x, weight, recurrence, bias, lengths, (initial_h, initial_c), peephole)

    def step(
        self, v: Array, h: Array, c: Array, weights: Weights, f: tuple[Activation, ...]
    ) -> tuple[Array, Array]:
        size = self.hidden_size
        i, o, forget, cell = np.split(v + h @ weights.r.T + weights.rb, 4, axis=1)
        pi, po, pf = weights.p[:size], weights.p[size : 2 * size], weights.p[2 * size :]
        i = f[0](i + pi * c)
        forget = 1 - i if self.input_forget else f[0](forget + pf * c)
        c = forget * c + i * f[1](cell)
        return f[0](o + po * c) * f[2](c), c


def require_shape(x: TensorType, operand: TensorType, shape: Shape) -> None:
    """Checks that ``operand`` has the element type of ``x`` and this shape, as far as it is known."""
    require_same_dtype(x, operand.require_rank(len(shape)))
    fits = all(_may_equal(a, b) for a, b in zip(operand.shape, shape, strict=True))
    operand.require(fits, f"the shape [{','.join(map(str, shape))}]")


def _may_equal(a: Extent, b: Extent) -> bool:
    difference = a - b
    return not isinstance(difference, int) or difference == 0
