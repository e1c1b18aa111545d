"""Runs Keras files in Keras itself, on TensorFlow's CPU kernels: the source framework as a witness."""

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

    Nothing in the file is executed: Keras loads it in its safe mode, which refuses Lambda layers.

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
            try:
                self._model = keras.models.load_model(path, compile=False, safe_mode=True)
            except _REFUSALS as error:
                raise InvalidModelError(
                    f"Keras refuses this file: {_line(error)}", where=self._place
                ) from error
        self.inputs = [t.name for t in self._model.inputs]
        self.outputs = _unique([t._keras_history.operation.name for t in self._model.outputs])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong shape.
            InvalidModelError: an operation failed on these values.
        """
        results = self._call(self._model, inputs)
        return dict(zip(self.outputs, results, strict=True))

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The output of every layer and operation, by its name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong shape.
        """
        keras, _ = _frameworks()
        named = list(_tensors(self._model))
        probe = keras.Model(self._model.inputs, [tensor for _, tensor in named])
        results = self._call(probe, inputs)
        return dict(zip(_unique([name for name, _ in named]), results, strict=True))

    def _call(self, model: Any, inputs: Mapping[str, Array]) -> list[Array]:
        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=self._place,
            )
        keras, tf = _frameworks()
        try:
            with quiet():
                results = model([inputs[n] for n in self.inputs], training=False)
                return [np.asarray(a) for a in keras.tree.flatten(results)]
        except (ValueError, TypeError) as error:
            raise UsageError(f"the inputs do not fit: {_line(error)}", where=self._place) from error
        except tf.errors.OpError as error:
            raise InvalidModelError(f"Keras failed: {_line(error)}", where=self._place) from error


def _frameworks() -> tuple[Any, Any]:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow

    return keras, tensorflow


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor that an operation of the model makes, with the operation's name, inputs first."""
    functional = getattr(model, "_functional", None) or model
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        for node in functional._nodes_by_depth[depth]:
            for tensor in node.outputs:
                yield node.operation.name, tensor


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
