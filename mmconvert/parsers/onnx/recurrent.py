"""ONNX rules for recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

PARAMETERS: dict[str, tuple[float | None, float | None]] = {
    "Relu": (None, None),
    "Tanh": (None, None),
    "Sigmoid": (None, None),
    "Softsign": (None, None),
    "Softplus": (None, None),
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
}
"""For each activation its alpha and beta where nothing is given; None where it takes none."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What the three layers read alike."""

    hidden_size: int
    direction: Literal["forward", "reverse", "bidirectional"]
    activations: tuple[str, ...]
    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    clip: float | None

    @property
    def fields(self) -> dict[str, Any]:
        """The attributes of the operator."""
        return {name: getattr(self, name) for name in self.__slots__}


def _layer(n: Source, *defaults: str, axis: int = 2) -> Layer:
    """The attributes; ``axis`` is the one of the recurrent weights along which the state runs."""
    n.ignore("output_sequence")  # which outputs are asked for says it, in all versions
    weight = n.operand(2).type.require_rank(3)
    size = weight.shape[axis]
    if not isinstance(size, int):
        raise n.unsupported("with weights of unknown size")
    hidden = n.integer("hidden_size", size)
    direction: Literal["forward", "reverse", "bidirectional"] = "forward"
    match n.choice("direction", "forward", "forward", "reverse", "bidirectional"):
        case "reverse" | "bidirectional" as other:
            direction = other
    count = len(defaults) * (2 if direction == "bidirectional" else 1)
    names = tuple(_name(n, a) for a in n.texts("activations", defaults * (count // len(defaults))))
    if len(names) != count:
        raise n.invalid(f"{len(names)} activations instead of {count}")
    alphas = _parameters(names, 0, n.reals("activation_alpha", ()))
    betas = _parameters(names, 1, n.reals("activation_beta", ()))
    clip = n.real("clip") if n.given("clip") else None
    return Layer(hidden, direction, names, alphas, betas, clip)


def _name(n: Source, activation: str) -> str:
    """The activation as the IR spells it; case does not matter to runtimes."""
    found = {name.lower(): name for name in PARAMETERS}.get(activation.lower())
    if found is None:
        raise n.unsupported(f"the activation {activation!r}", hint=f"known are {', '.join(PARAMETERS)}")
    return found


def _parameters(names: tuple[str, ...], which: int, given: tuple[float, ...]) -> tuple[float, ...]:
    """One number for each activation; those that take one consume the given ones in order."""
    left, found = list(given), []
    for name in names:
        default = PARAMETERS[name][which]
        found.append(0.0 if default is None else left.pop(0) if left else default)
    return tuple(found)


def _operands(n: Source, b: Builder, batch_first: bool) -> list[Value | None]:
    """The operands, time first and directions first."""
    values = [n.optional(i) for i in range(8)]
    if batch_first:
        for index in (0, 5, 6):
            values[index] = _swapped(b, values[index])
    while values and values[-1] is None:
        values.pop()
    return values


def _swapped(b: Builder, x: Value | None) -> Value | None:
    return None if x is None else b(ops.Transpose(perm=(1, 0, 2)), x)


def _results(n: Source, b: Builder, found: tuple[Value, ...], batch_first: bool) -> tuple[Value | None, ...]:
    if not batch_first:
        return found
    y, *states = found
    whole = b(ops.Transpose(perm=(2, 0, 1, 3)), y) if n.wants(0) else None
    return whole, *(_swapped(b, s) if n.wants(i + 1) else None for i, s in enumerate(states))


@rule("RNN")
def rnn(n: Source, b: Builder) -> tuple[Value | None, ...]:
    layer, batch_first = _layer(n, "Tanh"), n.flag("layout")
    found = b.multi(ops.RNN(**layer.fields), *_operands(n, b, batch_first))
    return _results(n, b, found, batch_first)


@rule("GRU")
def gru(n: Source, b: Builder) -> tuple[Value | None, ...]:
    layer, batch_first = _layer(n, "Sigmoid", "Tanh"), n.flag("layout")
    op = ops.GRU(**layer.fields, linear_before_reset=n.flag("linear_before_reset"))
    return _results(n, b, b.multi(op, *_operands(n, b, batch_first)), batch_first)


@rule("LSTM")
def lstm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    layer, batch_first = _layer(n, "Sigmoid", "Tanh", "Tanh"), n.flag("layout")
    op = ops.LSTM(**layer.fields, input_forget=n.flag("input_forget"))
    return _results(n, b, b.multi(op, *_operands(n, b, batch_first)), batch_first)


@rule("com.microsoft.DynamicQuantizeLSTM")
def dynamic_quantize_lstm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    """An LSTM over dequantized weights; what is lost by quantizing inputs and states on the way is not."""
    op = ops.LSTM(**_layer(n, "Sigmoid", "Tanh", "Tanh", axis=1).fields, input_forget=n.flag("input_forget"))
    operands = _operands(n, b, batch_first=False)
    for index, scale in ((1, 8), (2, 10)):
        operands[index] = _dequantized(n, b, index, scale)
    return b.multi(op, *operands)


def _dequantized(n: Source, b: Builder, index: int, scale: int) -> Value:
    """Weights that lie the other way round, with a scale for each direction, or each column too."""
    codes, factor, zero = (n.operand(i) for i in (index, scale, scale + 1))
    columns = factor.type.shape[1] if factor.type.rank > 1 else 1
    if columns == 1:
        directions = (codes.type.shape[0],)
        turned = b(ops.Transpose(perm=(0, 2, 1)), codes)
        return b(ops.Dequantize(), turned, *(b(ops.Reshape(shape=directions), v) for v in (factor, zero)))
    shape = (codes.type.shape[0], 1, columns)
    shifted = b(
        ops.Sub(), *(b(ops.Cast(to=dtypes.F32), v) for v in (codes, b(ops.Reshape(shape=shape), zero)))
    )
    real = b(ops.Mul(), shifted, b(ops.Reshape(shape=shape), factor))
    return b(ops.Transpose(perm=(0, 2, 1)), real)
