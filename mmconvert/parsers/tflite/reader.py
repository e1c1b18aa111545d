"""A ``.tflite`` file, opened: its sub-graphs as records, its weights left where they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmconvert import flatview
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.files import map_file
from mmconvert.flatview import Table
from mmconvert.parsers.tflite import schema, tensors
from mmconvert.parsers.tflite.tensors import Record
from mmconvert.tensors import Array


@dataclass(slots=True, eq=False)
class Operator:
    """An operator as the file describes it.

    Attributes:
        name: as in the schema; of a custom operator its own.
        is_custom: it is not one of the schema's.
        inputs: numbers of tensors, -1 where one was left out.
        outputs: numbers of tensors.
        intermediates: numbers of tensors that only describe inner results.
        options: its options; None when they are absent or of another operator's kind.
    """

    name: str
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Table | None


@dataclass(slots=True, eq=False)
class SubGraph:
    """A sub-graph as the file describes it."""

    name: str
    tensors: list[Record]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


@dataclass(slots=True, eq=False)
class Signature:
    """Names for the inputs and outputs of a sub-graph, by the number of the tensor."""

    key: str
    subgraph: int
    inputs: dict[int, str]
    outputs: dict[int, str]


@dataclass(slots=True, eq=False)
class ModelFile:
    """An opened file.

    Attributes:
        path: where it is.
        description: by whoever wrote it.
        subgraphs: the first one is the main one.
        signatures: in the order of the file.
        metadata: the bytes behind each name.
    """

    path: Path
    description: str
    subgraphs: list[SubGraph]
    signatures: list[Signature] = field(default_factory=list)
    metadata: dict[str, Array] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of operators."""
        return sum(len(graph.operators) for graph in self.subgraphs)


def open_model(path: Path) -> ModelFile:
    """Opens a file; no weight is read.

    Raises:
        UsageError: the file cannot be read.
        UnsupportedError: it is of another version of the schema.
        InvalidModelError: it is no TensorFlow Lite model, or it is damaged.
    """
    data = map_file(path)
    if bytes(data[4:8]) != schema.IDENTIFIER:
        raise InvalidModelError("the file is no TensorFlow Lite model", where=str(path))
    model = flatview.root(data)
    version = model.number(schema.Model.VERSION, "u32")
    if version != schema.VERSION:
        raise UnsupportedError(f"version {version} of the TensorFlow Lite schema", where=str(path))
    buffers = [_buffer(table) for table in model.tables(schema.Model.BUFFERS)]
    codes = [_code(table) for table in model.tables(schema.Model.CODES)]
    graphs = [_subgraph(table, data, buffers, codes) for table in model.tables(schema.Model.SUBGRAPHS)]
    if not graphs:
        raise InvalidModelError("the file has no graph", where=str(path))
    return ModelFile(
        path,
        model.text(schema.Model.DESCRIPTION),
        graphs,
        [_signature(table, graphs) for table in model.tables(schema.Model.SIGNATURES)],
        dict(_metadata(table, data, buffers) for table in model.tables(schema.Model.METADATA)),
    )


def _buffer(table: Table) -> tuple[int, int]:
    """Where the bytes of a buffer begin, and how many they are: in the FlatBuffer, or behind it."""
    slots = schema.Buffer
    offset = int(table.number(slots.OFFSET, "u64"))
    # Zero and one are no places: writers put them where there is no data, or not yet.
    return (offset, int(table.number(slots.SIZE, "u64"))) if offset > 1 else table.span(slots.DATA)


def _code(table: Table) -> tuple[str, bool]:
    slots = schema.Code
    number = max(table.number(slots.OLD, "i8"), table.number(slots.NUMBER, "i32"))
    name = schema.operator_name(number)
    return (table.text(slots.CUSTOM), True) if name == schema.CUSTOM else (name, False)


def _subgraph(
    table: Table, data: memoryview, buffers: list[tuple[int, int]], codes: list[tuple[str, bool]]
) -> SubGraph:
    slots = schema.Graph
    records = [
        tensors.record(tensor, index, data, buffers)
        for index, tensor in enumerate(table.tables(slots.TENSORS))
    ]
    graph = SubGraph(
        table.text(slots.NAME),
        records,
        _indices(table, slots.INPUTS, len(records)),
        _indices(table, slots.OUTPUTS, len(records)),
        [_operator(operator, codes, len(records)) for operator in table.tables(slots.OPERATORS)],
    )
    if -1 in (*graph.inputs, *graph.outputs):
        raise InvalidModelError(f"an input or output of the graph {graph.name!r} is missing")
    return graph


def _operator(table: Table, codes: list[tuple[str, bool]], count: int) -> Operator:
    slots = schema.Operator
    code = table.number(slots.CODE, "u32")
    if code >= len(codes):
        raise InvalidModelError(f"there is no operator code {code}")
    name, is_custom = codes[code]
    second = name.startswith("STABLEHLO_")
    union, options = (slots.UNION_2, slots.OPTIONS_2) if second else (slots.UNION, slots.OPTIONS)
    number = table.number(union, "u8")
    inputs, outputs, intermediates = (
        _indices(table, slot, count) for slot in (slots.INPUTS, slots.OUTPUTS, slots.INTERMEDIATES)
    )
    found = table.table(options) if number else None
    expected = schema.options(name)[0]
    if found is not None and number != expected and found.written and (expected or not is_custom):
        raise InvalidModelError(f"{name} has the options of another operator")
    return Operator(name, is_custom, inputs, outputs, intermediates, found if number == expected else None)


def _indices(table: Table, slot: int, count: int) -> tuple[int, ...]:
    found = table.vector(slot, "i32").tolist()
    if any(not -1 <= index < count for index in found):
        raise InvalidModelError(f"there is no tensor {max(found, key=abs)}")
    return tuple(found)


def _signature(table: Table, graphs: list[SubGraph]) -> Signature:
    slots = schema.Signature
    number = int(table.number(slots.SUBGRAPH, "u32"))
    if number >= len(graphs):
        raise InvalidModelError(f"there is no sub-graph {number}")
    ends = [
        {
            int(entry.number(schema.Named.TENSOR, "u32")): entry.text(schema.Named.NAME)
            for entry in table.tables(s)
        }
        for s in (slots.INPUTS, slots.OUTPUTS)
    ]
    return Signature(table.text(slots.KEY), number, ends[0], ends[1])


def _metadata(table: Table, data: memoryview, buffers: list[tuple[int, int]]) -> tuple[str, Array]:
    name, index = table.text(schema.Metadata.NAME), table.number(schema.Metadata.BUFFER, "u32")
    if index >= len(buffers):
        raise InvalidModelError(f"there is no buffer {index}", where=f"metadata {name!r}")
    start, size = buffers[index]
    if start + size > len(data):
        raise InvalidModelError("it lies outside of the file", where=f"metadata {name!r}")
    return name, np.frombuffer(data, np.uint8, size, start)
