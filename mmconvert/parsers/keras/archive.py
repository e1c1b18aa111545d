"""Reads `.keras` archives: a zip with `metadata.json`, `config.json` and `model.weights.h5`.

Names of members are looked up and never become paths. What a member will expand to is judged before it is
expanded. Weights that are stored without compression, as Keras stores them, are used where they lie.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.parsers import zipped
from mmconvert.parsers.keras.mapping import map_path

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@dataclass(frozen=True)
class Archive:
    """The parts of a `.keras` file.

    Attributes:
        config: the text of `config.json`.
        metadata: the text of `metadata.json`.
        weights: the bytes of the HDF5 file with the weights.
    """

    config: bytes
    metadata: bytes
    weights: memoryview


def is_archive(path: Path) -> bool:
    """True when ``path`` is a zip with the members of a `.keras` file; only its directory is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG, METADATA} <= set(archive.namelist())
    except zipped.BROKEN:
        return False


def read_archive(path: Path) -> Archive:
    """Opens a `.keras` file; its weights stay where they are.

    Raises:
        UsageError: the file cannot be read.
        UnsupportedError: the weights are in another form than HDF5.
        InvalidModelError: the archive is damaged, hostile, or lacks a member.
    """
    whole = map_path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise _no_weights(archive.namelist(), str(path))
            texts = [zipped.text(archive, name, str(path)) for name in (CONFIG, METADATA)]
            return Archive(texts[0], texts[1], zipped.data(archive, WEIGHTS, whole, str(path)))
    except zipped.BROKEN as error:
        raise InvalidModelError(f"the archive is damaged: {error}", where=str(path)) from error


def _no_weights(members: list[str], where: str) -> UnsupportedError | InvalidModelError:
    other = [name for name in members if name.startswith("model.weights.")]
    if other:
        return UnsupportedError(
            f"the weights are kept in {other[0]}", where=where, hint=f"save the model with {WEIGHTS} in it"
        )
    return InvalidModelError(f"the archive has no {WEIGHTS}", where=where)
