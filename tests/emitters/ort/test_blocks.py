"""A file with blocked convolutions runs where blocks have the same size, and fails elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from mmconvert.emitters import ort as emitter
from mmconvert.emitters.ort import blocks
from mmconvert.errors import InvalidModelError
from mmconvert.runtimes.onnxruntime import Session
from mmconvert.tensors import Array
from tests.emitters.ort.nets import branches, convolutions, picture

SIZES = (1, 2, 4, 8, 16, 32, 64)
HERE = blocks.block_size()
blocked = pytest.mark.skipif(HERE == 1, reason="ONNX Runtime has no blocked layout for this CPU")


def rearranged(x: Array, block: int) -> Array:
    """(N, C, H, W) in blocks of channels."""
    n, c, h, w = x.shape
    return x.reshape(n, c // block, block, h, w).transpose(0, 1, 3, 4, 2)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_the_mark_lies_in_its_place_for_one_size_alone(size: int) -> None:
    found = {b: rearranged(blocks.marks(), b).reshape(-1)[size + 1] for b in SIZES}
    assert [b for b, mark in found.items() if mark == 0] == [size]


@blocked
def test_the_size_of_a_block_is_what_onnx_runtime_has() -> None:
    x = np.random.default_rng(0).random((1, 128, 2, 3), np.float32)
    ends = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", x.shape), ("y", None))]
    node = helper.make_node("ReorderInput", ["x"], ["y"], domain=blocks.DOMAIN)
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(blocks.DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    np.testing.assert_array_equal(
        Session(model).run({"x": x})["y"].reshape(-1), rearranged(x, HERE).reshape(-1)
    )


@blocked
def test_a_file_for_this_cpu(tmp_path: Path) -> None:
    source = convolutions()
    emitter.write(source, tmp_path / "m.ort")
    assert "com.microsoft.nchwc;1;Conv,ReorderInput,ReorderOutput" in config(tmp_path)
    (warning,) = source.warnings
    assert f"m.ort is for CPUs where ONNX Runtime has blocks of {HERE} channels" in warning
    assert "--ort-cpu any" in warning


@blocked
@pytest.mark.parametrize("size", [s for s in (8, 16, 32) if s != HERE])
def test_a_file_for_another_cpu_fails_and_says_why(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "block_size", lambda: size)
    emitter.write(convolutions(), tmp_path / "m.ort")
    session = Session(tmp_path / "m.ort")
    with pytest.raises(InvalidModelError, match=f"blocks of {size} channels.*--ort-cpu any"):
        session.run(picture())


def test_files_without_blocks_are_for_every_cpu(tmp_path: Path) -> None:
    for source, options in (
        (branches(), {}),
        (convolutions(), {"cpu": "any"}),
        (convolutions(), {"style": "runtime"}),
    ):
        emitter.write(source, tmp_path / "m.ort", **options)  # type: ignore[arg-type]
        assert "nchwc" not in config(tmp_path)
        assert not source.warnings


def test_names_that_are_taken() -> None:
    one = helper.make_node("Identity", ["block_size/marks"], ["block_size_/y"])
    graph = helper.make_graph([one], "g", [], [])
    model = helper.make_model(graph)
    blocks.add(model, 16, "no")
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)
    assert names[1] == "block_size__/blocked"


def config(folder: Path) -> str:
    return (folder / "m.required_operators.config").read_text()
