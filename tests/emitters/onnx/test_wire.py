from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mmconvert import dtypes
from mmconvert.emitters import onnx as emitter
from mmconvert.emitters.onnx import model as model_writer
from mmconvert.emitters.onnx import wire
from mmconvert.errors import InvalidModelError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.types import TensorType
from mmconvert.runtimes.onnxruntime import Session
from mmconvert.tensors import Tensor


def chain(count: int, width: int, tensor: object = None) -> Graph:
    """``count`` matrix products with lazy weights of ``width`` x ``width``."""
    graph = Graph("chain")
    b = Builder(graph)
    y = graph.input("x", TensorType(dtypes.F32, (1, width)))
    for i in range(count):
        weight = tensor or Tensor(
            dtypes.F32, (width, width), lambda i=i: np.full((width, width), i, np.float32)
        )
        y = b(ops.MatMul(), y, graph.constant(weight, f"w{i}"), name=f"product{i}")
    graph.set_outputs([y], ["y"])
    return graph


def test_weights_come_back_as_they_are(tmp_path: Path) -> None:
    graph, rng = Graph("types"), np.random.default_rng(0)
    b = Builder(graph)
    arrays = {
        name: rng.integers(0, 2 if dtype.name in ("bool", "uint2", "int2") else 7, (3, 5)).astype(dtype)
        for name, dtype in dtypes.BY_NAME.items()
        if name != "f8e8m0"
    }
    values = [b(ops.Identity(), b.constant(a, name=name)) for name, a in arrays.items()]
    graph.set_outputs(values, [f"y_{name}" for name in arrays])
    model_writer.write(Module(graph), tmp_path / "m.onnx", opset=25)
    read = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "m.onnx").graph.initializer}
    for name, array in arrays.items():
        np.testing.assert_array_equal(
            read[name].astype(np.complex128), array.astype(np.complex128), err_msg=name
        )


def test_odd_counts_of_narrow_elements_are_padded() -> None:
    packed = wire._bytes(np.array([1, -2, 3], dtype=ml_dtypes.int4))
    assert list(packed) == [0xE1, 0x03]
    packed = wire._bytes(np.array([1, 2, 3, 0, 1], dtype=ml_dtypes.uint2))
    assert list(packed) == [0b00111001, 0b01]


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3), np.float32), np.float32(2.5).reshape(()), np.ones((2, 3)).T]
)
def test_empty_scalar_and_transposed_weights(tmp_path: Path, array: np.ndarray) -> None:
    graph = Graph("g")
    b = Builder(graph)
    graph.set_outputs([b(ops.Identity(), b.constant(array, name="w"))], ["y"])
    emitter.write(Module(graph), tmp_path / "m.onnx")
    np.testing.assert_array_equal(Session(tmp_path / "m.onnx").run({})["y"], array)


def test_a_file_above_the_limit_has_its_weights_beside_it(tmp_path: Path) -> None:
    graph = chain(3, 64)
    path = tmp_path / "m.onnx"
    model_writer.write(Module(graph), path, opset=17, limit=4096)
    assert path.stat().st_size < 4096
    assert (tmp_path / "m.onnx.data").stat().st_size == 2 * 16384 + 64 * 64 * 4
    onnx.checker.check_model(str(path), full_check=True)
    inline = tmp_path / "inline.onnx"
    emitter.write(Module(graph), inline)
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    np.testing.assert_array_equal(Session(path).run({"x": x})["y"], Session(inline).run({"x": x})["y"])
    assert not (tmp_path / "inline.onnx.data").exists()


def test_small_weights_stay_inside(tmp_path: Path) -> None:
    graph = Graph("g")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (4, 6)))
    big = b(ops.Add(), x, np.ones((200, 4, 6), np.float32))
    graph.set_outputs([b(ops.Reshape(shape=(200, 24)), big)], ["y"])
    model_writer.write(Module(graph), tmp_path / "m.onnx", opset=17, limit=100)
    stored = onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer
    assert [t.data_location for t in stored] == [onnx.TensorProto.EXTERNAL, onnx.TensorProto.DEFAULT]
    assert Session(tmp_path / "m.onnx").run({"x": np.ones((4, 6), np.float32)})["y"].shape == (200, 24)


def test_writing_holds_one_weight_at_a_time(tmp_path: Path) -> None:
    count, width = 16, 1024
    graph = chain(count, width)
    emitter.write(Module(chain(1, 2)), tmp_path / "warm.onnx")
    tracemalloc.start()
    emitter.write(Module(graph), tmp_path / "m.onnx")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "m.onnx").stat().st_size > count * width * width * 4
    assert peak < 1.5 * width * width * 4


def test_one_tensor_is_written_once(tmp_path: Path) -> None:
    shared = Tensor.of(np.eye(8, dtype=np.float32))
    emitter.write(Module(chain(5, 8, shared)), tmp_path / "m.onnx")
    assert [t.name for t in onnx.load(tmp_path / "m.onnx").graph.initializer] == ["w0"]


def test_a_weight_of_another_type_leaves_no_file(tmp_path: Path) -> None:
    lying = Tensor(dtypes.F32, (8, 8), lambda: np.zeros((8, 9), np.float32))
    with pytest.raises(InvalidModelError, match="announced as"):
        emitter.write(Module(chain(1, 8, lying)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_metadata_and_versions(tmp_path: Path) -> None:
    metadata = Metadata(properties={"author": "someone", "licence": "MIT"})
    emitter.write(Module(chain(1, 2), metadata), tmp_path / "m.onnx", opset=21)
    model = onnx.load(tmp_path / "m.onnx")
    assert (model.producer_name, model.opset_import[0].version, model.ir_version) == ("mmconvert", 21, 10)
    assert {p.key: p.value for p in model.metadata_props} == metadata.properties


_SCRIPT = """
import sys
from pathlib import Path
from mmconvert.emitters import onnx as emitter
from mmconvert.ir.model import Module
from tests.emitters.onnx.test_extents import symbolic_graph
emitter.write(Module(symbolic_graph()), Path(sys.argv[1]))
"""


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    contents = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.onnx"
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", _SCRIPT, str(path)], check=True, env=environment)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
