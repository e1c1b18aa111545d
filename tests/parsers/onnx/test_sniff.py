from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmconvert.parsers.onnx import sniff

NAMED, OTHER = Path("model.onnx"), Path("model.bin")


def model(weights: int = 10, **fields: object) -> onnx.ModelProto:
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [weights])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    weight = numpy_helper.from_array(np.zeros(weights, np.float32), "w")
    graph = helper.make_graph([node], "g", [info], [onnx.ValueInfoProto(name="y")], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **fields)


@pytest.mark.parametrize(
    "proto",
    [model(), model(10000), model(producer_name="pytorch", producer_version="2.1"), model(ir_version=3)],
)
def test_models(proto: onnx.ModelProto) -> None:
    head = proto.SerializeToString()[:4096]
    assert sniff(NAMED, head)
    assert sniff(OTHER, head)


def test_the_order_of_fields_counts_only_without_the_name() -> None:
    data = model().SerializeToString()
    version, rest = data[:2], data[2:]
    assert version[0] == 0x08
    assert sniff(NAMED, rest + version)
    assert not sniff(OTHER, rest + version)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
    return file.getvalue()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08",
        b"\x08\x00\x3a\x00",
        b"\x1c\x00\x00\x00TFL3\x00\x00",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        zipped(),
        b'{"format": "tfjs"}',
        b"7767517\n2 2\nInput x 0 1 x\n",
        b"\x08\x01\x12\x04\x0a\x02\x08\x01",  # SavedModel: a version, then a message
        b"\x08\x08\x12\x04\x0a\x02\x08\x01",  # Core ML: likewise
        b"\x0a\x05\x0a\x03abc",  # GraphDef, caffemodel
        bytes(range(256)),
    ],
)
def test_other_formats(head: bytes) -> None:
    assert not sniff(OTHER, head)
    assert not sniff(NAMED, head)


def test_sniffing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from mmconvert.parsers.onnx import sniff;"
        "sniff(Path('a.onnx'), b'\\x08\\x08:\\x00'); assert 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
