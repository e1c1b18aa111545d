"""Labels and normalization: written where readers of TFLite Metadata look for them, read back, kept."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.metadata import ENTRY, files
from mmconvert.emitters.tflite.subgraph import GraphWriter
from mmconvert.errors import UsageError
from mmconvert.ir import ops, store
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes.litert import Session
from tests.emitters.tflite.files import parsed

LABELS = ("cat", "dog", "Ünicorn")
PROPERTIES = {
    "input_0.mean": "127.5 0.1 -3",
    "input_0.std": "128 1 0.0171",
    "input_0.color": "rgb",
    "description": "tells animals apart",
    "author": "somebody",
}


def network() -> Graph:
    graph = Graph("animals")
    b = Builder(graph)
    x = graph.input("image", TensorType(dtypes.F32, (1, 4, 4, 3)))
    size = b(ops.ReduceSum(axes=(1, 2, 3), keepdims=False), x, name="size")
    pooled = b(ops.ReduceMean(axes=(1, 2), keepdims=False), x, name="pool")
    graph.set_outputs([size, b(ops.Softmax(axis=1), pooled, name="soft")], ["size", "scores"])
    return graph


def module(**about: Any) -> Module:
    return Module(network(), Metadata(format="onnx", **about))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "animals.tflite"
    mmconvert.save(mmconvert.api.Model(**vars(module(labels=LABELS, properties=PROPERTIES))), path)
    return path


def test_it_is_read_back(written: Path) -> None:
    found = mmconvert.load(written).metadata
    assert found.labels == LABELS
    assert found.properties == PROPERTIES


def test_it_still_runs(written: Path) -> None:
    image = np.random.default_rng(1).random((1, 4, 4, 3), np.float32)
    found = Session(written).run({"image": image})
    np.testing.assert_allclose(found["size"], [image.sum()], rtol=1e-6)


def table(data: bytes) -> flatbuffers.table.Table:
    start = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
    return flatbuffers.table.Table(data, start)


def slot(of: flatbuffers.table.Table, number: int) -> int:
    return of.Pos + of.Offset(4 + 2 * number) if of.Offset(4 + 2 * number) else 0


def member(of: flatbuffers.table.Table, number: int, index: int) -> flatbuffers.table.Table:
    """A member of a vector of tables."""
    vector = of.Vector(of.Offset(4 + 2 * number))
    return flatbuffers.table.Table(of.Bytes, of.Indirect(vector + 4 * index))


def test_what_others_read(written: Path) -> None:
    model = parsed(written)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    assert [e.Name() for e in entries] == [b"min_runtime_version", ENTRY.encode()]
    data = bytes(model.Buffers(entries[1].Buffer()).DataAsNumpy())
    assert data[4:8] == b"M001"
    about = table(data)
    assert about.String(slot(about, 1)) == PROPERTIES["description"].encode()
    assert about.String(slot(about, 4)) == b"somebody"
    graph = member(about, 3, 0)
    assert graph.VectorLen(graph.Offset(4 + 2 * 2)) == 1
    assert graph.VectorLen(graph.Offset(4 + 2 * 3)) == 2
    scores = member(graph, 3, 1)
    assert scores.String(slot(scores, 0)) == b"scores"
    file = member(scores, 6, 0)
    assert file.String(slot(file, 0)) == b"labels.txt"
    assert file.Get(flatbuffers.number_types.Int8Flags, slot(file, 2)) == 2
    with zipfile.ZipFile(written) as archive:
        (info,) = archive.infolist()
        assert (info.filename, info.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(info).decode().splitlines() == list(LABELS)


def test_nothing_is_written_where_nothing_is_known(tmp_path: Path) -> None:
    assert files(module()) == {}
    assert files(module(properties={"own": "thing"})) == {}


def test_the_same_bytes(tmp_path: Path) -> None:
    streams = [io.BytesIO(), io.BytesIO()]
    for stream in streams:
        file = ModelFile(files(module(labels=LABELS, properties=PROPERTIES)))
        GraphWriter(file).write_main(network())
        file.save(stream)
    assert streams[0].getvalue() == streams[1].getvalue()


def test_constants_outside_and_metadata_inside(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    file = ModelFile(files(module(labels=LABELS)))
    GraphWriter(file).write_main(network())
    with path.open("wb") as stream:
        file.save(stream, limit=100)
    model = parsed(path)
    assert model.Buffers(1).Offset() > 1
    assert bytes(model.Buffers(model.Metadata(1).Buffer()).DataAsNumpy())[4:8] == b"M001"
    assert mmconvert.load(path).metadata.labels == LABELS
    assert Session(path).run({"image": np.ones((1, 4, 4, 3), np.float32)})["size"] == 48


def test_a_tflite_model_keeps_its_own(written: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tflite"
    source.write_bytes(written.read_bytes())
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("anchors.bin", bytes(range(256)))
    report = mmconvert.convert(source, tmp_path / "again.tflite")
    assert report.passed, report.verdict
    before, after = (mmconvert.load(p).metadata for p in (source, tmp_path / "again.tflite"))
    assert after.files == before.files
    assert set(after.files) == {ENTRY, "labels.txt", "anchors.bin"}
    with zipfile.ZipFile(tmp_path / "again.tflite") as archive:
        assert archive.read("anchors.bin") == bytes(range(256))


def test_a_part_of_a_model_has_not_the_files_of_the_whole(written: Path, tmp_path: Path) -> None:
    mmconvert.extract(written, tmp_path / "part.tflite", outputs=["size"], verify=False)
    assert mmconvert.load(tmp_path / "part.tflite").metadata.files.keys() <= {ENTRY, "labels.txt"}
    parsed_part = table(mmconvert.load(tmp_path / "part.tflite").metadata.files[ENTRY])
    graph = member(parsed_part, 3, 0)
    assert graph.VectorLen(graph.Offset(4 + 2 * 3)) == 1


def test_other_labels(written: Path, tmp_path: Path) -> None:
    text = tmp_path / "labels.txt"
    text.write_text("un\ndeux\ntrois\n", encoding="utf-8")
    for labels in (text, ["un", "deux", "trois"]):
        mmconvert.convert(written, tmp_path / "again.tflite", labels=labels, verify=False)
        found = mmconvert.load(tmp_path / "again.tflite").metadata
        assert found.labels == ("un", "deux", "trois")
        assert found.properties == PROPERTIES
    with pytest.raises(UsageError, match="cannot be read"):
        mmconvert.convert(written, tmp_path / "again.tflite", labels=tmp_path / "nothing.txt")


def test_by_way_of_onnx_and_mmir(written: Path, tmp_path: Path) -> None:
    onnx_path, back = tmp_path / "m.onnx", tmp_path / "back.tflite"
    mmconvert.convert(written, onnx_path, verify=False)
    stored = {p.key: p.value for p in onnx.load(onnx_path).metadata_props}
    assert json.loads(stored["labels"]) == list(LABELS)
    mmconvert.convert(onnx_path, back, verify=False)
    found = mmconvert.load(back).metadata
    assert found.labels == LABELS
    assert found.properties == PROPERTIES
    mmconvert.convert(written, tmp_path / "m.mmir", verify=False)
    assert store.load(tmp_path / "m.mmir").metadata == mmconvert.load(written).metadata


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"input_0.mean": "much"}, r"input_0\.mean has to be numbers"),
        ({"input_0.mean": "1 2", "input_0.std": "1"}, "as many numbers each"),
        ({"input_0.mean": "1", "input_0.std": "0"}, "none of .std may be 0"),
        ({"input_0.color": "blue"}, r"input_0\.color is rgb or grayscale"),
    ],
)
def test_nonsense(properties: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        files(module(properties=properties))
