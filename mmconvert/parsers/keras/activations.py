"""Activations: functions of `keras.activations`, by name or as operations, and the layers that are one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    Cast,
    Celu,
    Clip,
    CumSum,
    Div,
    Elu,
    Exp,
    Gelu,
    Greater,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    LogSoftmax,
    Mish,
    Mul,
    Neg,
    PRelu,
    ReduceLogSumExp,
    ReduceSum,
    Relu,
    Selu,
    Shrink,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Split,
    Sqrt,
    Square,
    Sub,
    Tanh,
    ThresholdedRelu,
    TopK,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")
function: Rules[str] = Rules("Keras activation")
"""By the name of the function; ``since`` is the major version of Keras."""

Function = Callable[[Builder, Value], Value]

_HINT = "say which one of keras.activations it is: --keras-activation '{}=leaky_relu:0.2'"


def activate(layer: KerasLayer, x: Value, key: str = "activation") -> Value:
    """``x`` through the activation in the config of ``layer``: a function's name, or a layer.

    Raises:
        UnsupportedError: it is not one of Keras's own.
    """
    item = layer.setting(key, None)
    if item is None or item == "linear":
        return x
    name = _name(item)
    if name is None and isinstance(item, dict) and isinstance(item.get("config"), dict):
        return layer.apply(item, x)
    found = layer.host.activations.get(name) if isinstance(name, str) else None
    if found is None and isinstance(name, str):
        found = function.find(name, layer.version)
    if found is None:
        problem = Problem(f"activation {name!r}", (layer.place,), _HINT.format(name))
        raise UnsupportedError(problem.what, problems=[problem])
    apply: Function = found
    return apply(layer.b, x)


def _name(item: Any) -> str | None:
    """The name of a function, ``<lambda>`` for one that has none; None for anything else."""
    if isinstance(item, dict):
        code = item.get("class_name") == "__lambda__" or ("class_name" not in item and "value" in item)
        item = "<lambda>" if code else item.get("config")
    return item if isinstance(item, str) else None


@rule("Activation")
def activation(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    y = activate(layer, x)
    return b(Identity(), x) if y is x else y


# --- functions ---------------------------------------------------------------------------------------


@function("relu")
def relu(b: Builder, x: Value) -> Value:
    return b(Relu(), x)


@function("relu6")
def relu6(b: Builder, x: Value) -> Value:
    return b(Clip(low=0.0, high=6.0), x)


@function("leaky_relu")
def leaky_relu(b: Builder, x: Value, slope: float = 0.2) -> Value:
    return b(LeakyRelu(alpha=slope), x)


@function("elu")
def elu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    return b(Elu(alpha=alpha), x)


@function("celu")
def celu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    return b(Celu(alpha=alpha), x)


@function("selu")
def selu(b: Builder, x: Value) -> Value:
    return b(Selu(), x)


@function("gelu")
def gelu(b: Builder, x: Value, approximate: bool = False) -> Value:
    return b(Gelu(approximate=approximate), x)


@function("silu", "swish")
def silu(b: Builder, x: Value) -> Value:
    return b(Silu(), x)


@function("hard_silu", "hard_swish")
def hard_silu(b: Builder, x: Value) -> Value:
    return b(HardSwish(), x)


@function("mish")
def mish(b: Builder, x: Value) -> Value:
    return b(Mish(), x)


@function("sigmoid")
def sigmoid(b: Builder, x: Value) -> Value:
    return b(Sigmoid(), x)


@function("hard_sigmoid")
def hard_sigmoid_2(b: Builder, x: Value) -> Value:
    return b(HardSigmoid(alpha=0.2, beta=0.5), x)


@function("hard_sigmoid", since=3)
def hard_sigmoid(b: Builder, x: Value) -> Value:
    return b(HardSigmoid(alpha=1 / 6, beta=0.5), x)


@function("sparse_sigmoid")
def sparse_sigmoid(b: Builder, x: Value) -> Value:
    return b(HardSigmoid(alpha=0.5, beta=0.5), x)


@function("log_sigmoid")
def log_sigmoid(b: Builder, x: Value) -> Value:
    return b(Neg(), b(Softplus(), b(Neg(), x)))


@function("tanh")
def tanh(b: Builder, x: Value) -> Value:
    return b(Tanh(), x)


@function("hard_tanh")
def hard_tanh(b: Builder, x: Value) -> Value:
    return b(Clip(low=-1.0, high=1.0), x)


@function("tanh_shrink")
def tanh_shrink(b: Builder, x: Value) -> Value:
    return b(Sub(), x, b(Tanh(), x))


@function("hard_shrink")
def hard_shrink(b: Builder, x: Value, threshold: float = 0.5) -> Value:
    return b(Shrink(bias=0.0, threshold=threshold), x)


@function("soft_shrink")
def soft_shrink(b: Builder, x: Value, threshold: float = 0.5) -> Value:
    return b(Shrink(bias=threshold, threshold=threshold), x)


@function("softplus")
def softplus(b: Builder, x: Value) -> Value:
    return b(Softplus(), x)


@function("softsign")
def softsign(b: Builder, x: Value) -> Value:
    return b(Softsign(), x)


@function("squareplus")
def squareplus(b: Builder, x: Value, offset: float = 4.0) -> Value:
    """(x + sqrt(x^2 + b)) / 2."""
    root = b(Sqrt(), b(Add(), b(Square(), x), offset))
    return b(Mul(), b(Add(), x, root), 0.5)


@function("sparse_plus")
def sparse_plus(b: Builder, x: Value) -> Value:
    """0 below -1, (x + 1)^2 / 4 up to 1, then x."""
    curve = b(Mul(), b(Square(), b(Clip(low=0.0, high=2.0), b(Add(), x, 1.0))), 0.25)
    return b(Where(), b(Greater(), x, 1.0), x, curve)


@function("exponential")
def exponential(b: Builder, x: Value) -> Value:
    return b(Exp(), x)


@function("softmax")
def softmax(b: Builder, x: Value, axis: int = -1) -> Value:
    return b(Softmax(axis=x.type.axis(axis)), x)


@function("log_softmax")
def log_softmax(b: Builder, x: Value, axis: int = -1) -> Value:
    return b(LogSoftmax(axis=x.type.axis(axis)), x)


@function("glu")
def glu(b: Builder, x: Value, axis: int = -1) -> Value:
    """The first half along ``axis``, times the sigmoid of the second."""
    axis = x.type.axis(axis)
    extent = x.type.shape[axis]
    left, right = b.multi(Split(axis=axis, sizes=(extent // 2, extent - extent // 2)), x)
    return b(Mul(), left, b(Sigmoid(), right))


@function("sparsemax")
def sparsemax(b: Builder, x: Value, axis: int = -1) -> Value:
    """max(x - tau, 0) after Martins and Astudillo (2016), as far as Keras follows them.

    Of the values in descending order those are kept with ``value > (cumulated sum - 1) / number``; tau is
    then ``(sum of the kept - 1) / number of the kept``. Keras adds up the cumulated sums of the kept values
    instead, on every backend, and that is what its users trained with.
    """
    axis = x.type.axis(axis)
    extent = x.type.shape[axis]
    if not isinstance(extent, int):
        raise UnsupportedError(
            "sparsemax", problems=[Problem("sparsemax over an unknown extent", (str(b.origin),))]
        )
    counts = np.arange(1, extent + 1, dtype=x.type.dtype).reshape([-1] + [1] * (x.type.rank - 1 - axis))
    ordered, _ = b.multi(TopK(k=extent, axis=axis), x)
    cumulated = b(CumSum(axis=axis), ordered)
    kept = b(Cast(to=x.type.dtype), b(Greater(), ordered, b(Div(), b(Sub(), cumulated, 1.0), counts)))
    number = b(ReduceSum(axes=(axis,), keepdims=True), kept)
    total = b(ReduceSum(axes=(axis,), keepdims=True), b(Mul(), cumulated, kept))
    return b(Relu(), b(Sub(), x, b(Div(), b(Sub(), total, 1.0), number)))


# --- layers ------------------------------------------------------------------------------------------


@rule("ReLU", "ops.ReLU")
def relu_layer(layer: KerasLayer, b: Builder) -> Value:
    """max_value where x >= max_value, x from threshold on, negative_slope * (x - threshold) below."""
    x = layer.input()
    slope, threshold = layer.number("negative_slope", 0.0), layer.number("threshold", 0.0)
    ceiling = None if layer.setting("max_value", None) is None else layer.number("max_value")
    if threshold == 0.0 and ceiling is None and slope != 0.0:
        return b(LeakyRelu(alpha=slope), x)
    if threshold == 0.0:
        y = b(Relu(), x) if ceiling is None else b(Clip(low=0.0, high=ceiling), x)
    else:
        y = b(ThresholdedRelu(alpha=threshold), x)
        y = y if ceiling is None else b(Clip(low=0.0, high=ceiling), y)
    if slope == 0.0:
        return y
    below = b(Relu(), b(Sub(), b.constant(threshold, x.type.dtype), x))
    return b(Sub(), y, b(Mul(), below, slope))


@rule("LeakyReLU")
def leaky_relu_layer(layer: KerasLayer, b: Builder) -> Value:
    key = "alpha" if "alpha" in layer.record.settings else "negative_slope"
    return leaky_relu(b, layer.input(), layer.number(key, 0.3))


@rule("ThresholdedReLU")
def thresholded_relu(layer: KerasLayer, b: Builder) -> Value:
    return b(ThresholdedRelu(alpha=layer.number("theta", 1.0)), layer.input())


@rule("PReLU")
def prelu(layer: KerasLayer, b: Builder) -> Value:
    x = layer.input()
    shared = layer.integers("shared_axes", None, []) if layer.setting("shared_axes", None) is not None else ()
    shape = tuple(1 if axis in shared else layer.extent(x, axis) for axis in range(1, x.type.rank))
    (alpha,) = layer.variables({"alpha": shape})
    return b(PRelu(), x, layer.weight("alpha", alpha))


@rule("ELU")
def elu_layer(layer: KerasLayer, b: Builder) -> Value:
    return elu(b, layer.input(), layer.number("alpha", 1.0))


@rule("Softmax")
def softmax_layer(layer: KerasLayer, b: Builder) -> Value:
    x, mask = layer.input(), layer.masks[0]
    axes = layer.axes(x)
    if mask is not None:
        return _masked_softmax(layer, b, x, mask, axes)
    return softmax_over(b, x, axes)


def _masked_softmax(layer: KerasLayer, b: Builder, x: Value, mask: Value, axes: tuple[int, ...]) -> Value:
    """What is not seen has no part. Keras 2 lowers it by 1e9, Keras 3 sets it to that, and gives 0 for it."""
    layer.mask = mask
    low = -3e4 if x.type.dtype.itemsize < 4 else -1e9
    seen = layer.cast(mask, dtypes.BOOL)
    hidden = b.constant(low, x.type.dtype)
    if layer.version < 3:
        seen_by = b(Where(), seen, b.constant(0.0, x.type.dtype), hidden)
        return softmax_over(b, b(Add(), x, seen_by), axes)
    y = softmax_over(b, b(Where(), seen, x, hidden), axes)
    return b(Where(), seen, y, b.constant(0.0, x.type.dtype))


def softmax_over(b: Builder, x: Value, axes: tuple[int, ...]) -> Value:
    """Softmax over one axis or several."""
    if len(axes) == 1:
        return softmax(b, x, axes[0])
    return b(Exp(), b(Sub(), x, b(ReduceLogSumExp(axes=axes, keepdims=True), x)))


# --- operations --------------------------------------------------------------------------------------

_PLAIN = {
    "Relu": relu,
    "Relu6": relu6,
    "Selu": selu,
    "Silu": silu,
    "HardSilu": hard_silu,
    "Mish": mish,
    "Sigmoid": sigmoid,
    "HardSigmoid": hard_sigmoid,
    "SparseSigmoid": sparse_sigmoid,
    "LogSigmoid": log_sigmoid,
    "HardTanh": hard_tanh,
    "TanhShrink": tanh_shrink,
    "Softplus": softplus,
    "Softsign": softsign,
    "SparsePlus": sparse_plus,
}
_WITH_NUMBER: dict[str, tuple[Callable[[Builder, Value, float], Value], str]] = {
    "LeakyRelu": (leaky_relu, "negative_slope"),
    "Elu": (elu, "alpha"),
    "Celu": (celu, "alpha"),
    "HardShrink": (hard_shrink, "threshold"),
    "SoftShrink": (soft_shrink, "threshold"),
    "Squareplus": (squareplus, "b"),
}
_WITH_AXIS: dict[str, Callable[[Builder, Value, int], Value]] = {
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Glu": glu,
    "Sparsemax": sparsemax,
}


@rule(*(f"ops.{name}" for name in _PLAIN))
def plain(layer: KerasLayer, b: Builder) -> Value:
    return _PLAIN[layer.kind](b, layer.tensor(0, "x"))


@rule(*(f"ops.{name}" for name in _WITH_NUMBER))
def with_number(layer: KerasLayer, b: Builder) -> Value:
    apply, key = _WITH_NUMBER[layer.kind]
    return apply(b, layer.tensor(0, "x"), layer.number(key))


@rule(*(f"ops.{name}" for name in _WITH_AXIS))
def with_axis(layer: KerasLayer, b: Builder) -> Value:
    return _WITH_AXIS[layer.kind](b, layer.tensor(0, "x"), layer.integer("axis", -1))


@rule("ops.Gelu")
def gelu_operation(layer: KerasLayer, b: Builder) -> Value:
    return gelu(b, layer.tensor(0, "x"), layer.flag("approximate", True))


@rule("ops.Threshold")
def threshold_operation(layer: KerasLayer, b: Builder) -> Value:
    """x where it is above the threshold, the default elsewhere."""
    x = layer.tensor(0, "x")
    default = b.constant(layer.number("default_value"), x.type.dtype)
    return b(Where(), b(Greater(), x, layer.number("threshold")), x, default)
