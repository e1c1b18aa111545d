"""Weights that are gone through without being held, and mapped pages that are given back."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mmconvert
from mmconvert.conversion import suspicious_weights
from mmconvert.files import map_file, release_pages
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import Add
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor

LARGE = (1 << 20) + 5
# Not getrusage: its peak begins with the memory of the process that forked.
PEAK = "print(next(s.split()[1] for s in open('/proc/self/status') if s.startswith('VmHWM')))"


def resident() -> int:
    """The memory of this process in bytes, pages of mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.complex128, ml_dtypes.int4])
def test_blocks_are_the_elements_in_order(dtype: type) -> None:
    array = (np.arange(6 * LARGE) % 7).astype(dtype).reshape(2, -1).T
    blocks = list(Tensor.of(array).blocks())
    assert len(blocks) > 1
    assert all(len(block) % 8 == 0 for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), array.reshape(-1))


@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        ((3000, 1111), (1, 0)),
        ((3, 3, 517, 700), (3, 0, 1, 2)),
        ((7, 300, 5, 401), (0, 3, 2, 1)),
        ((5, 1, 0), (2, 0, 1)),
    ],
)
def test_a_transposed_tensor_is_the_same_in_blocks_and_as_a_whole(
    shape: tuple[int, ...], perm: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    moved = Tensor.of(array).transpose(perm)
    wanted = np.transpose(array, perm)
    assert moved.numpy().flags.c_contiguous
    np.testing.assert_array_equal(moved.numpy(), wanted)
    np.testing.assert_array_equal(np.concatenate([*moved.blocks(), []]), wanted.reshape(-1))
    back = moved.transpose(tuple(np.argsort(perm)))
    np.testing.assert_array_equal(np.concatenate([*back.blocks(), []]), array.reshape(-1))


def test_a_matrix_is_transposed_without_a_copy_of_the_whole() -> None:
    array = np.ones((4096, 6000), np.float32)
    moved = Tensor.of(array).transpose((1, 0))
    tracemalloc.start()
    try:
        assert sum(block.size for block in moved.blocks()) == array.size
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 4
    finally:
        tracemalloc.stop()


def test_no_elements_are_no_blocks() -> None:
    assert list(Tensor.of(np.empty((0, 3), np.float32)).blocks()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory from /proc")
def test_mapped_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    path, count = tmp_path / "weights", 1 << 24
    np.arange(count, dtype=np.float32).tofile(path)
    mapped = np.frombuffer(map_file(path), np.float32)
    release_pages()
    before = resident()
    total = mapped.sum(dtype=np.float64)
    assert resident() - before > count * 3
    release_pages()
    assert resident() - before < count
    assert mapped.sum(dtype=np.float64) == total == count * (count - 1) / 2


def stored(folder: Path, layers: int, rows: int) -> Path:
    """An ONNX file of ``layers`` products with square weights beside it, every second one transposed."""
    nodes, weights, x = [], [], "x"
    rng = np.random.default_rng(0)
    for layer in range(layers):
        weights.append(numpy_helper.from_array(rng.random((rows, rows), np.float32) / rows, f"w{layer}"))
        operand = f"w{layer}"
        if layer % 2:
            nodes.append(helper.make_node("Transpose", [operand], [f"t{layer}"], perm=[1, 0]))
            operand = f"t{layer}"
        nodes.append(helper.make_node("MatMul", [x, operand], [f"y{layer}"]))
        x = f"y{layer}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, rows]) for name in ("x", x)]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "in.onnx", save_as_external_data=True, location="weights")
    return folder / "in.onnx"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's peak from /proc")
def test_a_conversion_holds_few_weights_at_a_time(tmp_path: Path) -> None:
    source, target = stored(tmp_path, 16, 2048), tmp_path / "out.onnx"  # 256 MiB
    convert = f"import mmconvert; mmconvert.convert({str(source)!r}, {str(target)!r}, verify=False); {PEAK}"
    floor = f"import mmconvert; mmconvert.load({str(source)!r}); {PEAK}"
    peaks = [
        int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) / 1024
        for code in (convert, floor)
    ]
    assert peaks[0] - peaks[1] < 160, peaks
    x = {"x": np.random.default_rng(1).random((1, 2048), np.float32)}
    (found,), (wanted,) = (mmconvert.run(path, x).values() for path in (target, source))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize(("bad", "what"), [(np.nan, "NaN"), (-np.inf, "infinite elements"), (65504, None)])
@pytest.mark.parametrize("at", [0, -1])
def test_a_defect_is_found_in_any_block(dtype: type, bad: float, what: str | None, at: int) -> None:
    array = np.ones(3 * LARGE, dtype)
    array[at] = bad
    graph = Graph("g")
    x = graph.input("x", TensorType(array.dtype, array.shape))
    node = graph.add(Add(), [x, graph.constant(Tensor.of(array), "w")], name="n")
    graph.set_outputs(list(node.outputs), ["y"])
    found = suspicious_weights(graph)
    assert len(found) == (what is not None)
    assert all(text.endswith(f"contains {what}") for text in found)


def test_elements_that_only_move_stay_what_they_are_stored_as() -> None:
    half = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    wide = Tensor.of(half).cast(np.dtype(np.float32))
    moved = wide.transpose((2, 0, 1)).rearrange(lambda a: a[1:], (3, 2, 3)).reshape((6, 3))
    assert moved.stored is not None
    assert moved.stored.dtype == np.float16
    wanted = half.transpose(2, 0, 1)[1:].reshape(6, 3)
    np.testing.assert_array_equal(moved.stored.numpy(), wanted)
    np.testing.assert_array_equal(moved.numpy(), wanted.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate(list(moved.stored.blocks())), wanted.reshape(-1))
