"""The FlatBuffer layer: what it writes is what the reference library reads."""

from __future__ import annotations

import io

import flatbuffers
import flatbuffers.number_types as numbers
import numpy as np
import pytest
from flatbuffers.table import Table as Reader

from mmconvert.emitters import flat
from mmconvert.emitters.flat import Blob, TableType
from mmconvert.errors import InternalError, UnsupportedError

LEAF = TableType("Leaf", "flag:bool small:i8 wide:i64 real:f32 double:f64=0.5")
ROOT = TableType(
    "Root",
    "number:i32=7 name:string _ leaf:table leaves:[table] words:[string] integers:[i32] longs:[i64]"
    " reals:[f32] data:blob more:blob",
)


def blob(size: int) -> Blob:
    return Blob(size, lambda: np.arange(size, dtype=np.uint8))


def write(root: flat.Table) -> bytes:
    file = io.BytesIO()
    flat.write(file, flat.lay_out(root, b"TEST"))
    return file.getvalue()


def read(data: bytes) -> Reader:
    (start,) = np.frombuffer(data, "<u4", 1)
    return Reader(bytearray(data), int(start))


def at(table: Reader, slot: int) -> int:
    """The position of a slot's value, 0 when it is not there."""
    offset = int(table.Offset(4 + 2 * slot))
    return offset and table.Pos + offset


def scalar(table: Reader, slot: int, flags: type) -> float | None:
    position = at(table, slot)
    return table.Get(flags, position) if position else None


def child(table: Reader, slot: int) -> Reader:
    return Reader(table.Bytes, table.Indirect(at(table, slot)))


def vector(table: Reader, slot: int, dtype: str) -> list[float]:
    offset = int(table.Offset(4 + 2 * slot))
    start, length = table.Vector(offset), table.VectorLen(offset)
    return np.frombuffer(bytes(table.Bytes), dtype, length, start).tolist()


def test_slots() -> None:
    leaf = LEAF(flag=True, small=-3, wide=-(1 << 40), real=0.25, double=2.5)
    root = read(write(ROOT(number=-5, name="grüße", leaf=leaf)))
    assert scalar(root, 0, numbers.Int32Flags) == -5
    assert root.String(at(root, 1)) == "grüße".encode()
    inner = child(root, 3)
    assert [scalar(inner, 0, numbers.BoolFlags), scalar(inner, 1, numbers.Int8Flags)] == [True, -3]
    assert scalar(inner, 2, numbers.Int64Flags) == -(1 << 40)
    assert scalar(inner, 3, numbers.Float32Flags) == 0.25
    assert scalar(inner, 4, numbers.Float64Flags) == 2.5


def test_defaults_and_none_are_left_out() -> None:
    root = read(write(ROOT(number=7, name=None, leaf=LEAF(flag=False, double=0.5))))
    assert [at(root, slot) for slot in (0, 1)] == [0, 0]
    assert [at(child(root, 3), slot) for slot in range(5)] == [0] * 5


def test_vectors() -> None:
    root = read(
        write(ROOT(integers=[1, -2, 3], longs=[1 << 40], reals=np.float32([0.5, 2]), words=["a", ""]))
    )
    assert vector(root, 6, "<i4") == [1, -2, 3]
    assert vector(root, 7, "<i8") == [1 << 40]
    assert vector(root, 8, "<f4") == [0.5, 2]
    offset = int(root.Offset(4 + 2 * 5))
    start = root.Vector(offset)
    assert [root.String(start + 4 * i) for i in range(root.VectorLen(offset))] == [b"a", b""]


def test_tables_in_a_vector_share_their_layout() -> None:
    leaves = [LEAF(small=i) for i in range(1, 9)]
    root = read(write(ROOT(leaves=leaves)))
    start = root.Vector(int(root.Offset(4 + 2 * 4)))
    inner = [Reader(root.Bytes, root.Indirect(start + 4 * i)) for i in range(8)]
    assert [scalar(leaf, 1, numbers.Int8Flags) for leaf in inner] == list(range(1, 9))
    assert len({leaf.Pos - leaf.Get(numbers.SOffsetTFlags, leaf.Pos) for leaf in inner}) == 1


def test_every_scalar_is_aligned() -> None:
    data = write(ROOT(name="x", leaf=LEAF(small=1, wide=2, real=3.0, double=4.0), longs=[5]))
    inner = child(read(data), 3)
    for slot, width in ((2, 8), (3, 4), (4, 8)):
        assert at(inner, slot) % width == 0


@pytest.mark.parametrize("sizes", [(0, 1), (5, 16), (17, 3)])
def test_blobs_follow_aligned(sizes: tuple[int, int]) -> None:
    data = write(ROOT(name="weights", data=blob(sizes[0]), more=blob(sizes[1])))
    root = read(data)
    for slot, size in zip((9, 10), sizes, strict=True):
        offset = int(root.Offset(4 + 2 * slot))
        assert root.Vector(offset) % 16 == 0
        assert vector(root, slot, "u1") == list(range(size))
    assert data[4:8] == b"TEST"


def test_one_blob_may_stand_twice() -> None:
    shared = blob(40)
    once, twice = (write(ROOT(data=shared, **more)) for more in ({}, {"more": shared}))
    assert vector(read(twice), 9, "u1") == vector(read(twice), 10, "u1") == list(range(40))
    assert len(twice) - len(once) <= 16


def test_an_unknown_slot_is_a_bug() -> None:
    with pytest.raises(InternalError, match=r"Leaf has no slots \['colour'\]"):
        LEAF(colour=1)


def test_a_blob_of_another_size_is_a_bug() -> None:
    with pytest.raises(InternalError, match="4 bytes was announced as 5"):
        write(ROOT(data=Blob(5, lambda: np.zeros(4, np.uint8))))


def test_the_limit_is_kept() -> None:
    root = ROOT(data=blob(100))
    with pytest.raises(UnsupportedError, match="exceed 64 bytes"):
        flat.lay_out(root, b"TEST", limit=64)
    assert flat.lay_out(root, b"TEST", limit=256).blobs


def test_the_builder_of_the_library_agrees_on_a_string() -> None:
    builder = flatbuffers.Builder()
    text = builder.CreateString("x")
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, text, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    theirs, ours = read(bytes(builder.Output())), read(write(ROOT(name="x")))
    assert theirs.String(at(theirs, 1)) == ours.String(at(ours, 1)) == b"x"
