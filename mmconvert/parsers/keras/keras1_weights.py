"""Variables of Keras 1, filed under other names, gate by gate, and with axes in the order of the images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.parsers.keras.hdf5 import Group
from mmconvert.parsers.keras.source import Record
from mmconvert.parsers.keras.weights import Weights
from mmconvert.tensors import Array, Tensor

_NAMES = {
    "alpha": "alphas",
    "bias": "b",
    "embeddings": "W",
    "kernel": "W",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
    "recurrent_kernel": "U",
}

_GATES = {"LSTMCell": ("ifco", "icfo"), "ConvLSTM2D": ("ifco", "icfo"), "GRUCell": ("zrh", "zrh")}
"""The gates in the order of Keras 2, and as they stand in the file."""

_CELLS = ("simple_rnn_cell", "gru_cell", "lstm_cell", "conv_lstm_cell")
_KERNELS = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "ConvLSTM2D")


class FirstWeights:
    """`model_weights` of a file of Keras 1: variables are called ``<layer>_<name>``."""

    def __init__(self, root: Group) -> None:
        self._root = root

    def mode(self, part: Record) -> None:
        """Keras 1 quantizes nothing."""

    def of(self, layer: Record, names: Sequence[str]) -> list[Tensor]:
        """See ``Weights.of``."""
        title = _title(layer)
        # The layers of a merged model are filed as if they stood outside of it.
        group = self._root.group(layer.trail[0]) or self._root.group(title)
        if group is None:
            raise InvalidModelError(f"the file has no weights for {layer.place}", where=self._root.where)
        paths = group.texts("weight_names") or []
        mine, stored = _GATES.get(layer.kind, ("", ""))
        roots = [_NAMES.get(name, name) for name in names]
        wanted = [[root] for root in roots]
        found = _named(title, wanted, paths) or _ordered(layer, roots, paths)
        if found is None and mine:
            wanted = [[f"{root}_{gate}" for gate in mine] for root in roots]
            order = [f"{root}_{gate}" for gate, root in product(stored, roots)]
            found = _named(title, wanted, paths) or _ordered(layer, order, paths)
        if found is None:
            mine, theirs = ", ".join(names), ", ".join(paths) or "none"
            raise InvalidModelError(
                f"{layer.place} has the variables {mine}, and the file {theirs}", where=group.where
            )
        return [
            _joined([_arranged(layer, name, group.tensor(found[key])) for key in keys])
            for name, keys in zip(names, wanted, strict=True)
        ]


def _title(layer: Record) -> str:
    """The name of a layer, or of the one that a cell belongs to; sides of a Bidirectional have their own."""
    trail = [name for name in layer.trail if name not in _CELLS] or list(layer.trail)
    side = re.search(r"(forward|backward)_layer/", layer.key)
    return f"{side[1]}_{trail[-1]}" if side else trail[-1]


def _named(title: str, wanted: list[list[str]], paths: list[str]) -> dict[str, str] | None:
    """The path of each wanted variable by its name, to which TensorFlow may have added ``_1`` and ``:0``."""
    names: dict[str, str] = {}
    for path in paths:
        last = re.sub(r"(_\d+)?(:\d+)?$", "", path.rpartition("/")[2])
        names.setdefault(last.removeprefix(f"{title}_") if last.startswith(f"{title}_") else "", path)
    found = {key: names[key] for keys in wanted for key in keys if key in names}
    return found if len(found) == sum(map(len, wanted)) else None


def _ordered(layer: Record, order: list[str], paths: list[str]) -> dict[str, str] | None:
    """The same by their order, where the group belongs to the layer alone."""
    alone = all(name in _CELLS for name in layer.trail[1:])
    return dict(zip(order, paths, strict=True)) if alone and len(order) == len(paths) else None


def _arranged(layer: Record, name: str, tensor: Tensor) -> Tensor:
    """A kernel with its spatial axes first, as Keras 2 has it."""
    rank, first = len(tensor.shape), layer.settings.get("data_format") == "channels_first"
    if name not in _KERNELS or rank < 4:
        return tensor
    if layer.kind == "Conv1D":
        return _line(layer, tensor)
    if layer.kind == "Conv2DTranspose":
        return tensor.transpose((2, 3, 0, 1) if first else (0, 1, 3, 2))
    return tensor.transpose((*range(2, rank), 1, 0)) if first else tensor


def _line(layer: Record, tensor: Tensor) -> Tensor:
    """``length, 1, inputs, outputs``; before Keras 1.1 ``outputs, inputs, length, 1``."""
    if tensor.shape[1] != 1 or tensor.shape[3] != layer.settings.get("filters"):
        tensor = tensor.transpose((2, 3, 1, 0))
    return tensor.reshape((tensor.shape[0], *tensor.shape[2:]))


def _joined(parts: list[Tensor]) -> Tensor:
    """Gates side by side."""
    first, rest = parts[0], parts[1:]
    if not rest:
        return first

    def join(array: Array) -> Array:
        return np.concatenate([array, *(part.numpy() for part in rest)], axis=-1)

    return first.map(join, shape=(*first.shape[:-1], sum(part.shape[-1] for part in parts)))


class TurnedKernels:
    """The weights of a file that Keras wrote on Theano, which turns the kernels of convolutions round."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def mode(self, part: Record) -> str | None:
        """See ``Weights.mode``."""
        return self._weights.mode(part)

    def of(self, layer: Record, names: Sequence[str]) -> list[Tensor]:
        """See ``Weights.of``."""
        found = self._weights.of(layer, names)
        if layer.kind not in _CONVOLUTIONS:
            return found
        return [_turned(t) if name in _KERNELS else t for name, t in zip(names, found, strict=True)]


def _turned(tensor: Tensor) -> Tensor:
    axes = tuple(range(len(tensor.shape) - 2))
    return tensor.map(lambda array: np.ascontiguousarray(np.flip(array, axes)))


def by_theano(root: Group, version: int) -> bool:
    """True for weights that Keras wrote on Theano.

    Keras 1 does not say so, but of the two only TensorFlow numbers the names of variables.
    """
    backend = root.text("backend")
    if backend is not None or version > 1:
        return backend == "theano"
    layers = (root.group(name) for name in root.texts("layer_names") or [])
    names = [name for layer in layers if layer is not None for name in layer.texts("weight_names") or []]
    return bool(names) and not any(":" in name for name in names)
