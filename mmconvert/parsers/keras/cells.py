"""What recurrent layers do at one step: SimpleRNN, GRU and LSTM cells."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    GRU,
    LSTM,
    RNN,
    Add,
    MatMul,
    Mul,
    Split,
    Squeeze,
    Sub,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.ops.recurrent import Direction, Recurrent
from mmconvert.ir.types import TensorType
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.tensors import Array, Tensor

_FUNCTIONS: dict[str, tuple[str, float, float]] = {
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
    "linear": ("Affine", 1.0, 0.0),
    "leaky_relu": ("LeakyRelu", 0.2, 0.0),
    "elu": ("Elu", 1.0, 0.0),
}
"""Activations that the IR's recurrent operators have, with alpha and beta."""


class Cell(abc.ABC):
    """A cell over one sequence.

    Attributes:
        layer: the cell as the file describes it.
        state: the type of each tensor of the state, the first of which is also the output of a step.
    """

    layer: KerasLayer
    state: tuple[TensorType, ...]

    @abc.abstractmethod
    def project(self, b: Builder, x: Value) -> Value:
        """What does not depend on the state, of all steps at once: [batch, time, ...]."""

    @abc.abstractmethod
    def step(self, layer: KerasLayer, v: Value, state: list[Value]) -> list[Value]:
        """The next state, from the projection of one step; ``layer`` is the cell in the graph of steps."""

    def fused(
        self, b: Builder, x: Value, direction: Direction, initial: list[Value]
    ) -> tuple[Value, list[Value]] | None:
        """The outputs in order of time, [batch, time, ...], and the last state; None where no operator fits.

        ``initial`` is empty for a state of zeros.
        """
        return None


class DenseCell(Cell):
    """A cell whose gates are products with matrices."""

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    activations: ClassVar[tuple[str, ...]]
    """The settings with the activations, in the order of the IR's operator."""

    def __init__(self, layer: KerasLayer, x: Value) -> None:
        self.layer = layer
        x.type.require_rank(3)
        layer.ignore("dropout", "recurrent_dropout", "implementation", "unit_forget_bias")
        (self.units,) = layer.sizes("units", 1)
        self.state = (x.type.with_shape((x.type.shape[0], self.units)),) * self.states
        width = self.gates * self.units
        shapes: dict[str, tuple[int, ...] | None] = {
            "kernel": (layer.extent(x, 2), width),
            "recurrent_kernel": (self.units, width),
        }
        if layer.flag("use_bias", True):
            shapes["bias"] = self.bias_shape(width)
        self.kernel, self.recurrent, *bias = layer.variables(shapes)
        self.bias: Tensor | None = bias[0] if bias else None

    def bias_shape(self, width: int) -> tuple[int, ...]:
        """The shape of the bias in the file."""
        return (width,)

    def biases(self) -> tuple[Tensor | None, Tensor | None]:
        """The bias beside the kernel, and the one beside the recurrent kernel."""
        return self.bias, None

    def project(self, b: Builder, x: Value) -> Value:
        """See the base class."""
        v = b(MatMul(), x, self.layer.weight("kernel", self.kernel))
        bias, _ = self.biases()
        return v if bias is None else b(Add(), v, self.layer.weight("bias", bias))

    def product(self, layer: KerasLayer, h: Value) -> Value:
        """The previous output times the recurrent kernel."""
        y = layer.b(MatMul(), h, layer.weight("recurrent_kernel", self.recurrent))
        _, bias = self.biases()
        return y if bias is None else layer.b(Add(), y, layer.weight("recurrent_bias", bias))

    def split(self, b: Builder, x: Value, count: int) -> tuple[Value, ...]:
        """``x`` cut into ``count`` gates."""
        return b.multi(Split(axis=x.type.rank - 1, sizes=(self.units,) * count), x)

    # --- the IR's operators --------------------------------------------------------------------------

    @abc.abstractmethod
    def operator(self, direction: Direction, functions: list[tuple[str, float, float]]) -> Recurrent:
        """The operator that does what the cell does at every step."""

    def reorder(self, weights: Array) -> Array:
        """The gates of ``weights`` [gates * units, ...] in the order of the operator."""
        return weights

    def fused(
        self, b: Builder, x: Value, direction: Direction, initial: list[Value]
    ) -> tuple[Value, list[Value]] | None:
        """See the base class."""
        functions = [self._function(key) for key in self.activations]
        named = [item for item in functions if item is not None]
        if len(named) < len(functions):
            return None
        op = self.operator(direction, named)
        swap = Transpose(perm=(1, 0, 2))
        weights = [
            self.layer.weight(f"{name}_gates", self._gates(tensor))
            for name, tensor in (("kernel", self.kernel), ("recurrent_kernel", self.recurrent))
        ]
        bias = None if self.bias is None else self.layer.weight("bias_gates", self._bias(self.bias))
        start = [b(Unsqueeze(axes=(0,)), value) for value in initial]
        y, *last = b.multi(op, b(swap, x), *weights, bias, None, *start)
        state = [b(Squeeze(axes=(0,)), value) for value in last]
        return b(swap, b(Squeeze(axes=(1,)), y)), state

    def _function(self, key: str) -> tuple[str, float, float] | None:
        item = self.layer.setting(key, None)
        name = item.get("config") if isinstance(item, dict) else "linear" if item is None else item
        if not isinstance(name, str) or name in self.layer.host.activations:
            return None
        if name == "hard_sigmoid":
            return "HardSigmoid", 0.2 if self.layer.version < 3 else 1 / 6, 0.5
        return _FUNCTIONS.get(name)

    def _gates(self, kernel: Tensor) -> Tensor:
        """``features, gates * units`` -> ``1, gates * units, features``."""
        turned = kernel.transpose((1, 0)).map(self.reorder)
        return turned.reshape((1, *turned.shape))

    def _bias(self, bias: Tensor) -> Tensor:
        """Both biases, one after the other: ``1, 2 * gates * units``."""
        width = self.gates * self.units

        def both(values: Array) -> Array:
            halves = values.reshape(-1, width)
            rows = [self.reorder(half) for half in halves]
            rows += [np.zeros(width, values.dtype)] * (2 - len(rows))
            return np.concatenate(rows)[None]

        return bias.map(both, shape=(1, 2 * width))


class SimpleCell(DenseCell):
    """h = f(W x + b + R h)."""

    gates = 1
    activations = ("activation",)

    def step(self, layer: KerasLayer, v: Value, state: list[Value]) -> list[Value]:
        """See the base class."""
        return [activate(layer, layer.b(Add(), v, self.product(layer, state[0])))]

    def operator(self, direction: Direction, functions: list[tuple[str, float, float]]) -> Recurrent:
        """See the base class."""
        names, alphas, betas = _columns(functions)
        return RNN(hidden_size=self.units, direction=direction, activations=names, alphas=alphas, betas=betas)


class GruCell(DenseCell):
    """Gates z, r, h; ``reset_after`` says whether the reset gate comes after the recurrent product."""

    gates = 3
    activations = ("recurrent_activation", "activation")

    def bias_shape(self, width: int) -> tuple[int, ...]:
        """See the base class."""
        return (2, width) if self.reset_after else (width,)

    @property
    def reset_after(self) -> bool:
        """False in files that are older than the setting."""
        return self.layer.flag("reset_after", False)

    def biases(self) -> tuple[Tensor | None, Tensor | None]:
        """See the base class."""
        if self.bias is None or not self.reset_after:
            return self.bias, None
        width = self.gates * self.units
        both = [self.bias.map(lambda a, i=i: a[i], shape=(width,)) for i in range(2)]  # type: ignore[misc]
        return both[0], both[1]

    def step(self, layer: KerasLayer, v: Value, state: list[Value]) -> list[Value]:
        """See the base class."""
        b, (h,) = layer.b, state
        x_gates, x_new = self._apart(b, v)
        if self.reset_after:
            gates, new = self._apart(b, self.product(layer, h))
        else:
            gates_kernel, new_kernel = (
                layer.weight(name, self.recurrent.map(lambda a, part=part: a[:, part], shape=(self.units, n)))  # type: ignore[misc]
                for name, part, n in (
                    ("recurrent_gates", slice(0, 2 * self.units), 2 * self.units),
                    ("recurrent_new", slice(2 * self.units, None), self.units),
                )
            )
            gates = b(MatMul(), h, gates_kernel)
        z, r = self.split(b, activate(layer, b(Add(), x_gates, gates), "recurrent_activation"), 2)
        inner = b(Mul(), r, new) if self.reset_after else b(MatMul(), b(Mul(), r, h), new_kernel)
        candidate = activate(layer, b(Add(), x_new, inner))
        return [b(Add(), b(Mul(), z, h), b(Mul(), b(Sub(), 1.0, z), candidate))]

    def _apart(self, b: Builder, x: Value) -> tuple[Value, Value]:
        """The gates z and r together, and what belongs to the candidate."""
        gates, new = b.multi(Split(axis=x.type.rank - 1, sizes=(2 * self.units, self.units)), x)
        return gates, new

    def operator(self, direction: Direction, functions: list[tuple[str, float, float]]) -> Recurrent:
        """See the base class."""
        names, alphas, betas = _columns(functions)
        return GRU(
            hidden_size=self.units,
            direction=direction,
            activations=names,
            alphas=alphas,
            betas=betas,
            linear_before_reset=self.reset_after,
        )


class LstmCell(DenseCell):
    """Gates i, f, c, o; the state is the output and the cell."""

    gates = 4
    states = 2
    activations = ("recurrent_activation", "activation", "activation")

    def step(self, layer: KerasLayer, v: Value, state: list[Value]) -> list[Value]:
        """See the base class."""
        b, (h, c) = layer.b, state
        parts = self.split(b, b(Add(), v, self.product(layer, h)), 4)
        i, f, o = (activate(layer, parts[gate], "recurrent_activation") for gate in (0, 1, 3))
        c = b(Add(), b(Mul(), f, c), b(Mul(), i, activate(layer, parts[2])))
        return [b(Mul(), o, activate(layer, c)), c]

    def reorder(self, weights: Array) -> Array:
        """See the base class."""
        i, f, c, o = np.split(weights, 4)
        return np.concatenate([i, o, f, c])

    def operator(self, direction: Direction, functions: list[tuple[str, float, float]]) -> Recurrent:
        """See the base class."""
        names, alphas, betas = _columns(functions)
        return LSTM(
            hidden_size=self.units, direction=direction, activations=names, alphas=alphas, betas=betas
        )


def _columns(
    functions: list[tuple[str, float, float]],
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    names, alphas, betas = zip(*functions, strict=True)
    return names, alphas, betas


CELLS: dict[str, type[DenseCell]] = {
    "SimpleRNNCell": SimpleCell,
    "GRUCell": GruCell,
    "LSTMCell": LstmCell,
}
