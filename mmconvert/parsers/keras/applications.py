"""The layers that `keras.applications` defines for itself."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Add, Identity, Mul
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("LayerScale")
def layer_scale(layer: KerasLayer, b: Builder) -> Value:
    """ConvNeXt: a learned factor for each channel."""
    layer.ignore("init_values")
    (gamma,) = layer.variables({"gamma": (layer.integer("projection_dim"),)})
    return b(Mul(), layer.input(), layer.weight("gamma", gamma))


@rule("StochasticDepth")
def stochastic_depth(layer: KerasLayer, b: Builder) -> Value:
    """ConvNeXt: branches are left out at random, in training only."""
    layer.ignore("drop_path_rate")
    return b(Identity(), layer.input())


@rule("CustomScaleLayer")
def custom_scale(layer: KerasLayer, b: Builder) -> Value:
    """Inception-ResNet: x + scale * y."""
    x, y = layer.inputs if len(layer.inputs) == 2 else (None, None)
    if x is None or y is None:
        raise layer.invalid("the layer takes two tensors")
    return b(Add(), x, b(Mul(), y, layer.number("scale")))
