"""The HDF5 reader against files that the HDF5 library writes, and against damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError
from mmconvert.parsers.keras.hdf5 import Group, open_file


def write(path: Path, fill: Callable[[Any], object], **options: Any) -> Group:
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return open_file(memoryview(path.read_bytes()), path.name)


ARRAYS = {
    "f4": np.arange(24, dtype="<f4").reshape(2, 3, 4),
    "big_endian": np.arange(6, dtype=">f8").reshape(2, 3),
    "f2": np.array([1.5, -2], "<f2"),
    "i8": np.array([-1, 2], "<i8"),
    "u2": np.array([1, 65535], ">u2"),
    "bool": np.array([True, False]),
    "scalar": np.float32(3),
    "empty": np.zeros((0, 3), "f4"),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_arrays(name: str, libver: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    root = write(tmp_path / "a.h5", lambda file: file.create_dataset("g/a", data=array), libver=libver)
    tensor = root.tensor("g/a")
    assert tensor.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(tensor.numpy(), array)
    assert tensor.numpy().dtype.isnative


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (3, 2)},
        {"chunks": (3, 4), "compression": "gzip"},
        {"chunks": (2, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (1, 1)},
        {"chunks": (1, 1), "compression": "gzip", "shuffle": True},
        {"chunks": (8, 8), "maxshape": (None, None)},
    ],
)
def test_chunks(options: dict[str, Any], tmp_path: Path) -> None:
    array = np.arange(350, dtype="<f4").reshape(50, 7)
    root = write(tmp_path / "a.h5", lambda file: file.create_dataset("a", data=array, **options))
    assert np.array_equal(root.tensor("a").numpy(), array)


def test_an_array_that_is_stored_in_one_piece_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5, dtype="<f4")
    view = memoryview(bytearray(path.read_bytes()))
    array = open_file(view, "a.h5").tensor("a").numpy()
    view[bytes(view).index(np.float32([0, 1, 2, 3, 4]).tobytes())] = 1
    assert array[0] != 0
    assert not array.flags.writeable


def test_an_array_in_its_header(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        dataset = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, space, properties)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.float32([1, 2, 3]))

    assert write(tmp_path / "a.h5", fill).tensor("a").numpy().tolist() == [1, 2, 3]


def test_the_newest_format(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.attrs["text"], file.attrs["empty"] = "x" * 300, ""
        for index in range(6):
            file[f"g/{index}/x"] = np.arange(index)
            file[f"g/{index}"].attrs["name"] = f"layer {index}"

    root = write(tmp_path / "a.h5", fill, libver="latest")
    assert root.text("text") == "x" * 300
    assert root.text("empty") == ""
    group = root.group("g/5")
    assert group is not None
    assert group.text("name") == "layer 5"
    assert group.tensor("x").numpy().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("what", ["links", "attributes"])
def test_dense_storage_is_refused(what: str, tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        for index in range(20):
            if what == "links":
                file.create_group(f"g{index}")
            else:
                file.attrs[f"a{index}"] = "text"

    root = write(tmp_path / "a.h5", fill, libver="latest")
    with pytest.raises(UnsupportedError, match=f"dense storage of {what}"):
        _ = root.names() if what == "links" else root.text("a1")


def test_groups_of_many(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        for index in range(500):
            file.create_group(f"layer_{index}")["x"] = np.int32(index)

    root = write(tmp_path / "a.h5", fill)
    assert len(root.names()) == 500
    assert [int(root.tensor(f"layer_{i}/x").numpy()) for i in (0, 77, 499)] == [0, 77, 499]
    assert "layer_3" in root
    assert "layer_3x" not in root
    assert root.group("layer_3/y") is None


def test_attributes(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        file.attrs["text"] = "é" * 40
        file.attrs["long"] = "x" * 100_000
        file.attrs["bytes"] = b"abc"
        file.attrs["fixed"] = np.bytes_(b"abc")
        file.attrs["list"] = ["a", "bc"]
        file.attrs["fixed_list"] = [b"a", b"bc"]
        file.attrs["none"] = []
        file.attrs["number"] = 3
        file.attrs["cut0"], file.attrs["cut1"] = ["a"], ["b", "c"]
        for index in range(30):
            file.attrs[f"more{index}"] = f"value {index}"

    root = write(tmp_path / "a.h5", fill)
    assert root.text("text") == "é" * 40
    assert root.text("long") == "x" * 100_000
    assert root.text("bytes") == root.text("fixed") == "abc"
    assert root.texts("list") == root.texts("fixed_list") == ["a", "bc"]
    assert root.texts("none") == []
    assert root.texts("cut") == ["a", "b", "c"]
    assert root.text("more29") == "value 29"
    assert root.text("absent") is None
    assert root.texts("absent") is None
    with pytest.raises(InvalidModelError, match="not text"):
        root.text("number")
    with pytest.raises(InvalidModelError, match="not one text"):
        root.text("list")


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda f: f.create_dataset("x", data=np.zeros(10), chunks=(2,), compression="lzf"), "filter 32000"),
        (lambda f: f.create_dataset("x", data=["text"]), "array of text"),
        (lambda f: f.create_dataset("x", data=np.zeros(2, "c8")), "datatype class 6"),
        (
            lambda f: (
                f.__setitem__("t", np.dtype("f4")) or f.create_dataset("x", data=np.zeros(2), dtype=f["t"])
            ),
            "committed",
        ),
        (lambda f: f.create_dataset("x", data=np.zeros(2, "V2")), "array of text or of structures"),
    ],
)
def test_what_is_not_supported(fill: Callable[[Any], object], says: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=says):
        write(tmp_path / "a.h5", fill).tensor("x")


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "x")), "link to somewhere else"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/y")), "link to somewhere else"),
        (
            lambda f: f.create_dataset("x", shape=(2,), dtype="f4", external=[("/etc/passwd", 0, 8)]),
            "outside the file",
        ),
        (lambda f: f.create_dataset("x", shape=(1000, 1000), dtype="f4"), "0 are stored"),
        (lambda f: f.create_dataset("x", shape=(1 << 40,), chunks=(1024,), dtype="f4"), "in a file of"),
        (lambda f: f.create_group("x"), "an array was expected"),
        (lambda f: None, "there is no array"),
    ],
)
def test_what_is_not_in_the_file(fill: Callable[[Any], object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=says):
        write(tmp_path / "a.h5", fill).tensor("x")


def test_virtual_arrays_are_refused(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
        file.create_virtual_dataset("x", layout)

    with pytest.raises(UnsupportedError, match="virtual"):
        write(tmp_path / "a.h5", fill, libver="latest").tensor("x")


def test_an_array_where_a_group_should_be(tmp_path: Path) -> None:
    root = write(tmp_path / "a.h5", lambda file: file.__setitem__("x", np.zeros(3)))
    with pytest.raises(InvalidModelError, match="a group was expected"):
        root.group("x/y")


def walk(group: Group, depth: int = 0) -> None:
    """Looks at everything within three groups; damage may put a group into itself."""
    for name in group.names() if depth < 3 else []:
        try:
            child = group.group(name)
        except InvalidModelError:
            group.tensor(name).numpy()
        else:
            assert child is not None
            child.texts("names")
            walk(child, depth + 1)


def test_damage_is_noticed_or_harmless(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        group = file.create_group("g")
        group.attrs["names"] = ["a", "b"]
        group["a"] = np.arange(3.0)
        file.create_dataset("c", data=np.arange(50), chunks=(7,), compression="gzip")

    write(tmp_path / "a.h5", fill)
    whole = (tmp_path / "a.h5").read_bytes()
    rng = np.random.default_rng(0)
    noticed = 0
    for trial in range(600):
        data = bytearray(whole)
        if trial % 6 == 0:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(len(data), size=8):
                data[place] = rng.choice([0, 1, 255, rng.integers(256)])
        try:
            walk(open_file(memoryview(bytes(data)), "a.h5"))
        except MMConvertError:
            noticed += 1
    assert noticed > 200
