"""Weights in other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mmconvert.errors import InvalidModelError
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def external(name: str, dims: list[int], **entries: object) -> TensorProto:
    """A tensor whose values are in another file."""
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def parse(folder: Path, tensor: TensorProto) -> Graph:
    """A model that multiplies its input with the tensor."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [onnx.ValueInfoProto(name="y")],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return load(folder / "m.onnx").graph


def weight(graph: Graph) -> np.ndarray:
    (value,) = graph.constants()
    assert value.constant is not None
    return value.constant.numpy()


def test_a_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"12345678" + WEIGHT.tobytes() + b"rest")
    tensor = external("w", [3, 4], location="w.bin", offset=8, length=48, checksum="ignored")
    assert np.array_equal(weight(parse(tmp_path, tensor)), WEIGHT)


def test_a_folder_below_and_a_link_inside(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "link.bin").symlink_to(tmp_path / "data" / "w.bin")
    for location in ("data/w.bin", "./data/w.bin", "link.bin"):
        assert np.array_equal(weight(parse(tmp_path, external("w", [3, 4], location=location))), WEIGHT)


def test_what_onnx_itself_writes(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert np.array_equal(weight(load(tmp_path / "m.onnx").graph), WEIGHT)


def test_an_empty_tensor_needs_no_file(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])],
        "g",
        [],
        [onnx.ValueInfoProto(name="y")],
        [external("w", [0, 4], location="none.bin")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert weight(load(tmp_path / "m.onnx").graph).shape == (0, 4)


def test_constants_may_lie_outside_too(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    value = external("", [3, 4], location="w.bin")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=value)], "g", [], [onnx.ValueInfoProto(name="y")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert np.array_equal(weight(load(tmp_path / "m.onnx").graph), WEIGHT)


@pytest.mark.parametrize(
    "location",
    [
        "/etc/passwd",
        "../w.bin",
        "a/../../w.bin",
        "..\\w.bin",
        "C:\\w.bin",
        "\\w.bin",
        "",
        "a\0b",
        "a" * 5000,
        "link.bin",
        "loop.bin",
    ],
)
def test_nothing_outside_of_the_folder_is_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    inner = tmp_path / "model"
    inner.mkdir()
    (inner / "link.bin").symlink_to(tmp_path / "w.bin")
    (inner / "loop.bin").symlink_to(inner / "loop.bin")
    with pytest.raises(InvalidModelError, match=r"tensor 'w': its values (may not be|are) in"):
        parse(inner, external("w", [3, 4], location=location))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "gone.bin"}, r"its values are in 'gone.bin', which cannot be read: No such file"),
        ({"location": "w.bin", "offset": 4}, r"'w.bin' has 48 bytes, and bytes 4 to 52 are needed"),
        ({"location": "w.bin", "length": 47}, "the tensor takes 48 bytes, and its length is 47"),
        ({"location": "w.bin", "offset": -1}, "offset = '-1' is not a number of bytes"),
        ({"location": "w.bin", "offset": "9" * 30}, "is not a number of bytes"),
        ({"location": "w.bin", "offset": 2**63}, "are needed"),
        ({"location": "w.bin", "length": "many"}, "length = 'many' is not a number of bytes"),
        ({"location": "folder"}, "a folder, not a model file"),
        ({}, "its values may not be in ''"),
    ],
)
def test_files_that_do_not_fit(entries: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidModelError, match=message):
        parse(tmp_path, external("w", [3, 4], **entries))
