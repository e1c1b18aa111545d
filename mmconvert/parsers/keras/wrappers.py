"""Layers that hold another layer: Bidirectional, TimeDistributed and SpectralNormalization."""

from __future__ import annotations

from typing import Any

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Concat, Mul, Reshape, Reverse
from mmconvert.parsers.keras import recurrent
from mmconvert.parsers.keras.layer import KerasLayer, quantization
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_MERGES: dict[str, Op] = {"sum": Add(), "ave": Add(), "mul": Mul()}


@rule("Bidirectional")
def bidirectional(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    """A recurrent layer and one that goes the other way, whose outputs take the order of the first."""
    if not layer.inputs:
        raise layer.invalid("the layer is called on nothing")
    x, mask = layer.inputs[0], layer.masks[0]
    sides = _sides(layer)
    initial = recurrent.initial_state(layer)
    half = len(initial) // 2
    results, outputs = [], []
    sequences = sides[0].flag("return_sequences", False)
    for index, (side, state) in enumerate(zip(sides, (initial[:half], initial[half:]), strict=True)):
        result = recurrent.run(side, b, x, mask, state)
        output = recurrent.in_order(side, b, result.outputs) if sequences else result.last
        outputs.append(b(Reverse(axes=(1,)), output) if sequences and index else output)
        results.append(result)
    returned = sides[0].flag("return_state", False)
    for side in sides:
        side.ignore("return_sequences", "return_state")
        side.finish()
    if sequences:
        layer.mask = mask
    merged = _merged(layer, b, outputs)
    return (*merged, *results[0].state, *results[1].state) if returned else merged


def _sides(layer: KerasLayer) -> list[KerasLayer]:
    """Both layers; Keras 2 leaves the second one out when it is the first one turned round."""
    item = layer.setting("layer")
    if not isinstance(item, dict) or not isinstance(item.get("config"), dict):
        raise layer.invalid("there is no layer inside")
    config: dict[str, Any] = item["config"]
    # Keras makes both give zeros where the mask is false, so that they can be added up.
    zero = bool(config.get("return_sequences")) if layer.version < 3 else None
    settings = config if zero is None else config | {"zero_output_for_mask": zero}
    turned = settings | {"go_backwards": not settings.get("go_backwards")}
    backward = layer.setting("backward_layer", None) or item | {"config": turned}
    if not isinstance(backward, dict) or not isinstance(backward.get("config"), dict):
        raise layer.invalid("there is no layer for the way back")
    if zero is not None:
        backward = backward | {"config": backward["config"] | {"zero_output_for_mask": zero}}
    forward = item | {"config": settings}
    return [
        layer.inner(_named(side, f"{key}_") if layer.version > 1 else side, f"{key}_layer/")
        for side, key in ((forward, "forward"), (backward, "backward"))
    ]


def _named(item: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The layer under the name that it has in Keras; Keras 2 writes that of the layer it was given, twice."""
    name = item["config"].get("name")
    if not isinstance(name, str) or name.startswith(prefix):
        return item
    return item | {"config": item["config"] | {"name": prefix + name}}


def _merged(layer: KerasLayer, b: Builder, outputs: list[Value]) -> tuple[Value, ...]:
    mode = layer.setting("merge_mode", "concat")
    if mode is None:
        return tuple(outputs)
    if mode == "concat":
        return (b(Concat(axis=outputs[0].type.rank - 1), *outputs),)
    if mode not in _MERGES:
        raise layer.refuse(f"merge_mode {mode!r}")
    merged = b(_MERGES[mode], *outputs)
    return (b(Mul(), merged, 0.5) if mode == "ave" else merged,)


@rule("TimeDistributed")
def time_distributed(layer: KerasLayer, b: Builder) -> Value:
    """A layer over each step: time becomes part of the batch, which no layer mixes."""
    x, item = layer.input(), layer.setting("layer")
    if x.type.rank < 2:
        raise layer.invalid(f"a tensor with a time axis is needed, not {x.type}")
    settings = item.get("config") if isinstance(item, dict) else None
    if isinstance(settings, dict) and settings.get("stateful"):
        raise layer.refuse(
            "a layer with a state that goes from step to step", "use it without TimeDistributed"
        )
    if isinstance(settings, dict) and quantization(settings.get("dtype")) is not None:
        raise layer.refuse(
            "a quantized layer, whose scales Keras leaves out there", "use it without TimeDistributed"
        )
    batch, time = x.type.shape[:2]
    steps = b(Reshape(shape=(dims.product((batch, time)), *x.type.shape[2:])), x)
    y = layer.apply(item, steps, "layer/")
    layer.mask = layer.masks[0]
    return b(Reshape(shape=(batch, time, *y.type.shape[1:])), y)


@rule("SpectralNormalization")
def spectral_normalization(layer: KerasLayer, b: Builder) -> Value:
    """The weights are normalised in training, and saved so."""
    layer.ignore("power_iterations")
    return layer.apply(layer.setting("layer"), layer.input(), "layer/")
