"""What a file says about itself in TFLite Metadata: labels of classes, and how inputs were normalized."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from mmconvert.parsers.tflite import flat
from mmconvert.parsers.tflite.flat import Table
from mmconvert.parsers.tflite.reader import ModelFile

ENTRY = "TFLITE_METADATA"
_LARGEST = 1 << 20
"""A list of labels is shorter than this; a longer one is left out."""

_MODEL_GRAPHS = 3
_GRAPH_INPUTS, _GRAPH_OUTPUTS = 2, 3
_TENSOR_UNITS, _TENSOR_FILES = 4, 6
_FILE_NAME, _FILE_KIND = 0, 2
_UNIT_KIND, _UNIT = 0, 1
_NORMALIZATION, _AXIS_LABELS = 1, 2


@dataclass(slots=True)
class About:
    """What is known beyond the graph."""

    labels: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)


def read(file: ModelFile) -> About:
    """Labels and normalization, as far as the file has them.

    Raises:
        InvalidModelError: the metadata is damaged.
    """
    about = About()
    if ENTRY not in file.metadata:
        return about
    graphs = flat.root(memoryview(file.metadata[ENTRY].tobytes())).tables(_MODEL_GRAPHS)
    for graph in graphs[:1]:
        for index, tensor in enumerate(graph.tables(_GRAPH_INPUTS)):
            for mean, std in _normalizations(tensor):
                about.properties[f"input_{index}.mean"] = mean
                about.properties[f"input_{index}.std"] = std
        names = [name for tensor in graph.tables(_GRAPH_OUTPUTS) for name in _label_files(tensor)]
        about.labels = _labels(file, names[0]) if names else ()
    return about


def _normalizations(tensor: Table) -> Iterator[tuple[str, str]]:
    for unit in tensor.tables(_TENSOR_UNITS):
        options = unit.table(_UNIT)
        if unit.number(_UNIT_KIND, "u8") == _NORMALIZATION and options is not None:
            mean, std = (" ".join(f"{v:g}" for v in options.vector(slot, "f32").tolist()) for slot in (0, 1))
            yield mean, std


def _label_files(tensor: Table) -> Iterator[str]:
    for entry in tensor.tables(_TENSOR_FILES):
        if entry.number(_FILE_KIND, "i8") == _AXIS_LABELS:
            yield entry.text(_FILE_NAME)


def _labels(file: ModelFile, name: str) -> tuple[str, ...]:
    """The lines of a file in the archive that is appended to the model."""
    try:
        with zipfile.ZipFile(file.path) as archive, archive.open(name) as packed:
            text = packed.read(_LARGEST + 1)
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError, ValueError):
        return ()
    if len(text) > _LARGEST:
        return ()
    return tuple(io.StringIO(text.decode("utf-8", "replace")).read().splitlines())
