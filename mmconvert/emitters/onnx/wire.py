"""Serialises a model with its weights streamed: no more than one of them is in memory at a time.

Everything but the weights is serialised by protobuf. A weight is a small header, serialised likewise, and its
bytes; the fields around them are written here, in the wire format of protobuf: a tag (field number and kind),
a length, the bytes. All lengths follow from the types of the weights, so nothing is written twice. ::

    ModelProto without graph | tag 7, length | GraphProto without weights
                                             | tag 5, length | TensorProto without data | tag 9 ... | bytes
                                             | ...

A file above a limit, which is at most that of protobuf (2 GB), gets its large weights beside it, in
``<name>.data``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

from mmconvert.dtypes import DType
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.errors import UsageError
from mmconvert.files import atomic_write, is_mapped
from mmconvert.tensors import Array, Tensor

LIMIT = (1 << 31) - 1
"""The largest message that protobuf reads, in bytes."""

_LENGTH_DELIMITED = 2
_SMALL = 1024  # readers need the values of small weights (shapes, axes) while they infer types
_PAGE = 4096  # where a runtime can map a weight instead of reading it
_BITS = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight under the name that the nodes know it by."""

    name: str
    tensor: Tensor

    @property
    def nbytes(self) -> int:
        """The size of the values in the file, in bytes; elements of 2 or 4 bits are packed."""
        bits = _bits(self.tensor.dtype)
        return -(-self.tensor.size * bits // 8) if bits else self.tensor.nbytes


def write(model: ModelProto, weights: list[Weight], path: Path, *, limit: int = LIMIT) -> None:
    """Writes ``model`` with ``weights`` as its initializers, atomically.

    Args:
        model: everything but the weights; its graph has no initializers.
        weights: the weights, in the order of the file; each is loaded when it is its turn.
        path: where to write. The weights beside it, if any, go to ``<name>.data`` in the same folder.
        limit: the size in bytes above which weights are written beside the file.

    Raises:
        UsageError: the file cannot be written, or its weights would replace those of another model that they
            are read from.
        InvalidModelError: a weight is not of the type that it was announced with.
    """
    inline = [_Inline(w) for w in weights]
    envelope = _Envelope(model, sum(p.size for p in inline))
    with atomic_write(path) as file:
        if envelope.size <= limit:
            envelope.write(file)
            for part in inline:
                part.write(file)
            return
        beside = path.with_name(f"{path.name}.data")
        parts = _place(weights, beside.name)
        if any(isinstance(part, _External) for part in parts):
            _require_apart(path, beside)
            with atomic_write(beside) as data:
                _write_external(data, parts)
        envelope = _Envelope(model, sum(p.size for p in parts))
        envelope.write(file)
        for outside in parts:
            outside.write(file)


def _require_apart(path: Path, beside: Path) -> None:
    """Refuses to replace weights that are being read, unless their model is replaced too."""
    if is_mapped(beside) and not is_mapped(path):
        raise UsageError(
            "the weights of the source are in this file, and those of the target would take its place",
            where=str(beside),
            hint=f"give the target another name than {path.name}",
        )


class _Envelope:
    """The model and its graph, up to the initializers that ``payload`` bytes follow with."""

    def __init__(self, model: ModelProto, payload: int) -> None:
        bare, graph = ModelProto(), GraphProto()
        bare.CopyFrom(model)
        graph.CopyFrom(model.graph)
        bare.ClearField("graph")
        self._model = bare.SerializeToString(deterministic=True)
        self._graph = graph.SerializeToString(deterministic=True)
        self._head = _field(ModelProto.GRAPH_FIELD_NUMBER, len(self._graph) + payload)
        self.size = len(self._model) + len(self._head) + len(self._graph) + payload

    def write(self, file: BinaryIO) -> None:
        file.write(self._model)
        file.write(self._head)
        file.write(self._graph)


class _Inline:
    """An initializer whose bytes lie in the model file."""

    def __init__(self, weight: Weight) -> None:
        self.weight = weight
        nbytes = weight.nbytes
        header = _header(weight).SerializeToString(deterministic=True)
        header += _field(TensorProto.RAW_DATA_FIELD_NUMBER, nbytes)
        self._head = _field(GraphProto.INITIALIZER_FIELD_NUMBER, len(header) + nbytes) + header
        self.size = len(self._head) + nbytes

    def write(self, file: BinaryIO) -> None:
        file.write(self._head)
        _write_values(file, self.weight.tensor)


class _External:
    """An initializer whose bytes lie at ``offset`` of a file beside the model."""

    def __init__(self, weight: Weight, location: str, offset: int) -> None:
        self.weight, self.offset = weight, offset
        header = _header(weight)
        header.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", weight.nbytes)):
            header.external_data.append(StringStringEntryProto(key=key, value=str(value)))
        body = header.SerializeToString(deterministic=True)
        self._bytes = _field(GraphProto.INITIALIZER_FIELD_NUMBER, len(body)) + body
        self.size = len(self._bytes)

    def write(self, file: BinaryIO) -> None:
        file.write(self._bytes)


def _place(weights: list[Weight], location: str) -> list[_Inline | _External]:
    parts: list[_Inline | _External] = []
    end = 0
    for weight in weights:
        if weight.nbytes < _SMALL:
            parts.append(_Inline(weight))
            continue
        offset = -(-end // _PAGE) * _PAGE
        parts.append(_External(weight, location, offset))
        end = offset + weight.nbytes
    return parts


def _write_external(file: BinaryIO, parts: list[_Inline | _External]) -> None:
    for part in parts:
        if isinstance(part, _External):
            file.write(bytes(part.offset - file.tell()))
            _write_values(file, part.weight.tensor)


def _write_values(file: BinaryIO, tensor: Tensor) -> None:
    for block in tensor.blocks():
        file.write(_bytes(block))


def _header(weight: Weight) -> TensorProto:
    tensor = weight.tensor
    return TensorProto(dims=tensor.shape, data_type=element_type(tensor.dtype), name=weight.name)


def _bytes(block: Array) -> memoryview:
    """The elements of a vector, little end first, without a copy where they lie so already."""
    little = block.astype(block.dtype.newbyteorder("<"), copy=False)
    raw: Array = np.ascontiguousarray(little).view(np.uint8)
    bits = _bits(block.dtype)
    return (_pack(raw, bits) if bits else raw).data


def _pack(elements: Array, bits: int) -> Array:
    """Elements of ``bits`` bits, several to a byte, the first in the lowest bits."""
    each = 8 // bits
    padded: Array = np.zeros(-(-elements.size // each) * each, np.uint8)
    padded[: elements.size] = elements & ((1 << bits) - 1)
    packed = padded[::each].copy()
    for position in range(1, each):
        packed |= padded[position::each] << (position * bits)
    return packed


def _bits(dtype: DType) -> int:
    """The bits of an element that is narrower than a byte, else 0."""
    return _BITS.get(dtype.name, 0)


def _field(number: int, length: int) -> bytes:
    """The tag and the length that stand before ``length`` bytes of field ``number``."""
    return bytes([*_varint(number << 3 | _LENGTH_DELIMITED), *_varint(length)])


def _varint(value: int) -> Iterator[int]:
    """``value`` in groups of seven bits, the lowest first; all but the last with the high bit set."""
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
