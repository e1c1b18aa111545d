"""Configs of Keras 1 in the words of Keras 2, so that one set of rules reads both.

What Keras 2 has no word for keeps its own, and is read (or refused) under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mmconvert.errors import InvalidModelError
from mmconvert.parsers.keras.source import MAX_DEPTH

Config = dict[str, Any]

_KINDS = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}

_WORDS = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "length": "size",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}

_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "dot": "Dot",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}

_ORDERS = {"th": "channels_first", "tf": "channels_last"}

# How weights began, and how products were computed: nothing that changes what a trained layer does.
_DROPPED = frozenset({"consume_less", "forget_bias_init", "init", "inner_init", "input_dim", "input_length"})
_KERNELS = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_SIDES = {
    "ZeroPadding1D": (("left_pad", "right_pad"),),
    "ZeroPadding2D": (("top_pad", "bottom_pad"), ("left_pad", "right_pad")),
}

# Layers over images that do not note where their channels stand.
_SILENT = frozenset(f"{kind}{n}D" for kind in ("UpSampling", "ZeroPadding", "Cropping") for n in (2, 3))


def translate(config: Any, where: str) -> Any:
    """The description of a model as Keras 2 would have written it.

    Raises:
        InvalidModelError: it is nested beyond reason, or merges what is not there.
    """
    orders = {order for order in _orders(config) if isinstance(order, str)}
    return _Translator(where, orders).item(config, 0)


def _orders(config: Any) -> Iterator[Any]:
    """Where the layers that note it have their channels."""
    stack = [config]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            yield top.get("dim_ordering")
        stack.extend(top.values() if isinstance(top, dict) else top if isinstance(top, list) else ())


@dataclass(frozen=True)
class _Translator:
    """
    Attributes:
        where: the file.
        orders: where layers of the model say that channels stand.
    """

    where: str
    orders: set[str]

    def item(self, item: Any, depth: int) -> Any:
        """A layer or a model, with all that is in it."""
        self.require_shallow(depth)
        kind, settings = (
            (item.get("class_name"), item.get("config")) if isinstance(item, dict) else ("", None)
        )
        if kind == "Sequential" and isinstance(settings, list):
            return self._sequential(item, settings, depth)
        if not isinstance(settings, dict) or not isinstance(kind, str):
            return item
        if kind == "Merge":
            return item | _merge(settings)
        if isinstance(settings.get("layers"), list):
            layers = [self.item(layer, depth + 1) for layer in settings["layers"]]
            return item | {"config": settings | {"layers": layers}}
        if isinstance(settings.get("layer"), dict):
            return item | {"config": settings | {"layer": self.item(settings["layer"], depth + 1)}}
        return item | {"class_name": _KINDS.get(kind, kind), "config": self._settings(kind, settings)}

    def require_shallow(self, depth: int) -> None:
        """Refuses models that are nested beyond reason."""
        if depth > MAX_DEPTH:
            raise InvalidModelError(f"models are nested deeper than {MAX_DEPTH}", where=self.where)

    def _sequential(self, item: Config, layers: list[Any], depth: int) -> Config:
        name = item.get("name", "sequential")
        if not begins_with_merge(layers):
            made = [self.item(layer, depth + 1) for layer in layers]
            return item | {"config": {"name": name, "layers": made}}
        join = _Join(self)
        end = join.chain(layers, depth)
        config = {"layers": join.layers, "input_layers": join.inputs, "output_layers": [[end, 0, 0]]}
        return item | {"class_name": "Model", "config": {"name": name} | config}

    def _settings(self, kind: str, settings: Config) -> Config:
        """The settings of a layer that holds no other."""
        made: Config = {}
        for key, value in settings.items():
            if key == "dim_ordering":
                made["data_format"] = _ORDERS.get(value, value) if isinstance(value, str) else value
            elif key not in _DROPPED and not any(key in axes for axes in _KERNELS):
                made[_WORDS.get(key, key)] = value
        for axes in _KERNELS:
            if all(axis in settings for axis in axes):
                made["kernel_size"] = [settings[axis] for axis in axes]
        if kind in _SILENT and "data_format" not in made and self.orders:
            # Keras 1 asked its configuration; the other layers tell what that was.
            made["data_format"] = _ORDERS.get(
                "".join(sorted(self.orders)), "that of layers that differ in it"
            )
        if kind == "BatchNormalization" and made.get("mode") == 0:
            del made["mode"]  # The others do not use the statistics of the training.
        elif kind == "InputLayer":
            made["dtype"] = made.pop("input_dtype", "float32")
        elif kind == "Embedding":
            made |= {"input_dim": settings.get("input_dim"), "output_dim": made.pop("units", None)}
            made.pop("dropout", None)
        elif kind in _SIDES:
            made["padding"] = _sides(made.get("padding"), _SIDES[kind])
        return made


def _sides(value: Any, sides: tuple[tuple[str, str], ...]) -> Any:
    """Padding as pairs; Keras 1 names its sides, or lists them one by one."""
    if isinstance(value, dict):
        pairs = [[value.get(side, 0) for side in pair] for pair in sides]
    elif isinstance(value, list) and len(value) == 2 * len(sides):
        pairs = [value[i : i + 2] for i in range(0, len(value), 2)]
    else:
        return value
    return pairs if len(pairs) > 1 else pairs[0]


def _merge(settings: Config) -> Config:
    """The layer that a Merge became; where there is none it stays a Merge."""
    mode = settings.get("mode")
    plain: Config = {key: settings[key] for key in ("name", "trainable") if key in settings}
    if settings.get("mode_type", "raw") != "raw" or mode not in _MERGES:
        return {"class_name": "Merge", "config": plain}
    if mode == "concat":
        plain["axis"] = settings.get("concat_axis", -1)
    elif mode == "dot":
        plain |= {"axes": settings.get("dot_axes", -1), "normalize": False}
    return {"class_name": _MERGES[mode], "config": plain}


def begins_with_merge(layers: list[Any]) -> bool:
    """True for the layers of a Sequential whose first one merges whole models."""
    first = layers[0] if layers else None
    settings = first.get("config") if isinstance(first, dict) and first.get("class_name") == "Merge" else None
    return (
        isinstance(settings, dict) and isinstance(settings.get("layers"), list) and bool(settings["layers"])
    )


@dataclass
class _Join:
    """The layers of all branches of such a Sequential as one network, as Keras 1 files their weights."""

    translator: _Translator
    layers: list[Config] = field(default_factory=list)
    inputs: list[list[Any]] = field(default_factory=list)

    def chain(self, items: list[Any], depth: int) -> str:
        """Adds a Sequential's layers; the name of the last one."""
        self.translator.require_shallow(depth)
        if not items:
            raise self._invalid("a merged model has no layers")
        chain = [self.translator.item(item, depth + 1) for item in items]
        if begins_with_merge(items):
            self._add(chain[0], *(self._branch(item, depth + 1) for item in items[0]["config"]["layers"]))
        elif chain[0]["class_name"] == "InputLayer":
            self.inputs.append([self._add(chain[0]), 0, 0])
        else:
            self._add(chain[0], self._made_up_input(chain[0]))
        for before, layer in pairwise(chain):
            self._add(layer, _name(before))
        return _name(chain[-1])

    def _branch(self, item: Any, depth: int) -> str:
        settings = item.get("config") if isinstance(item, dict) else None
        if isinstance(settings, list):
            return self.chain(settings, depth)
        match self.translator.item(item, depth):
            case {
                "config": {"layers": [*layers], "input_layers": [*inputs], "output_layers": [[str(end), *_]]}
            }:
                self.layers += layers
                self.inputs += inputs
                return end
        raise self._invalid("a branch of a Merge is not a model with one output")

    def _add(self, layer: Any, *before: str) -> str:
        if not isinstance(layer, dict) or not _name(layer):
            raise self._invalid("a layer of a merged model has no name")
        calls = [[[name, 0, 0] for name in before]] if before else []
        self.layers.append(layer | {"name": _name(layer), "inbound_nodes": calls})
        return _name(layer)

    def _made_up_input(self, first: Config) -> str:
        name = f"{_name(first)}_input"
        settings = first["config"] if isinstance(first.get("config"), dict) else {}
        config = {"name": name, "batch_input_shape": settings.get("batch_input_shape"), "dtype": "float32"}
        self.inputs.append([self._add({"class_name": "InputLayer", "config": config}), 0, 0])
        return name

    def _invalid(self, what: str) -> InvalidModelError:
        return InvalidModelError(what, where=self.translator.where)


def _name(layer: Any) -> str:
    settings = layer.get("config") if isinstance(layer, dict) else None
    name = settings.get("name") if isinstance(settings, dict) else None
    return name if isinstance(name, str) else ""
