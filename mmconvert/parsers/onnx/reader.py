"""An ``.onnx`` file, opened: its graph as a small protobuf message, its weights left where they are.

The file is mapped and walked field by field. Initializers, and the large tensors among the attributes of
nodes, become lazy tensors over the map; everything else is put together again as a ModelProto without
weights, which the ``onnx`` package parses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError

from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.files import map_file
from mmconvert.onnxlib import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
)
from mmconvert.parsers.onnx import tensors, wire
from mmconvert.parsers.onnx.external import Folder
from mmconvert.parsers.onnx.sparse import dense
from mmconvert.tensors import Tensor

_GRAPH, _TRAINING_INFO = 7, 20  # of ModelProto
_NODE, _INITIALIZER, _VALUE_INFO = 1, 5, 13  # of GraphProto
_DOC_STRINGS = {"model": 6, "graph": 10, "node": 6}
_SPARSE_INITIALIZER = 15
_ATTRIBUTE = 5  # of NodeProto
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 5, 6, 11  # of AttributeProto

LARGE = 4096
"""A node of more bytes than this is searched for tensors that need not be copied."""


@dataclass(slots=True)
class ModelFile:
    """An opened file.

    Attributes:
        path: where it is.
        folder: where its other files may lie.
        proto: the model without initializers.
        initializers: the weights by name, in the order of the file.
        attributes: the large tensors among the attributes of nodes: number of the node -> name -> tensor.
        inner: the large initializers of the graphs inside of nodes, with their names; in the model there is a
            TensorProto without a type in the place of each, whose only extent is its position here.
        refused: the names of the initializers that cannot be represented.
        problems: why they cannot.
    """

    path: Path
    folder: Folder
    proto: ModelProto
    initializers: dict[str, Tensor]
    attributes: dict[int, dict[str, Tensor]]
    inner: list[tuple[str, Tensor]]
    refused: set[str]
    problems: list[Problem]


@dataclass(slots=True)
class _Scan:
    data: memoryview
    folder: Folder
    initializers: dict[str, Tensor] = field(default_factory=dict)
    attributes: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    inner: list[tuple[str, Tensor]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0


def open_model(path: Path) -> ModelFile:
    """Opens a file; no weight is read, and only the graph is held in memory.

    Raises:
        UsageError: the file cannot be read.
        InvalidModelError: it is no ONNX model, or a tensor in it does not fit its size.
    """
    scan = _Scan(map_file(path), Folder(path.parent))
    try:
        proto = ModelProto.FromString(b"".join(_model(scan)))
    except DecodeError as error:
        raise InvalidModelError("the file is no ONNX model, or it is damaged", where=str(path)) from error
    if not all(isinstance(text, str) for text in _texts(proto)):
        raise InvalidModelError("a name in the file is not UTF-8", where=str(path))
    return ModelFile(
        path,
        scan.folder,
        proto,
        scan.initializers,
        scan.attributes,
        scan.inner,
        scan.refused,
        scan.problems,
    )


def _texts(proto: ModelProto) -> Iterator[str]:
    """Every string of the model that anyone reads; protobuf hands out bytes where one is not UTF-8."""
    yield from (proto.producer_name, proto.producer_version, proto.graph.name)
    yield from (opset.domain for opset in proto.opset_import)
    for entry in proto.metadata_props:
        yield from (entry.key, entry.value)
    for function in proto.functions:
        yield from (function.domain, function.name)
        yield from (*function.input, *function.output, *function.attribute)
        yield from _node_texts(function.node)
        for attribute in function.attribute_proto:
            yield attribute.name
    yield from _graph_texts(proto.graph)


def _graph_texts(graph: GraphProto) -> Iterator[str]:
    for info in (*graph.input, *graph.output):
        yield info.name
        yield from (dim.dim_param for dim in info.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    yield from _node_texts(graph.node)


def _node_texts(nodes: Iterable[NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)
            if attribute.type == AttributeProto.GRAPH:
                yield from _graph_texts(attribute.g)


def _model(scan: _Scan) -> Iterator[bytes | memoryview]:
    for f in wire.fields(scan.data, 0, len(scan.data)):
        if f.number == _GRAPH and f.kind == wire.BYTES:
            # The parts of a field that is there twice are merged, as protobuf does.
            yield wire.encode_bytes(_GRAPH, b"".join(_graph(scan, f)))
        elif f.number not in (_TRAINING_INFO, _DOC_STRINGS["model"]):
            yield scan.data[f.start : f.end]


def _graph(scan: _Scan, graph: wire.Field) -> Iterator[bytes | memoryview]:
    for f in wire.fields(scan.data, graph.begin, graph.end):
        if f.number == _INITIALIZER and f.kind == wire.BYTES:
            _initializer(scan, f)
        elif f.number == _SPARSE_INITIALIZER and f.kind == wire.BYTES:
            _sparse_initializer(scan, f)
        elif f.number == _NODE and f.kind == wire.BYTES:
            yield _node(scan, f) if f.end - f.begin > LARGE else scan.data[f.start : f.end]
            scan.nodes += 1
        elif f.number not in (_VALUE_INFO, _DOC_STRINGS["graph"]):
            yield scan.data[f.start : f.end]


def _initializer(scan: _Scan, f: wire.Field) -> None:
    record = tensors.scan(scan.data, f.begin, f.end)
    if record.name in scan.initializers or record.name in scan.refused:
        raise InvalidModelError("two initializers have this name", where=record.where)
    try:
        scan.initializers[record.name] = tensors.tensor_of(record, scan.data, scan.folder)
    except UnsupportedError as error:
        scan.refused.add(record.name)
        scan.problems.append(Problem(error.message, (error.where,), error.hint))


def _sparse_initializer(scan: _Scan, f: wire.Field) -> None:
    sparse = SparseTensorProto.FromString(bytes(scan.data[f.begin : f.end]))
    name = sparse.values.name
    if name in scan.initializers or name in scan.refused:
        raise InvalidModelError("two initializers have this name", where=f"tensor {name!r}")
    try:
        scan.initializers[name] = dense(sparse, scan.folder)
    except UnsupportedError as error:
        scan.refused.add(name)
        scan.problems.append(Problem(error.message, (error.where,), error.hint))


def _node(scan: _Scan, node: wire.Field) -> bytes:
    """The node without its large tensors, which are noted under its number."""
    parts: list[bytes | memoryview] = []
    for f in wire.fields(scan.data, node.begin, node.end):
        if f.number == _ATTRIBUTE and f.kind == wire.BYTES and f.end - f.begin > LARGE:
            parts.append(wire.encode_bytes(_ATTRIBUTE, _attribute(scan, f)))
        elif f.number != _DOC_STRINGS["node"]:
            parts.append(scan.data[f.start : f.end])
    return wire.encode_bytes(_NODE, b"".join(parts))


def _attribute(scan: _Scan, attribute: wire.Field) -> bytes:
    found = list(wire.fields(scan.data, attribute.begin, attribute.end))
    names = [
        tensors.text(scan.data, f) for f in found if f.number == _ATTRIBUTE_NAME and f.kind == wire.BYTES
    ]
    values = [f for f in found if f.number == _ATTRIBUTE_TENSOR and f.kind == wire.BYTES]
    if len(names) != 1 or len(values) != 1:
        return b"".join(_with_graphs(scan, found))
    try:
        _, tensor = tensors.read(scan.data, values[0].begin, values[0].end, scan.folder)
    except UnsupportedError:
        return bytes(scan.data[attribute.begin : attribute.end])  # refused where a rule asks for it
    scan.attributes.setdefault(scan.nodes, {})[names[0]] = tensor
    return b"".join(scan.data[f.start : f.end] for f in found if f is not values[0])


def _with_graphs(scan: _Scan, attribute: list[wire.Field]) -> Iterator[bytes | memoryview]:
    for f in attribute:
        if f.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS) and f.kind == wire.BYTES:
            yield wire.encode_bytes(f.number, b"".join(_inner_graph(scan, f)))
        else:
            yield scan.data[f.start : f.end]


def _inner_graph(scan: _Scan, graph: wire.Field) -> Iterator[bytes | memoryview]:
    """The graph of a node without its large initializers, and without those of the graphs in it."""
    for f in wire.fields(scan.data, graph.begin, graph.end):
        if f.kind != wire.BYTES or f.end - f.begin <= LARGE:
            yield scan.data[f.start : f.end]
        elif f.number == _INITIALIZER:
            yield _inner_initializer(scan, f)
        elif f.number == _NODE:
            parts = (
                wire.encode_bytes(_ATTRIBUTE, b"".join(_with_graphs(scan, _fields(scan, a))))
                if a.number == _ATTRIBUTE and a.kind == wire.BYTES
                else scan.data[a.start : a.end]
                for a in _fields(scan, f)
            )
            yield wire.encode_bytes(_NODE, b"".join(parts))
        else:
            yield scan.data[f.start : f.end]


def _fields(scan: _Scan, f: wire.Field) -> list[wire.Field]:
    return list(wire.fields(scan.data, f.begin, f.end))


def _inner_initializer(scan: _Scan, f: wire.Field) -> bytes | memoryview:
    try:
        name, tensor = tensors.read(scan.data, f.begin, f.end, scan.folder)
    except UnsupportedError:
        return scan.data[f.start : f.end]  # refused where the graph is read
    scan.inner.append((name, tensor))
    place = TensorProto(name=name, dims=[len(scan.inner) - 1])
    return wire.encode_bytes(_INITIALIZER, place.SerializeToString())
