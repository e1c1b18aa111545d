"""TFLite Metadata: what a model is called, how its inputs are normalized, and the labels of its classes.

It is a FlatBuffer of its own in a buffer of the model, and the files that it names follow the model in a zip
archive. The tables are those of ``metadata_schema.fbs``.
"""

from __future__ import annotations

import io

from mmconvert.emitters import flat
from mmconvert.emitters.flat import Table, TableType
from mmconvert.errors import UsageError
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"

_TEXTS = ("name", "description", "version", "author", "license")
_IDENTIFIER = b"M001"
_OLDEST_PARSER = "1.0.0"
_AXIS_LABELS, _NORMALIZATION, _IMAGE = 2, 1, 2
_COLORS = {"rgb": 1, "grayscale": 2}

_MODEL = TableType(
    "ModelMetadata",
    "name:string description:string version:string subgraph_metadata:[table] author:string license:string"
    " associated_files:[table] min_parser_version:string",
)
_GRAPH = TableType(
    "SubGraphMetadata", "name:string description:string input_tensors:[table] output_tensors:[table]"
)
_TENSOR = TableType(
    "TensorMetadata",
    "name:string description:string dimension_names:[string] content:table process_units:[table] stats:table"
    " associated_files:[table]",
)
_CONTENT = TableType("Content", "properties_type:u8 properties:table")
_COLOR = TableType("ImageProperties", "color_space:i8")
_UNIT = TableType("ProcessUnit", "options_type:u8 options:table")
_NORMALIZED = TableType("NormalizationOptions", "mean:[f32] std:[f32]")
_FILE = TableType("AssociatedFile", "name:string description:string type:i8")


def files(module: Module) -> dict[str, bytes]:
    """The metadata under ``ENTRY``, and the files that it names; nothing where nothing is known.

    The metadata of a TFLite source is kept as it is; else it is made from labels and properties.

    Raises:
        UsageError: a mean, a standard deviation or a color makes no sense.
    """
    about = module.metadata
    if ENTRY in about.files:
        return about.files
    described = [_input(about, index, value.name) for index, value in enumerate(module.graph.inputs)]
    texts = {
        key: about.properties.get(key) for key in ("name", "description", "version", "author", "license")
    }
    if not about.labels and not any(texts.values()) and all(len(t.values) == 1 for t in described):
        return {}
    labelled = _labelled(module.graph, len(about.labels)) if about.labels else None
    results = [
        _TENSOR(name=name, associated_files=[_label_file()] if index == labelled else None)
        for index, name in enumerate(module.graph.output_names)
    ]
    graph = _GRAPH(name=module.graph.name, input_tensors=described, output_tensors=results)
    model = _MODEL(**texts, subgraph_metadata=[graph], min_parser_version=_OLDEST_PARSER)
    stream = io.BytesIO()
    flat.write(stream, flat.lay_out(model, _IDENTIFIER))
    lines = "".join(f"{' '.join(label.splitlines())}\n" for label in about.labels)
    return {ENTRY: stream.getvalue(), **({LABELS: lines.encode()} if lines else {})}


def _label_file() -> Table:
    return _FILE(name=LABELS, description="Labels of the classes, one a line.", type=_AXIS_LABELS)


def _labelled(graph: Graph, count: int) -> int:
    """The output that the labels are about: the first with as many entries along an axis, else the first."""
    fitting = [i for i, value in enumerate(graph.outputs) if count in value.type.shape]
    return fitting[0] if fitting else 0


def _input(about: Metadata, index: int, name: str) -> Table:
    given = {key: about.properties.get(f"input_{index}.{key}", "") for key in ("mean", "std", "color")}
    mean, std = (_numbers(given[key], f"input_{index}.{key}") for key in ("mean", "std"))
    color = given["color"].lower()
    if color and color not in _COLORS:
        raise UsageError(f"input_{index}.color is {' or '.join(_COLORS)}, not {color!r}")
    if len(mean) != len(std) or 0 in std:
        raise UsageError(f"input_{index}.mean and .std need as many numbers each, and none of .std may be 0")
    unit = _UNIT(options_type=_NORMALIZATION, options=_NORMALIZED(mean=mean, std=std))
    content = _CONTENT(properties_type=_IMAGE, properties=_COLOR(color_space=_COLORS.get(color)))
    return _TENSOR(name=name, content=content if color else None, process_units=[unit] if mean else None)


def _numbers(text: str, key: str) -> list[float]:
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise UsageError(f"{key} has to be numbers, not {text!r}") from None
