"""What a file says about itself in TFLite Metadata: labels of classes, and how inputs were normalized."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmconvert import flatview
from mmconvert.flatview import Table
from mmconvert.parsers.tflite.reader import ModelFile
from mmconvert.tensors import Array

ENTRY = "TFLITE_METADATA"
_LARGEST = 1 << 24
"""All files of the archive behind a model together are smaller than this; larger ones are left out."""

_MODEL = {"name": 0, "description": 1, "version": 2, "author": 4, "license": 5}
_MODEL_GRAPHS = 3
_GRAPH_INPUTS, _GRAPH_OUTPUTS = 2, 3
_TENSOR_CONTENT, _TENSOR_UNITS, _TENSOR_FILES = 3, 4, 6
_CONTENT_KIND, _CONTENT = 0, 1
_IMAGE, _IMAGE_COLOR = 2, 0
_COLORS = {1: "rgb", 2: "grayscale"}
_FILE_NAME, _FILE_KIND = 0, 2
_UNIT_KIND, _UNIT = 0, 1
_NORMALIZATION, _AXIS_LABELS = 1, 2


@dataclass(slots=True)
class About:
    """What is known beyond the graph; see ``ir.model.Metadata``."""

    labels: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def read(file: ModelFile) -> About:
    """Everything that the metadata and the archive behind the model hold.

    Raises:
        InvalidModelError: the metadata is damaged.
    """
    about = About()
    if ENTRY not in file.metadata:
        return about
    written = file.metadata[ENTRY].tobytes()
    about.files = {**_archive(file.path), ENTRY: written}
    model = flatview.root(memoryview(written))
    about.properties = {key: text for key, slot in _MODEL.items() if (text := model.text(slot))}
    for graph in model.tables(_MODEL_GRAPHS)[:1]:
        for index, tensor in enumerate(graph.tables(_GRAPH_INPUTS)):
            about.properties |= {f"input_{index}.{key}": text for key, text in _about_input(tensor)}
        names = [name for tensor in graph.tables(_GRAPH_OUTPUTS) for name in _label_files(tensor)]
        listed = about.files.get(names[0], b"") if names else b""
        about.labels = tuple(listed.decode("utf-8", "replace").splitlines())
    return about


def _about_input(tensor: Table) -> Iterator[tuple[str, str]]:
    content = tensor.table(_TENSOR_CONTENT)
    if content is not None and content.number(_CONTENT_KIND, "u8") == _IMAGE:
        image = content.table(_CONTENT)
        color = 0 if image is None else image.number(_IMAGE_COLOR, "i8")
        if color in _COLORS:
            yield "color", _COLORS[color]
    for unit in tensor.tables(_TENSOR_UNITS):
        options = unit.table(_UNIT)
        if unit.number(_UNIT_KIND, "u8") == _NORMALIZATION and options is not None:
            yield "mean", _numbers(options.vector(0, "f32"))
            yield "std", _numbers(options.vector(1, "f32"))


def _numbers(vector: Array) -> str:
    return " ".join(np.format_float_positional(number, trim="-") for number in vector)


def _label_files(tensor: Table) -> Iterator[str]:
    for entry in tensor.tables(_TENSOR_FILES):
        if entry.number(_FILE_KIND, "i8") == _AXIS_LABELS:
            yield entry.text(_FILE_NAME)


def _archive(path: Path) -> dict[str, bytes]:
    """The files of the archive that is appended to a model; none where there is no sound one."""
    files: dict[str, bytes] = {}
    left = _LARGEST
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as packed:
                    content = packed.read(left + 1)
                left -= len(content)
                if left < 0:
                    break
                files[name] = content
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError, ValueError, EOFError):
        return files
    return files
