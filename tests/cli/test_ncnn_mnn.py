"""NCNN and MNN from the command line: what the runtimes lack is refused, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mmconvert as api
from tests.cli.conftest import Command


def saved(folder: Path, nodes: list[onnx.NodeProto], shape: list[int], out: list[int]) -> Path:
    """A model over ``x`` that gives ``y``."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.array([1, 2, 2, 3, 3, 4], np.int64), "six")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)]
    path = folder / "source.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def six_axes(inner: bool) -> list[onnx.NodeProto]:
    turned = helper.make_node(
        "Transpose", ["s" if inner else "x"], ["t" if inner else "y"], perm=[5, 4, 3, 2, 1, 0]
    )
    if not inner:
        return [turned]
    return [
        helper.make_node("Reshape", ["x", "six"], ["s"]),
        turned,
        helper.make_node("Flatten", ["t"], ["y"], axis=3),
    ]


DETERMINANT = [helper.make_node("Det", ["x"], ["y"])]
CUSTOM = [helper.make_node("Twist", ["x"], ["y"], domain="my.own", name="here")]
REFUSED = {
    "a determinant": (DETERMINANT, [1, 4, 4], [1], "Det"),
    "six axes": (six_axes(inner=False), [1, 2, 2, 3, 3, 4], [4, 3, 3, 2, 2, 1], "6"),
    "an operator of the user's own": (CUSTOM, [1, 4], [1, 4], "Twist"),
}


@pytest.mark.parametrize("suffix", [".param", ".mnn"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_expressed_is_refused(
    what: str, suffix: str, tmp_path: Path, mmconvert: Command
) -> None:
    nodes, shape, out, reason = REFUSED[what]
    source = saved(tmp_path, nodes, shape, out)
    done = mmconvert(source, tmp_path / f"m{suffix}", "--no-verify")
    if what == "six axes" and suffix == ".mnn":  # which MNN has
        assert done.code == 0
        return
    assert done.code == 3
    assert reason in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["source.onnx"]


@pytest.mark.parametrize("suffix", [".param", ".mnn"])
def test_six_axes_on_the_way_are_no_matter(suffix: str, tmp_path: Path, mmconvert: Command) -> None:
    source = saved(tmp_path, six_axes(inner=True), [1, 2, 2, 36], [36, 4])
    done = mmconvert(source, tmp_path / f"m{suffix}")
    assert done.code == 0, done.err


def test_binary_layers(tmp_path: Path, mmconvert: Command) -> None:
    source = saved(tmp_path, [helper.make_node("Tanh", ["x"], ["y"])], [1, 3, 4], [1, 3, 4])
    target = tmp_path / "m.param"
    done = mmconvert(source, target, "--binary")
    assert done.code == 0, done.err
    assert not target.read_bytes().startswith(b"7767517\n")
    x = np.random.default_rng(0).standard_normal((1, 3, 4)).astype(np.float32)
    name = api.load(target).graph.inputs[0].name
    (found,) = api.run(target, {name: x}, runtime="native").values()
    np.testing.assert_allclose(found, np.tanh(x), atol=1e-6)


def test_other_formats_have_no_binary_layers(tmp_path: Path, mmconvert: Command) -> None:
    source = saved(tmp_path, [helper.make_node("Tanh", ["x"], ["y"])], [1, 3], [1, 3])
    assert mmconvert(source, tmp_path / "m.mnn", "--binary").code == 2
