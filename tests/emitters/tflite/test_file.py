"""The file as a whole: readable by others, aligned, streamed, the same each time, sharing what is equal."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import tflite as emitter
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.subgraph import GraphWriter
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.runtimes.litert import Session
from mmconvert.tensors import Array, Tensor
from mmconvert.version import VERSION
from tests.emitters.tflite.files import parsed, round_trip, write


def network(channels: int = 5) -> Graph:
    graph = Graph("network")
    b = Builder(graph)
    image = graph.input("image", TensorType(dtypes.F32, (Dim.symbol("n"), 8, 8, 3)))
    rng = np.random.default_rng(1)
    kernel = b.constant(rng.random((channels, 3, 3, 3), np.float32), name="kernel")
    conv = ops.Conv(strides=(2, 2), dilations=(1, 1), padding=Explicit.zero(2), layout=Layout.NHWC)
    x = b(ops.Relu(), b(conv, image, kernel, b.constant(np.ones(channels, np.float32)), name="conv"))
    x = b(ops.ReduceMean(axes=(1, 2), keepdims=False), x, name="pool")
    x = b(ops.MatMul(), x, b.constant(rng.random((channels, 4), np.float32), name="dense"), name="scores")
    graph.set_outputs([b(ops.Softmax(axis=1), x, name="soft")], ["probabilities"])
    return graph


def image(batch: int = 1) -> dict[str, Array]:
    return {"image": np.random.default_rng(2).random((batch, 8, 8, 3), np.float32)}


def test_what_others_read(tmp_path: Path) -> None:
    model = parsed(write(network(), tmp_path))
    assert model.Version() == 3
    assert model.Description() == f"mmconvert {VERSION}".encode()
    graph = model.Subgraphs(0)
    assert graph.Name() == b"network"
    tensor = graph.Tensors(graph.Inputs(0))
    assert tensor.Name() == b"image"
    assert tensor.ShapeAsNumpy().tolist() == [1, 8, 8, 3]
    assert tensor.ShapeSignatureAsNumpy().tolist() == [-1, 8, 8, 3]
    assert graph.Tensors(graph.Outputs(0)).Name() == b"probabilities"
    names = [graph.Tensors(i).Name().decode() for i in range(graph.TensorsLength())]
    assert {"kernel", "dense"} <= set(names)
    assert len(set(names)) == len(names)


def test_the_signature(tmp_path: Path) -> None:
    signature = parsed(write(network(), tmp_path)).SignatureDefs(0)
    assert signature.SignatureKey() == b"serving_default"
    assert signature.Inputs(0).Name() == b"image"
    assert signature.Outputs(0).Name() == b"probabilities"


def test_operator_codes_are_said_twice(tmp_path: Path) -> None:
    model = parsed(write(network(), tmp_path))
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    assert all(c.BuiltinCode() == c.DeprecatedBuiltinCode() for c in codes)
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, (2, 1)))
    graph.set_outputs([Builder(graph)(ops.Expand(shape=(2, 3)), x)], ["y"])
    code = parsed(write(graph, tmp_path)).OperatorCodes(0)
    assert (code.DeprecatedBuiltinCode(), code.BuiltinCode()) == (127, 130)


def test_the_oldest_runtime_is_named(tmp_path: Path) -> None:
    model = parsed(write(network(), tmp_path))
    entry = model.Metadata(0)
    assert entry.Name() == b"min_runtime_version"
    assert bytes(model.Buffers(entry.Buffer()).DataAsNumpy()) == b"1.6.0".ljust(16, b"\0")


def test_the_first_buffer_is_empty_and_the_others_are_aligned(tmp_path: Path) -> None:
    path = write(network(), tmp_path)
    model, whole = parsed(path), path.read_bytes()
    assert model.Buffers(0).DataLength() == 0
    for i in range(1, model.BuffersLength()):
        table = model.Buffers(i)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0
    assert whole[4:8] == b"TFL3"


def test_it_runs_at_any_batch(tmp_path: Path) -> None:
    for batch in (1, 3):
        round_trip(network(), image(batch), tmp_path)


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = {hashlib.sha256(write(network(), tmp_path).read_bytes()).hexdigest() for _ in range(3)}
    assert len(digests) == 1


def test_equal_constants_are_one(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (100, 100)))
    large = Tensor.of(np.ones((100, 100), np.float32))
    for operand in (b.constant(large), b.constant(large), np.float32(2), np.float32(2)):
        x = b(ops.Add(), x, operand)
    graph.set_outputs([x], ["y"])
    path = write(graph, tmp_path)
    model = parsed(path)
    assert model.BuffersLength() == 1 + 2 + 1  # the empty one, the constants, the metadata
    assert model.Subgraphs(0).TensorsLength() == 1 + 2 + 4
    assert path.stat().st_size < 42_000


def chain(count: int, rows: int) -> Graph:
    graph = Graph("chain")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (1, rows)))
    for index in range(count):
        weight = Tensor(dtypes.F32, (rows, rows), lambda i=index: np.full((rows, rows), i / rows, np.float32))
        x = b(ops.MatMul(), x, b.constant(weight))
    graph.set_outputs([x], ["y"])
    return graph


def test_weights_are_never_held_together(tmp_path: Path) -> None:
    rows = 1024
    graph = chain(12, rows)
    tracemalloc.start()
    try:
        emitter.write(Module(graph), tmp_path / "chain.tflite")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one = rows * rows * 4
    assert (tmp_path / "chain.tflite").stat().st_size > 12 * one
    assert peak < 2.5 * one  # the weight, and its transpose


def test_large_files_keep_their_constants_outside() -> None:
    file = ModelFile()
    GraphWriter(file).write_main(network())
    inside, outside = io.BytesIO(), io.BytesIO()
    file.save(inside)
    file.save(outside, limit=1000)
    sessions = [Session(stream.getvalue()) for stream in (inside, outside)]
    results = [session.run(image())["probabilities"] for session in sessions]
    np.testing.assert_array_equal(results[0], results[1])
    assert b"outside" not in outside.getvalue()
    assert outside.getvalue() != inside.getvalue()


def test_outputs_that_no_operator_makes(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, 3)))
    y = b(ops.Neg(), x)
    graph.set_outputs([y, x, y, b.constant(np.arange(3))], ["first", "same", "again", "constant"])
    round_trip(graph, {"x": np.ones((2, 3), np.float32)}, tmp_path)


def test_names_are_kept_and_made_distinct(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2,)))
    y = b(ops.Sin(), b(ops.Neg(), x, name="x"), name="x")
    graph.set_outputs([y], ["out"])
    model = parsed(write(graph, tmp_path)).Subgraphs(0)
    assert [model.Tensors(i).Name() for i in range(3)] == [b"x", b"x_1", b"out"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F64, (2, 2)))
    y = b(ops.Add(), b(ops.Sin(), x, name="wave"), 1.0, name="sum")
    z = b(ops.CumProd(axis=0), graph.input("z", TensorType(dtypes.F32, (2, 2))), name="products")
    graph.set_outputs([y, z], ["y", "z"])
    path = tmp_path / "model.tflite"
    with pytest.raises(UnsupportedError, match="TFLite cannot express this model") as caught:
        emitter.write(Module(graph), path)
    problems = caught.value.problems
    assert [p.what for p in problems] == [
        "Sin: TFLite's SIN has no f64",
        "Add: TFLite's ADD has no f64",
        "CumProd: TFLite has no CumProd",
    ]
    assert problems[0].hint == "convert the model to float32 first"
    assert not path.exists()


def test_inputs_and_outputs_of_types_that_tflite_lacks(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.BY_NAME["f8e5m2"], (2,)))
    graph.set_outputs([x], ["y"])
    with pytest.raises(UnsupportedError, match="no tensors of f8e5m2") as caught:
        emitter.write(Module(graph), tmp_path / "model.tflite")
    assert [p.where for p in caught.value.problems] == [("input 'x'",), ("output 'y'",)]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write here"):
        emitter.write(Module(network()), tmp_path / "nowhere" / "model.tflite")


def test_every_builtin_is_known_to_the_schema_package() -> None:
    import tflite

    builtins = [value for value in vars(tfl).values() if isinstance(value, tfl.Builtin)]
    assert len(builtins) > 100
    for builtin in builtins:
        assert getattr(tflite.BuiltinOperator, builtin.name) == builtin.code
