"""Runs Keras files in Keras itself, on TensorFlow's CPU kernels: the source framework as a witness."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.tensors import Array

NAME = "Keras"


def available() -> str | None:
    """The version of Keras, or None when it or its backend is not installed."""
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("tensorflow") is None:
        return None
    from importlib.metadata import version

    return version("keras")


class Session:
    """A loaded Keras model.

    Nothing in the file is executed: Keras loads it in its safe mode, which refuses Lambda layers.

    Args:
        path: a ``.keras`` or HDF5 file.
        threads: how many threads compute; Keras shares TensorFlow's pool, set by the first session.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: Keras or TensorFlow is not installed.
        InvalidModelError: Keras refuses the file.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        if available() is None:
            raise MissingDependencyError(
                "Keras and TensorFlow are needed to run a Keras file", hint="pip install 'mmconvert[keras]'"
            )
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with contextlib.redirect_stderr(io.StringIO()):
            import keras
            import tensorflow as tf
        with contextlib.suppress(RuntimeError):  # the pool is already running: its size stays
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        try:
            self._model = keras.models.load_model(path, compile=False)
        except (ValueError, TypeError, OSError, KeyError) as error:
            raise InvalidModelError(f"Keras refuses this file: {error}", where=str(path)) from error
        self.inputs = [t.name for t in self._model.inputs]
        self.outputs = _unique([t._keras_history.operation.name for t in self._model.outputs])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing or unknown.
        """
        if set(inputs) != set(self.inputs):
            raise UsageError(f"the inputs are {', '.join(self.inputs)}, not {', '.join(inputs)}")
        results = self._model([inputs[n] for n in self.inputs], training=False)
        arrays = results if isinstance(results, list | tuple) else [results]
        return dict(zip(self.outputs, (np.asarray(a) for a in arrays), strict=True))

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The output of every layer, by the layer's name."""
        import keras

        layers = [layer for layer in self._model.layers if hasattr(layer, "output")]
        probe = keras.Model(self._model.inputs, [layer.output for layer in layers])
        results = probe([inputs[n] for n in self.inputs], training=False)
        return {layer.name: np.asarray(a) for layer, a in zip(layers, results, strict=True)}


def _unique(names: list[str]) -> list[str]:
    """Names made distinct by a counter, as Keras itself does for outputs of one layer."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return found
