"""Constants in all the ways that a file can hold them, and what it says about itself."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

import mmconvert
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.parsers import tflite
from tests.parsers.tflite.files import Graph, Op, Tensor, build, check, feeds_for, load, reference, save


def added(constant: Tensor) -> bytes:
    """A constant beside an input."""
    result = Tensor(constant.shape, "float32")
    return build(Graph([result, constant, result], [Op("ADD", [0, 1], [2], {}, "AddOptions")], [0], [2]))


def test_int4_weights(tmp_path: Path) -> None:
    codes = np.arange(-8, 8).reshape(4, 4)
    packed = ((codes.reshape(-1)[0::2] & 15) | ((codes.reshape(-1)[1::2] & 15) << 4)).astype(np.uint8)
    scale = np.array([0.5, 0.25, 1.0, 2.0], np.float32)
    tensors = [
        Tensor((2, 4)),
        Tensor((4, 4), "int4", packed.tobytes(), scale=scale),
        Tensor((2, 4)),
    ]
    op = Op("FULLY_CONNECTED", [0, 1, -1], [2], {}, "FullyConnectedOptions", 10)
    path = save(build(Graph(tensors, [op], [0], [2])), tmp_path)
    module = tflite.load(path, hybrid="float")
    x = feeds_for(module)["t0"]
    wanted = x @ (codes * scale[:, None]).astype(np.float32).T
    np.testing.assert_allclose(run(module.graph, {"t0": x})["t2"], wanted, rtol=1e-6)
    found, own = run(tflite.load(path).graph, {"t0": x})["t2"], reference(path).run({"t0": x})["t2"]
    np.testing.assert_allclose(found, own, rtol=1e-5)


def sparse(dense: np.ndarray) -> Tensor:
    """Rows one after the other, their columns compressed."""
    made = schema.SparsityParametersT()
    made.traversalOrder, made.blockMap = [0, 1], []
    rows, columns = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    rows.format, rows.denseSize = schema.DimensionType.DENSE, dense.shape[0]
    columns.format = schema.DimensionType.SPARSE_CSR
    columns.arraySegmentsType = columns.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    columns.arraySegments, columns.arrayIndices = schema.Int32VectorT(), schema.Int32VectorT()
    counts = [0, *np.cumsum((dense != 0).sum(axis=1)).tolist()]
    columns.arraySegments.values, columns.arrayIndices.values = counts, np.nonzero(dense)[1].tolist()
    made.dimMetadata = [rows, columns]
    return Tensor(dense.shape, "float32", dense[dense != 0].tobytes(), sparsity=made)


def test_sparse_weights(tmp_path: Path) -> None:
    dense = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]], np.float32)
    tensors = [sparse(dense), Tensor((3, 3)), Tensor((3, 3)), Tensor((3, 3))]
    ops = [Op("DENSIFY", [0], [1]), Op("ADD", [1, 2], [3], {}, "AddOptions")]
    check(build(Graph(tensors, ops, [2], [3])), tmp_path)


def test_sparsity_that_points_outside_is_invalid(tmp_path: Path) -> None:
    tensor = sparse(np.eye(3, dtype=np.float32))
    tensor.sparsity.dimMetadata[1].arrayIndices.values = [0, 1, 7]
    data = build(Graph([tensor, Tensor((3, 3))], [Op("DENSIFY", [0], [1])], [], [1]))
    with pytest.raises(InvalidModelError, match="points outside"):
        load(data, tmp_path)


@pytest.mark.parametrize("size", [3, 5])
def test_a_constant_of_the_wrong_size_is_invalid(size: int, tmp_path: Path) -> None:
    data = added(Tensor((4,), "float32", np.zeros(size, np.float32)))
    with pytest.raises(InvalidModelError, match=r"bytes for f32\[4\], which takes 16"):
        load(data, tmp_path)


def test_constants_behind_the_flatbuffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files above 2 GB keep them there; small ones may."""
    source = tmp_path / "small.tflite"
    source.write_bytes(added(Tensor.of(np.arange(6, dtype=np.float32))))
    save = ModelFile.save
    monkeypatch.setattr(ModelFile, "save", lambda self, file: save(self, file, limit=900))
    mmconvert.convert(source, tmp_path / "large.tflite", verify=False)
    model = mmconvert.load(tmp_path / "large.tflite")
    feeds = feeds_for(mmconvert.parsers.tflite.load(tmp_path / "large.tflite"))
    (found,) = run(model.graph, feeds).values()
    np.testing.assert_array_equal(found, feeds["t0"] + np.arange(6, dtype=np.float32))


def test_scales_that_do_not_fit_are_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="2 scales along axis 0"):
        load(added(Tensor.of(np.zeros(3, np.int8), scale=[1, 2])), tmp_path)
    with pytest.raises(InvalidModelError, match="negative or not finite"):
        load(added(Tensor.of(np.zeros(3, np.int8), scale=np.nan)), tmp_path)


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    names = ("HASHTABLE_LOOKUP", "my_operator", "my_operator", "SKIP_GRAM")
    ops = [Op(name, [0], [i + 1]) for i, name in enumerate(names)]
    tensors = [Tensor((3,), name=f"v{i}") for i in range(5)]
    with pytest.raises(UnsupportedError) as caught:
        load(build(Graph(tensors, ops, [0], [1, 2, 3, 4])), tmp_path)
    text = str(caught.value)
    assert "3 things are not supported" in text
    assert "custom operator 'my_operator' (2x)" in text
    assert "HASHTABLE_LOOKUP" in text


def test_strings_are_refused(tmp_path: Path) -> None:
    tensors = [Tensor((3,), "string"), Tensor((3,), "string")]
    op = Op("RESHAPE", [0], [1], {"newShape": [3]}, "ReshapeOptions")
    with pytest.raises(UnsupportedError, match="tensors of strings"):
        load(build(Graph(tensors, [op], [0], [1])), tmp_path)


def _metadata() -> bytes:
    """ModelMetadata with one input (mean 127.5, std 128) and one output with labels, slot by slot."""
    b = flatbuffers.Builder(256)

    def table(*slots: tuple[int, int]) -> int:
        b.StartObject(8)
        for slot, offset in slots:
            b.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return b.EndObject()

    def vector(*offsets: int) -> int:
        b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return b.EndVector()

    def floats(*numbers: float) -> int:
        b.StartVector(4, len(numbers), 4)
        for number in reversed(numbers):
            b.PrependFloat32(number)
        return b.EndVector()

    options = table((0, floats(127.5)), (1, floats(128.0)))
    b.StartObject(2)
    b.PrependUint8Slot(0, 1, 0)
    b.PrependUOffsetTRelativeSlot(1, options, 0)
    unit = b.EndObject()
    name = b.CreateString("labels.txt")
    b.StartObject(4)
    b.PrependUOffsetTRelativeSlot(0, name, 0)
    b.PrependInt8Slot(2, 2, 0)
    file = b.EndObject()
    given, made = table((4, vector(unit))), table((6, vector(file)))
    graph = table((2, vector(given)), (3, vector(made)))
    b.Finish(table((3, vector(graph))), b"M001")
    return bytes(b.Output())


def test_labels_and_normalization(tmp_path: Path) -> None:
    model = schema.ModelT.InitFromPackedBuf(added(Tensor.of(np.zeros(3, np.float32))))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = save(bytes(builder.Output()), tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\nbird\n")
    metadata = mmconvert.parsers.tflite.load(path).metadata
    assert metadata.labels == ("cat", "dog", "bird")
    assert metadata.properties == {"input_0.mean": "127.5", "input_0.std": "128"}
    assert json.dumps(metadata.producer) == '"by hand"'
