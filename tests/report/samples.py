"""Cases for the tests of this folder: real conversions, and one that was broken on purpose."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

import mmconvert
from mmconvert.api import verify
from mmconvert.report import Case, page
from tests import digits

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>"


def good(folder: Path, suffix: str = "onnx") -> Case:
    """The digits, converted."""
    return Case.of_conversion(mmconvert.convert(digits.KERAS, folder / f"good.{suffix}", examine=True))


def edited(folder: Path, change: str) -> Case:
    """The digits in ONNX with one weight of a convolution ``reversed`` or ``nan``."""
    path = digits.converted(folder, "onnx")
    model = onnx.load(path)
    node = [node for node in model.graph.node if node.op_type == "Conv"][1]
    (weight,) = (t for t in model.graph.initializer if t.name == node.input[1])
    array = onnx.numpy_helper.to_array(weight)[::-1].copy()
    if change == "nan":
        array[0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, folder / "edited.onnx")
    return compared(digits.KERAS, folder / "edited.onnx")


def compared(source: Path, target: Path) -> Case:
    """Two files."""
    return Case.of_comparison(str(source), str(target), verify(source, target, examine=True), 1.0)


def hostile(folder: Path) -> Case:
    """A model whose names are code for a browser; its target computes something else."""
    helper, paths = onnx.helper, []
    for axis in (1, 0):
        nodes = [
            helper.make_node("Relu", ["x"], [HOSTILE], name=f"</script>{HOSTILE}"),
            helper.make_node("Softmax", [HOSTILE], [f"y{HOSTILE}"], name=HOSTILE, axis=axis),
        ]
        ends = [helper.make_tensor_value_info(n, 1, [3, 4]) for n in ("x", f"y{HOSTILE}")]
        graph = helper.make_graph(nodes, HOSTILE, ends[:1], ends[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        paths.append(folder / f"hostile{axis}.onnx")
        onnx.save(model, paths[-1])
    return compared(*paths)


def chain(folder: Path, length: int) -> Case:
    """A long network."""
    helper = onnx.helper
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    steps = np.random.default_rng(0).normal(1, 0.1, (length, 8)).astype(np.float32)
    weights = [onnx.numpy_helper.from_array(step, f"w{i}") for i, step in enumerate(steps)]
    nodes = [
        helper.make_node("Add", [a, f"w{i}"], [b], name=f"node_{i}")
        for i, (a, b) in enumerate(itertools.pairwise(names))
    ]
    ends = [helper.make_tensor_value_info(name, 1, [2, 8]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "chain.onnx")
    return compared(folder / "chain.onnx", folder / "chain.onnx")


def render(*cases: Case) -> str:
    """The page of cases made at a set time."""
    return page.render(cases, {"mmconvert": "1", "system": "any"}, WHEN)
