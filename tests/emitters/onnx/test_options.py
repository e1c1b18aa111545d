"""How new the file is, and where its weights are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert import dtypes
from mmconvert.emitters import onnx as emitter
from mmconvert.errors import UsageError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor
from tests.emitters.onnx.files import execute


def module() -> Module:
    """Two matrix products, one with a weight that is large enough to lie beside the file."""
    graph, rng = Graph("net"), np.random.default_rng(0)
    b = Builder(graph)
    y = graph.input("x", TensorType(dtypes.F32, (1, 40)))
    for name, width in (("large", 40), ("small", 3)):
        weight = Tensor.of(rng.standard_normal((40, width)).astype(np.float32))
        y = b(ops.MatMul(), y, graph.constant(weight, name), name=f"by_{name}")
    graph.set_outputs([y], ["y"])
    return Module(graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ir_version": 3}, "IR version 3 cannot carry opset 17"),
        ({"ir_version": 99}, "choose one from 8 to"),
    ],
)
def test_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        emitter.write(module(), tmp_path / "m.onnx", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_version_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    emitter.write(module(), path)
    assert onnx.load(path).ir_version == 8
    emitter.write(module(), path, ir_version=10)
    assert onnx.load(path).ir_version == 10


def test_weights_beside_the_file(tmp_path: Path) -> None:
    path, feed = tmp_path / "m.onnx", {"x": np.ones((1, 40), np.float32)}
    emitter.write(module(), path)
    wanted = execute(path, feed)["y"]
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    emitter.write(module(), path, external_data=True)
    np.testing.assert_array_equal(execute(path, feed)["y"], wanted)
    large, small = onnx.load(path, load_external_data=False).graph.initializer
    assert {e.key: e.value for e in large.external_data} == {
        "location": "m.onnx.data",
        "offset": "0",
        "length": "6400",
    }
    assert len(small.raw_data) == 480
    assert (tmp_path / "m.onnx.data").stat().st_size == 6400
    onnx.checker.check_model(path, full_check=True)


def test_nothing_is_written_beside_a_file_without_large_weights(tmp_path: Path) -> None:
    graph = Graph("net")
    x = graph.input("x", TensorType(dtypes.F32, (2,)))
    graph.set_outputs([Builder(graph)(ops.Neg(), x)], ["y"])
    emitter.write(Module(graph), tmp_path / "m.onnx", external_data=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_weights_of_another_model_are_not_replaced(tmp_path: Path) -> None:
    weight = np.arange(4096, dtype=np.float32).reshape(64, 64)
    source = tmp_path / "source.onnx"
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 64])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 64])],
            [onnx.numpy_helper.from_array(weight, "w")],
        )
    )
    onnx.save(proto, source, save_as_external_data=True, location="target.onnx.data")
    before = (tmp_path / "target.onnx.data").read_bytes()
    model = mmconvert.load(source)
    with pytest.raises(UsageError, match="weights of the source"):
        model.save(tmp_path / "target.onnx", external_data=True)
    assert (tmp_path / "target.onnx.data").read_bytes() == before
    assert not (tmp_path / "target.onnx").exists()


def test_a_model_may_replace_itself_and_its_weights(tmp_path: Path) -> None:
    path, feed = tmp_path / "model.onnx", {"x": np.ones((1, 40), np.float32)}
    emitter.write(module(), path, external_data=True)
    before = mmconvert.run(path, feed)
    mmconvert.load(path).save(path, external_data=True)
    for name, array in mmconvert.run(path, feed).items():
        np.testing.assert_array_equal(array, before[name])
