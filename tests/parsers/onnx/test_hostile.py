"""Damaged files: every one is an error of ours, or loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmconvert.errors import InvalidModelError, MMConvertError, UsageError
from mmconvert.parsers.onnx import load


def sample() -> bytes:
    """A model with most of what a file can hold."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "scale": np.ones(4, np.float32),
        "shape": np.array([0, -1]),
        "fc": rng.normal(size=(64, 5)).astype(np.float32),
    }
    names = ["scale"] * 4
    table = numpy_helper.from_array(rng.normal(size=2048).astype(np.float32))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", *names], ["n"], epsilon=0.01),
        helper.make_node("Relu", ["n"], ["r"], doc_string="a note"),
        helper.make_node("Reshape", ["r", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "fc"], ["g"], alpha=0.5),
        helper.make_node("Constant", [], ["k"], value=table),
        helper.make_node("Shape", ["k"], ["s"]),
        helper.make_node("Softmax", ["g"], ["y"], axis=-1),
    ]
    tensors = [numpy_helper.from_array(v, k) for k, v in weights.items()]
    tensors.append(helper.make_tensor("unused", TensorProto.INT32, [3], [1, 2, 3]))
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])
    outputs = [onnx.ValueInfoProto(name=n) for n in ("y", "s")]
    graph = helper.make_graph(nodes, "g", [info], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="p")
    return model.SerializeToString()


DATA = sample()


def attempt(data: bytes, path: Path) -> bool:
    """True when the bytes load; anything but an error of ours escapes."""
    path.write_bytes(data)
    try:
        module = load(path)
        for value in module.graph.constants():
            assert value.constant is not None
            value.constant.numpy()
    except MMConvertError as error:
        if not error.where:
            pytest.fail(f"an error does not say where: {error}")
        return False
    return True


def test_the_sample_itself_loads(tmp_path: Path) -> None:
    assert attempt(DATA, tmp_path / "m.onnx")


def test_truncated_files(tmp_path: Path) -> None:
    places = np.linspace(1, len(DATA) - 1, 40).astype(int)
    assert not any(attempt(DATA[:place], tmp_path / f"{place}.onnx") for place in places)


def test_single_bytes_changed(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    loaded = 0
    for number in range(1000):
        data = bytearray(DATA)
        # Most of the file is weights, where any byte is as good as another; aim at the rest.
        place = rng.integers(len(data)) if number % 4 == 0 else rng.integers(1200)
        data[place] = rng.integers(256)
        loaded += attempt(bytes(data), tmp_path / f"{number}.onnx")
    assert 0 < loaded < 1000


@pytest.mark.parametrize("seed", range(3))
def test_noise(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for number in range(50):
        assert not attempt(rng.bytes(int(rng.integers(1, 300))), tmp_path / f"{number}.onnx")


def test_attributes_and_shapes_out_of_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    integers = [-(2**63), -3, -1, 0, 1, 2, 100, 2**31, 2**62, 2**63 - 1]
    for number in range(300):
        model = onnx.ModelProto.FromString(DATA)
        for node in model.graph.node:
            for attribute in node.attribute:
                if rng.random() < 0.4:
                    attribute.i = int(rng.choice(integers))
                    attribute.f = float(rng.choice([np.nan, np.inf, -1.0, 0.0, 3e38]))
                    if attribute.ints:
                        attribute.ints[int(rng.integers(len(attribute.ints)))] = int(rng.choice(integers))
        shape = np.array([rng.choice(integers), rng.choice(integers)])
        if rng.random() < 0.5:
            model.graph.initializer[2].CopyFrom(numpy_helper.from_array(shape, "shape"))
        attempt(model.SerializeToString(), tmp_path / f"{number}.onnx")


@pytest.mark.parametrize("data", [b"", b"\x00", b"PK\x03\x04", b"not a model", b"\x08\x0a\x3a\x00"])
def test_other_files(data: bytes, tmp_path: Path) -> None:
    assert not attempt(data, tmp_path / "m.onnx")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(DATA.replace(b"\x04conv", b"\x04co\xff\xfe"))
    with pytest.raises(InvalidModelError, match="a name in the file is not UTF-8"):
        load(path)


def test_deep_messages(tmp_path: Path) -> None:
    """Sub-graphs within sub-graphs, deeper than protobuf goes."""
    graph = helper.make_graph([], "g", [], [])
    encoded = graph.SerializeToString()
    for _ in range(200):
        attribute = b"\x0a\x01b\x32" + bytes([*_length(encoded)]) + encoded + b"\xa0\x01\x05"
        node = b"\x2a" + bytes([*_length(attribute)]) + attribute
        encoded = b"\x0a" + bytes([*_length(node)]) + node
    assert not attempt(b"\x08\x08\x3a" + bytes([*_length(encoded)]) + encoded, tmp_path / "m.onnx")


def _length(data: bytes) -> list[int]:
    value, encoded = len(data), []
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return [*encoded, value]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "gone.onnx")


def test_numbers_that_no_rule_expects_still_are_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of defence."""
    from mmconvert.parsers.onnx import convert

    def overflow(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(convert.Converter, "convert", overflow)
    path = tmp_path / "m.onnx"
    path.write_bytes(DATA)
    with pytest.raises(InvalidModelError, match="the file is damaged: too large"):
        load(path)
