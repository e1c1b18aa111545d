"""Layers that there were in Keras 1 only."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Add, MatMul, Mul, ReduceMax, Reshape, Sigmoid, Sub
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("MaxoutDense")
def maxout_dense(layer: KerasLayer, b: Builder) -> Value:
    """The largest of several products (Goodfellow et al., "Maxout networks", 2013)."""
    x = layer.input()
    x.type.require_rank(2)
    inputs, units, count = layer.extent(x, 1), layer.integer("units"), layer.integer("nb_feature")
    shapes: dict[str, tuple[int, ...] | None] = {"W": (count, inputs, units)}
    if layer.flag("use_bias", True):
        shapes["b"] = (count, units)
    kernel, *bias = layer.variables(shapes)
    flat = kernel.transpose((1, 0, 2)).reshape((inputs, count * units))
    y = b(MatMul(), x, layer.weight("W", flat))
    if bias:
        y = b(Add(), y, layer.weight("b", bias[0].reshape((count * units,))))
    apart = b(Reshape(shape=(x.type.shape[0], count, units)), y)
    return b(ReduceMax(axes=(1,), keepdims=False), apart)


@rule("Highway")
def highway(layer: KerasLayer, b: Builder) -> Value:
    """y t + x (1 - t), with a gate t (Srivastava et al., "Highway networks", 2015)."""
    x = layer.input()
    size = layer.extent(x, -1)
    shapes: dict[str, tuple[int, ...] | None] = {"W": (size, size), "W_carry": (size, size)}
    if layer.flag("use_bias", True):
        shapes |= {"b": (size,), "b_carry": (size,)}
    weights = dict(zip(shapes, layer.variables(shapes), strict=True))

    def product(kernel: str, bias: str) -> Value:
        y = b(MatMul(), x, layer.weight(kernel, weights[kernel]))
        return b(Add(), y, layer.weight(bias, weights[bias])) if bias in weights else y

    gate = b(Sigmoid(), product("W_carry", "b_carry"))
    y = activate(layer, product("W", "b"))
    return b(Add(), b(Mul(), y, gate), b(Mul(), b(Sub(), 1.0, gate), x))
