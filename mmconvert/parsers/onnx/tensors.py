"""TensorProto: from the place of its bytes to a lazy ``Tensor``, checked before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.parsers.onnx import wire
from mmconvert.parsers.onnx.external import Folder
from mmconvert.tensors import Array, Tensor

Bytes = memoryview | bytes

_NUMBERED = (
    *(None, "f32", "u8", "i8", "u16", "i16", "i32", "i64", None, "bool", "f16", "f64", "u32", "u64", "c64"),
    *("c128", "bf16", "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "u4", "i4", "f4e2m1", "f8e8m0"),
    *("u2", "i2"),
)
DTYPES: dict[int, DType] = {
    number: dtypes.BY_NAME[name] for number, name in enumerate(_NUMBERED) if name is not None
}
"""The element types by their number in TensorProto.DataType."""

_NAMES = {8: "string", 27: "float6e2m3", 28: "float6e3m2"}
_BITS = {dtypes.BY_NAME[n]: b for n, b in {"u4": 4, "i4": 4, "f4e2m1": 4, "u2": 2, "i2": 2}.items()}

_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 3, 8, 9, 13, 14
_STRING_DATA = 6
# Where the values lie when they are not in raw_data, and in which type they are stored there.
_TYPED: dict[int, DType | None] = {4: dtypes.F32, 5: None, 7: None, 10: dtypes.F64, 11: None}
_TYPED_FIELD = {
    **dict.fromkeys(("f32", "c64"), 4),
    **dict.fromkeys(("f64", "c128"), 10),
    **dict.fromkeys(("u32", "u64"), 11),
    "i64": 7,
}
MAX_RANK = 32
_MAX_BYTES = 1 << 62


def dtype_of(number: int, where: str) -> DType:
    """The element type with this number.

    Raises:
        UnsupportedError: there is such a type, and the IR does not have it.
        InvalidModelError: there is no such type.
    """
    if number in DTYPES:
        return DTYPES[number]
    if number in _NAMES:
        raise UnsupportedError(f"tensors of {_NAMES[number]} elements are not supported", where=where)
    raise InvalidModelError(f"there is no element type {number}", where=where)


def number_of(dtype: DType) -> int:
    """The number of an element type."""
    return next(number for number, known in DTYPES.items() if known == dtype)


@dataclass(slots=True)
class Record:
    """What a TensorProto says, and where its payloads lie."""

    name: str = ""
    number: int = 0
    dims: list[int] = field(default_factory=list)
    raw: tuple[int, int] | None = None
    typed: dict[int, list[wire.Field]] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False
    is_segment: bool = False

    @property
    def where(self) -> str:
        """What to call the tensor in a message."""
        return f"tensor {self.name!r}"


def scan(data: Bytes, begin: int, end: int) -> Record:
    """The record of the TensorProto that lies at ``data[begin:end]``; no payload is read.

    Raises:
        InvalidModelError: the bytes are no TensorProto.
    """
    record = Record()
    for f in wire.fields(data, begin, end):
        if f.number == _DIMS:
            _add_dims(record, data, f)
        elif f.number == _NAME and f.kind == wire.BYTES:
            record.name = text(data, f)
        elif f.number == _DATA_TYPE and f.kind == wire.VARINT:
            record.number = f.value
        elif f.number == _RAW_DATA and f.kind == wire.BYTES:
            record.raw = f.begin, f.end
        elif f.number in _TYPED:
            record.typed.setdefault(f.number, []).append(f)
        elif f.number == _EXTERNAL_DATA and f.kind == wire.BYTES:
            key, value = _entry(data, f)
            record.external[key] = value
        elif f.number == _DATA_LOCATION and f.kind == wire.VARINT:
            record.is_external = f.value == 1
        elif f.number == _SEGMENT:
            record.is_segment = True
    return record


def text(data: Bytes, f: wire.Field) -> str:
    """The payload of a string field.

    Raises:
        InvalidModelError: it is not UTF-8.
    """
    try:
        return str(data[f.begin : f.end], "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelError("a name is not UTF-8", where=f"byte {f.begin}") from error


def _add_dims(record: Record, data: Bytes, f: wire.Field) -> None:
    if f.kind == wire.VARINT:
        record.dims.append(wire.signed(f.value))
    elif f.kind == wire.BYTES and f.end - f.begin <= 10 * MAX_RANK:
        record.dims += wire.unpack_varints(data, f.begin, f.end).tolist()
    else:
        raise InvalidModelError("the extents of a tensor are no numbers", where=f"byte {f.start}")
    if len(record.dims) > MAX_RANK:
        raise InvalidModelError(f"a tensor has more than {MAX_RANK} axes", where=f"byte {f.start}")


def _entry(data: Bytes, entry: wire.Field) -> tuple[str, str]:
    parts = {
        f.number: text(data, f) for f in wire.fields(data, entry.begin, entry.end) if f.kind == wire.BYTES
    }
    return parts.get(1, ""), parts.get(2, "")


def read(data: Bytes, begin: int, end: int, folder: Folder | None) -> tuple[str, Tensor]:
    """Name and lazy values of the TensorProto at ``data[begin:end]``.

    Values in ``raw_data``, in ``float_data`` or in another file are mapped, never copied; the packed forms
    are decoded each time they are asked for.

    Args:
        data: the bytes of the file.
        begin: where the message starts.
        end: where it ends.
        folder: where other files may lie; None when there may be none.

    Raises:
        UnsupportedError: the elements are of a type that the IR does not have.
        InvalidModelError: the sizes do not fit together.
    """
    record = scan(data, begin, end)
    return record.name, tensor_of(record, data, folder)


def tensor_of(record: Record, data: Bytes, folder: Folder | None) -> Tensor:
    """The lazy tensor of a scanned record; raises as ``read`` does."""
    where = record.where
    dtype, shape = dtype_of(record.number, where), _shape(record)
    if record.is_segment:
        raise UnsupportedError("tensors stored in segments are not supported", where=where)
    count = math.prod(shape)
    if math.prod(max(e, 1) for e in shape) * max(dtype.itemsize, 1) > _MAX_BYTES:
        raise InvalidModelError(f"no tensor can have the extents {list(shape)}", where=where)
    nbytes = -(-count * _BITS.get(dtype, dtype.itemsize * 8) // 8)
    if record.is_external:
        if folder is None:
            raise UnsupportedError("an attribute's values in another file are not supported", where=where)
        data, offset = folder.find(record.external, nbytes, where)
        return _mapped(data, offset, nbytes, dtype, shape)
    if record.raw is not None:
        if record.raw[1] - record.raw[0] != nbytes:
            raise InvalidModelError(
                f"{dtypes.name(dtype)}{list(shape)} takes {nbytes} bytes, and there are"
                f" {record.raw[1] - record.raw[0]}",
                where=where,
            )
        return _mapped(data, record.raw[0], nbytes, dtype, shape)
    return _typed(record, data, dtype, shape, count)


def _shape(record: Record) -> tuple[int, ...]:
    if any(extent < 0 for extent in record.dims):
        raise InvalidModelError(f"an extent is negative: {record.dims}", where=record.where)
    return tuple(record.dims)


def _mapped(data: Bytes, offset: int, nbytes: int, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    if nbytes == 0:
        return Tensor.of(np.empty(shape, dtype))
    if dtype in _BITS or dtype == dtypes.BOOL:
        return Tensor(
            dtype,
            shape,
            partial(_decode, partial(np.frombuffer, data, np.uint8, nbytes, offset), dtype, shape),
        )
    return Tensor.of(np.frombuffer(data, dtype, nbytes // dtype.itemsize, offset).reshape(shape))


def _typed(record: Record, data: Bytes, dtype: DType, shape: tuple[int, ...], count: int) -> Tensor:
    number = _TYPED_FIELD.get(dtypes.name(dtype), 5)
    chunks, stored = record.typed.get(number, []), _TYPED[number]
    per_item = 2 if dtype.kind == "c" else 1
    expected = -(-count * _BITS[dtype] // 8) if dtype in _BITS else count * per_item
    found = sum(_count(data, f, stored, record.where) for f in chunks)
    if found != expected:
        raise InvalidModelError(
            f"{dtypes.name(dtype)}{list(shape)} takes {expected} values, and there are {found}",
            where=record.where,
        )
    if stored is not None and len(chunks) == 1 and count:
        (chunk,) = chunks
        return Tensor.of(np.frombuffer(data, stored, found, chunk.begin).view(dtype).reshape(shape))
    return Tensor(dtype, shape, partial(_decode, partial(_join, data, chunks, stored), dtype, shape))


def _count(data: Bytes, f: wire.Field, stored: DType | None, where: str) -> int:
    """How many numbers a field holds; the fields may be packed or not."""
    if stored is None and f.kind in (wire.VARINT, wire.BYTES):
        return 1 if f.kind == wire.VARINT else wire.count_varints(data, f.begin, f.end)
    if stored is not None and f.kind in (wire.BYTES, wire.FIXED32 if stored.itemsize == 4 else wire.FIXED64):
        count, rest = divmod(f.end - f.begin, stored.itemsize)
        if rest == 0:
            return count
    raise InvalidModelError("the values are stored in a way that does not fit their type", where=where)


def _join(data: Bytes, chunks: list[wire.Field], stored: DType | None) -> Array:
    parts = [
        wire.unpack_varints(data, f.begin, f.end)
        if stored is None
        else np.frombuffer(bytes(data[f.begin : f.end]), stored)
        for f in chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0, stored or np.int64)


def _decode(load: Callable[[], Array], dtype: DType, shape: tuple[int, ...]) -> Array:
    """The values out of what is stored: packed bits, or the bit patterns of the narrow types as integers."""
    stored = load()
    if dtype in _BITS:
        values = _unpack_bits(stored.astype(np.uint8), _BITS[dtype])[: math.prod(shape)].view(dtype)
    elif dtype == dtypes.BOOL:
        values = stored != 0
    elif dtypes.is_float(dtype) and stored.dtype.kind == "i":
        values = stored.astype(f"u{dtype.itemsize}").view(dtype)
    elif dtype.kind == "c":
        values = stored.view(dtype)
    else:
        values = stored.astype(dtype)
    return values.reshape(shape)


def _unpack_bits(octets: Array, bits: int) -> Array:
    """The groups of ``bits`` bits in each byte, the lowest first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(octets[:, None] >> shifts & np.uint8((1 << bits) - 1)).reshape(-1)
