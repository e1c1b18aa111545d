"""Telling Keras's HDF5 files from others."""

from __future__ import annotations

from pathlib import Path

from mmconvert.errors import MMConvertError
from mmconvert.parsers.keras.hdf5 import Group, open_file
from mmconvert.parsers.keras.mapping import map_path


def is_keras(path: Path) -> bool:
    """True when the HDF5 file ``path`` was written by Keras: a model, or the weights of one."""
    try:
        root = open_file(map_path(path), str(path))
        marks = (root.texts(name) for name in ("model_config", "layer_names"))
        return any(mark is not None for mark in marks) or is_weights(root)
    except MMConvertError:
        return False


def is_weights(root: Group) -> bool:
    """True for the layout of `model.weights.h5`."""
    return "layers" in root or "_layer_checkpoint_dependencies" in root
