"""Runs Keras files in Keras itself, on TensorFlow's CPU kernels: the source framework as a witness.

Files of Keras 2 that Keras 3 refuses run in Keras 2, where that is installed beside it (``tf_keras``).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.files import require_file
from mmconvert.runtimes.quiet import quiet
from mmconvert.tensors import Array

NAME = "Keras"

_REFUSALS = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
"""What Keras raises for a file that it cannot load; its errors have no base of their own."""


def available() -> str | None:
    """The version of Keras, or None when it or its backend is not installed."""
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("tensorflow") is None:
        return None
    from importlib.metadata import version

    return version("keras")


class Session:
    """A loaded Keras model.

    Nothing in the file is executed: Keras loads it in its safe mode, which refuses Lambda layers. What
    stateful layers keep are inputs, ``<layer>/state_<number>``, and outputs, the same and ``_next``.

    Args:
        path: a ``.keras`` or HDF5 file.
        threads: how many threads compute; Keras shares TensorFlow's pool, set by the first session.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: Keras or TensorFlow is not installed.
        UsageError: there is no such file.
        InvalidModelError: Keras refuses the file.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        if available() is None:
            raise MissingDependencyError(
                "Keras and TensorFlow are needed to run a Keras file, and are not installed",
                hint="pip install 'mmconvert[keras]'",
            )
        require_file(Path(path))
        self._place = str(path)
        with quiet():
            keras, tf = _frameworks()
            with contextlib.suppress(RuntimeError):  # the pool is already running: its size stays
                tf.config.threading.set_intra_op_parallelism_threads(threads)
            self._model = _loaded(keras, path)
        self._states = dict(_states(self._model, ""))
        self._tensors = [t.name for t in self._model.inputs]
        self.inputs = [*self._tensors, *self._states]
        made = _unique([_maker(t).name for t in self._model.outputs])
        self.outputs = [*made, *(f"{name}_next" for name in self._states)]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong shape.
            InvalidModelError: an operation failed on these values.
        """
        results = self._call(self._model, inputs)
        kept = [np.asarray(state) for state in self._states.values()]
        return dict(zip(self.outputs, [*results, *kept], strict=True))

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The output of every layer and operation, by its name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong shape.
        """
        named = list(_tensors(self._model))
        probe = _functional(self._model)(self._model.inputs, [tensor for _, tensor in named])
        results = self._call(probe, inputs)
        return dict(zip(_unique([name for name, _ in named]), results, strict=True))

    def _call(self, model: Any, inputs: Mapping[str, Array]) -> list[Array]:
        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=self._place,
            )
        _, tf = _frameworks()
        try:
            with quiet():
                for name, state in self._states.items():
                    state.assign(inputs[name])
                results = model([inputs[n] for n in self._tensors], training=False)
                return [np.asarray(a) for a in tf.nest.flatten(results)]
        except (ValueError, TypeError) as error:
            raise UsageError(f"the inputs do not fit: {_line(error)}", where=self._place) from error
        except tf.errors.OpError as error:
            raise InvalidModelError(f"Keras failed: {_line(error)}", where=self._place) from error


def _frameworks() -> tuple[Any, Any]:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow

    return keras, tensorflow


def _loaded(keras: Any, path: str | Path) -> Any:
    """The model in ``path``, loaded by Keras 3, or else by Keras 2.

    Raises:
        InvalidModelError: both refuse it; with what Keras 3 says.
    """
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except _REFUSALS as error:
        if importlib.util.find_spec("tf_keras") is not None:
            import tf_keras
            from tf_keras.src.saving import serialization_lib

            # The loader of HDF5 files does not pass safe_mode on to the layers.
            with contextlib.suppress(*_REFUSALS), serialization_lib.SafeModeScope(True):
                return tf_keras.models.load_model(path, compile=False)
        raise InvalidModelError(f"Keras refuses this file: {_line(error)}", where=str(path)) from error


def _functional(model: Any) -> Any:
    """The class ``Model`` of the Keras that loaded ``model``."""
    keras, _ = _frameworks()
    if isinstance(model, keras.Model):
        return keras.Model
    import tf_keras

    return tf_keras.Model


def _maker(tensor: Any) -> Any:
    """The layer or operation that makes a symbolic tensor."""
    history = tensor._keras_history
    return history.layer if hasattr(history, "layer") else history.operation


def _states(layer: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What stateful layers within ``layer`` keep, by the names that the reader of Keras files gives them."""
    inner = getattr(layer, "layers", None) or [
        getattr(layer, key) for key in ("forward_layer", "backward_layer") if hasattr(layer, key)
    ]
    for part in inner:
        yield from _states(part, f"{place}{part.name}/")
    if not inner and getattr(layer, "stateful", False):
        states = getattr(layer, "states", None)
        states = states if isinstance(states, list | tuple) else [states]
        _, tf = _frameworks()
        for index, state in enumerate(tf.nest.flatten(states)):
            if state is not None:
                yield f"{place}state_{index}", state


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor that an operation of the model makes, with the operation's name, inputs first."""
    functional = getattr(model, "_functional", None) or model
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            maker = node.layer if hasattr(node, "layer") else node.operation
            outputs = node.outputs if isinstance(node.outputs, list | tuple) else [node.outputs]
            for tensor in outputs:
                yield maker.name, tensor


def _unique(names: list[str]) -> list[str]:
    """Names made distinct by a counter, as Keras itself does for outputs of one layer."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
