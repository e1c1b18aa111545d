"""Files that MNN's own converter writes, with weights in every way in which it stores them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.emitters import onnx as emitter
from mmconvert.errors import UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.parsers import mnn as parser
from mmconvert.runtimes.mnn import Session

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32) / 4


def convolutions() -> Graph:
    graph = Graph("image")
    b = Builder(graph)
    x = graph.input("x", TensorType(np.dtype(np.float32), (1, 3, 16, 16)))
    plain = {"strides": (1, 1), "dilations": (1, 1), "layout": Layout.NCHW}
    same, none = Explicit(((1, 1), (1, 1))), Explicit.zero(2)
    y = b(ops.Relu(), b(ops.Conv(padding=same, **plain), x, weights(32, 3, 3, 3), weights(32)))
    y = b(ops.Conv(padding=same, groups=32, **plain), y, weights(32, 1, 3, 3), weights(32))
    z = b(ops.Conv(padding=none, **plain), b(ops.HardSwish(), y), weights(32, 32, 1, 1), weights(32))
    y = b(ops.Add(), y, z)
    y = b(ops.ReduceMean(axes=(2, 3), keepdims=True), y)
    y = b(ops.Reshape(shape=(1, 32)), y)
    graph.set_outputs([b(ops.Softmax(axis=1), b(ops.MatMul(), y, weights(32, 8)))], ["y"])
    return graph


def encoder() -> Graph:
    graph = Graph("rows")
    b = Builder(graph)
    n = Dim.symbol("n")
    x = graph.input("x", TensorType(np.dtype(np.float32), (1, n, 32)))
    split = [b(ops.Reshape(shape=(1, n, 4, 8)), b(ops.MatMul(), x, weights(32, 32))) for _ in range(3)]
    query, key, value = (b(ops.Transpose(perm=(0, 2, 1, 3)), part) for part in split)
    scores = b(ops.MatMul(), query, b(ops.Transpose(perm=(0, 1, 3, 2)), key))
    mixed = b(ops.MatMul(), b(ops.Softmax(axis=3), scores), value)
    mixed = b(ops.Reshape(shape=(1, n, 32)), b(ops.Transpose(perm=(0, 2, 1, 3)), mixed))
    y = b(ops.LayerNorm(axes=(2,), epsilon=1e-5), b(ops.Add(), mixed, x), weights(32), weights(32))
    graph.set_outputs([b(ops.Gelu(), b(ops.MatMul(), y, weights(32, 64)))], ["y"])
    return graph


def converted(graph: Graph, folder: Path, *options: str) -> Path:
    """The graph by way of ONNX, through the converter's module: its script would install things."""
    source, target = folder / "model.onnx", folder / "model.mnn"
    emitter.write(Module(graph), source)
    command = ["mnnconvert", "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(target)]
    code = f"import _tools; _tools.mnnconvert({[*command, '--bizCode', 'test', *options]!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert target.is_file(), done.stdout + done.stderr
    return target


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--fp16",),
        ("--weightQuantBits", "8"),
        ("--weightQuantBits", "8", "--weightQuantAsymmetric", "0"),
        ("--weightQuantBits", "4"),
        ("--weightQuantBits", "5"),
        ("--weightQuantBits", "4", "--weightQuantBlock", "16"),
        ("--saveExternalData",),
        ("--saveExternalData", "--fp16"),
        ("--saveExternalData", "--weightQuantBits", "8"),
        ("--saveExternalData", "--weightQuantBits", "4"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("make", [convolutions, encoder])
def test_it_means_what_mnn_computes(make, options, tmp_path: Path) -> None:
    path = converted(make(), tmp_path, *options)
    module = parser.load(path)
    assert module.metadata.producer.startswith("MNN 3")
    shape = tuple(e if isinstance(e, int) else 5 for e in module.graph.inputs[0].type.shape)
    feeds = {"x": RNG.standard_normal(shape).astype(np.float32)}
    found, wanted = run(module.graph, feeds)["y"], Session(path).run(feeds)["y"]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_branch_and_a_loop(tmp_path: Path) -> None:
    state = TensorType(np.dtype(np.float32), (2, 3))
    branches = []
    for op in (ops.Neg(), ops.Exp()):
        branch = Graph(op.name)
        branch.set_outputs([Builder(branch)(op, branch.input("v", state))], ["y"])
        branches.append(branch)
    body = Graph("body")
    body.input("number", TensorType(np.dtype(np.int64), ()))
    flag = body.input("goes_on", TensorType(np.dtype(bool), ()))
    v = body.input("v", state)
    b = Builder(body)
    body.set_outputs([b(ops.Identity(), flag), b(ops.Mul(), v, weights(2, 3))], ["goes_on", "v"])
    graph = Graph("flow")
    b = Builder(graph)
    x = graph.input("x", state)
    first = b(ops.Greater(), b(ops.ReduceSum(axes=(0, 1), keepdims=False), x), np.array(0, np.float32))
    chosen = b(ops.If(then_branch=branches[0], else_branch=branches[1]), first, x)
    loop = ops.Loop(body=body, carried=1, shapes=((2, 3),))
    graph.set_outputs([b(loop, np.array(3, np.int64), None, chosen)], ["y"])
    path = converted(graph, tmp_path)
    module = parser.load(path)
    for sign in (1, -1):
        feeds = {"x": sign * np.abs(weights(2, 3))}
        found, wanted = run(module.graph, feeds)["y"], Session(path).run(feeds)["y"]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_it_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = converted(convolutions(), tmp_path).rename(tmp_path / "model.bin")
    assert mmconvert.load(path).metadata.format == "mnn"


def test_everything_that_is_not_supported_is_listed(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(np.dtype(np.float32), (1, 4, 3, 3)))
    lrn = b(ops.LRN(size=3, alpha=0.1, beta=0.5, bias=1.0, axis=1), x)
    graph.set_outputs([lrn, b(ops.Det(), x)], ["y", "z"])
    path = converted(graph, tmp_path)
    with pytest.raises(UnsupportedError, match="supported"):
        parser.load(path)
