"""TensorProto in every form that a writer may choose, against onnx.numpy_helper."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.parsers.onnx import tensors, wire
from mmconvert.tensors import Tensor

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(3, 5)).astype(np.float32)
NARROW = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
ARRAYS = [
    *(FLOATS.astype(t) for t in (np.float16, np.float32, np.float64, np.complex64, np.complex128)),
    *(FLOATS.astype(getattr(ml_dtypes, t)) for t in (*NARROW, "float4_e2m1fn")),
    *(RNG.integers(-100, 100, (3, 5)).astype(t) for t in (np.int8, np.int16, np.int32, np.int64)),
    *(RNG.integers(0, 200, (3, 5)).astype(t) for t in (np.uint8, np.uint16, np.uint32, np.uint64)),
    np.array([-(2**63), -1, 0, 2**63 - 1]),
    np.array([2**64 - 1, 1 << 63], np.uint64),
    FLOATS > 0,
    *(RNG.integers(-8, 8, (3, 5)).astype(ml_dtypes.int4) for _ in range(1)),
    *(RNG.integers(0, 16, (3, 5)).astype(ml_dtypes.uint4) for _ in range(1)),
    RNG.integers(-2, 2, (3, 5)).astype(ml_dtypes.int2),
    RNG.integers(0, 4, (3, 3)).astype(ml_dtypes.uint2),
    np.zeros((0, 4), np.float32),
    np.float32(1.5),
]


def read(proto: TensorProto | bytes) -> Tensor:
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    return tensors.read(data, 0, len(data), None)[1]


def typed(array: np.ndarray) -> TensorProto:
    """The array in float_data, int32_data and so on."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    proto = TensorProto(name="t", data_type=kind, dims=array.shape)
    flat = array.reshape(-1)
    if array.dtype.kind == "c":
        parts = np.stack([flat.real, flat.imag], axis=-1).reshape(-1).tolist()
        (proto.float_data if array.dtype == np.complex64 else proto.double_data).extend(parts)
    elif array.dtype == np.float32:
        proto.float_data.extend(flat.tolist())
    elif array.dtype == np.float64:
        proto.double_data.extend(flat.tolist())
    elif array.dtype == np.int64:
        proto.int64_data.extend(flat.tolist())
    elif array.dtype in (np.uint32, np.uint64):
        proto.uint64_data.extend(flat.tolist())
    elif array.dtype.kind in "iub":
        proto.int32_data.extend(flat.astype(np.int32).tolist())
    else:
        raw = numpy_helper.from_array(array).raw_data
        width = 2 if array.dtype.itemsize == 2 else 1
        proto.int32_data.extend(np.frombuffer(raw, f"u{width}").astype(np.int32).tolist())
    return proto


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype.name}{list(a.shape)}")
def test_raw_and_typed_data(array: np.ndarray) -> None:
    for proto in (numpy_helper.from_array(array, "t"), typed(array)):
        tensor = read(proto)
        assert tensor.shape == array.shape
        assert tensor.dtype == array.dtype
        actual = tensor.numpy()
        assert actual.dtype == array.dtype
        assert actual.tobytes() == np.asarray(array).tobytes(), "bit for bit"
        assert not actual.flags.writeable


def test_float_data_is_mapped_and_not_copied() -> None:
    data = typed(FLOATS).SerializeToString()
    for encoded in (data, numpy_helper.from_array(FLOATS).SerializeToString()):
        values = tensors.read(encoded, 0, len(encoded), None)[1].numpy()
        place = np.frombuffer(encoded, np.uint8).__array_interface__["data"][0]
        assert place <= values.__array_interface__["data"][0] < place + len(encoded)


def unpacked(kind: int, number: int, items: list[bytes], wire_type: int) -> bytes:
    """A tensor whose numbers are a field each, as old writers have it."""
    tag = wire.encode_varint(number << 3 | wire_type)
    head = TensorProto(name="t", data_type=kind, dims=[len(items)]).SerializeToString()
    return head + b"".join(tag + item for item in items)


def test_numbers_in_a_field_each() -> None:
    floats = unpacked(TensorProto.FLOAT, 4, [np.float32(v).tobytes() for v in (0.5, -2.0)], wire.FIXED32)
    assert read(floats).numpy().tolist() == [0.5, -2.0]
    doubles = unpacked(TensorProto.DOUBLE, 10, [np.float64(v).tobytes() for v in (0.5, -2.0)], wire.FIXED64)
    assert read(doubles).numpy().tolist() == [0.5, -2.0]
    integers = unpacked(TensorProto.INT64, 7, [wire.encode_varint(v) for v in (5, 2**64 - 3)], wire.VARINT)
    assert read(integers).numpy().tolist() == [5, -3]


def test_packed_numbers_in_several_pieces() -> None:
    head = TensorProto(name="t", data_type=TensorProto.INT64, dims=[5]).SerializeToString()
    pieces = [wire.encode_bytes(7, bytes([1, 2, 3])), wire.encode_bytes(7, bytes([4, 5]))]
    assert read(head + b"".join(pieces)).numpy().tolist() == [1, 2, 3, 4, 5]

    complex_head = TensorProto(name="t", data_type=TensorProto.COMPLEX64, dims=[2]).SerializeToString()
    halves = [wire.encode_bytes(4, np.float32(v).tobytes()) for v in ([1, 2], [3, 4])]
    assert read(complex_head + b"".join(halves)).numpy().tolist() == [1 + 2j, 3 + 4j]
    empty = TensorProto(name="t", data_type=TensorProto.INT64, dims=[0]).SerializeToString()
    assert read(empty + wire.encode_bytes(7, b"")).numpy().tolist() == []


def test_packed_dims() -> None:
    body = (
        wire.encode_bytes(1, bytes([2, 3])) + TensorProto(data_type=1, raw_data=bytes(24)).SerializeToString()
    )
    assert read(body).shape == (2, 3)


def tensor(**fields: object) -> TensorProto:
    return TensorProto(name="w", **fields)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (tensor(data_type=1, dims=[2, -3]), r"an extent is negative: \[2, -3\]"),
        (tensor(data_type=1, dims=[1 << 60]), r"takes 1152921504606846976 values, and there are 0"),
        (tensor(data_type=1, dims=[1 << 60], raw_data=b"abcd"), "bytes, and there are 4"),
        (tensor(data_type=1, dims=[1 << 31, 1 << 31, 1 << 31]), "no tensor can have the extents"),
        (tensor(data_type=1, dims=[0, 1 << 62]), "no tensor can have the extents"),
        (tensor(data_type=1, dims=[3], raw_data=bytes(11)), r"f32\[3\] takes 12 bytes, and there are 11"),
        (tensor(data_type=22, dims=[3], raw_data=bytes(3)), r"i4\[3\] takes 2 bytes, and there are 3"),
        (tensor(data_type=1, dims=[3], float_data=[1, 2]), "takes 3 values, and there are 2"),
        (tensor(data_type=6, dims=[1], int32_data=[1, 2]), "takes 1 values, and there are 2"),
        (tensor(data_type=14, dims=[1], float_data=[1]), "takes 2 values, and there are 1"),
        (tensor(data_type=1, dims=[1], int32_data=[1]), "takes 1 values, and there are 0"),
        (tensor(data_type=0, dims=[1]), "there is no element type 0"),
        (tensor(data_type=99, dims=[1]), "there is no element type 99"),
        (tensor(data_type=1, dims=[1] * 33, float_data=[1]), "more than 32 axes"),
    ],
)
def test_broken_tensors(proto: TensorProto, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        read(proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (tensor(data_type=8, dims=[1], string_data=[b"a"]), "tensors of string elements"),
        (tensor(data_type=27, dims=[1]), "tensors of float6e2m3 elements"),
        (tensor(data_type=1, dims=[1], segment=TensorProto.Segment(begin=0, end=1)), "in segments"),
        (tensor(data_type=1, dims=[1], data_location=TensorProto.EXTERNAL), "values in another file"),
    ],
)
def test_unsupported_tensors(proto: TensorProto, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        read(proto)
    assert caught.value.where == "tensor 'w'"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "the data ends inside a number"),
        (b"\x08" + b"\xff" * 10, "more than 64 bits"),
        (b"\x0b", "no field can have the wire type 3"),
        (b"\x00\x00", "a field has the number 0"),
        (b"\x4a\x7fabc", "field 9 needs 124 bytes more than there are"),
        (b"\x42\x02\xff\xfe", "a name is not UTF-8"),
        (b"\x0a" + bytes([0xC2, 0x03]) + bytes(450), "the extents of a tensor are no numbers"),
        (b"\x10\x07\x08\x01\x3a\x02\x80\x80", "the data ends inside a number"),
        (b"\x10\x01\x08\x01\x22\x03abc", "stored in a way that does not fit"),
        (b"\x10\x01\x08\x01\x20\x01", "stored in a way that does not fit"),
    ],
)
def test_broken_bytes(data: bytes, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        read(data)


def test_an_endless_number_is_found_when_it_is_read() -> None:
    data = TensorProto(data_type=7, dims=[1]).SerializeToString() + wire.encode_bytes(
        7, b"\xff" * 11 + b"\x01"
    )
    with pytest.raises(InvalidModelError, match="more than 64 bits"):
        read(data).numpy()


def test_varints_survive_a_round_trip() -> None:
    values = [0, 1, 127, 128, 300, 2**31, 2**63 - 1, 2**64 - 1]
    data = b"".join(map(wire.encode_varint, values))
    assert wire.unpack_varints(data, 0, len(data)).view(np.uint64).tolist() == values
    assert wire.count_varints(data, 0, len(data)) == len(values)
    position = 0
    for value in values:
        found, position = wire.read_varint(data, position, len(data))
        assert found == value


def test_every_element_type_of_onnx_is_known_or_refused_by_name() -> None:
    for name, number in onnx.TensorProto.DataType.items():
        if name == "UNDEFINED":
            continue
        if number in tensors.DTYPES:
            assert tensors.dtype_of(number, "here") == helper.tensor_dtype_to_np_dtype(number)
        else:
            with pytest.raises(UnsupportedError, match=name.lower()):
                tensors.dtype_of(number, "here")
