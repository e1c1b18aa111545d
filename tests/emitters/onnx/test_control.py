from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert import dtypes
from mmconvert.emitters.onnx.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from tests.emitters.onnx.files import execute, kinds, write

n = Dim.symbol("n")
X, SCALAR, FLAG = TensorType(dtypes.F32, (n, 3)), TensorType(dtypes.F32, ()), TensorType(dtypes.BOOL, ())


def graph_of(name: str, *types: TensorType) -> tuple[Graph, Builder, list[Value]]:
    graph = Graph(name)
    return graph, Builder(graph), [graph.input(f"{name}_{i}", t) for i, t in enumerate(types)]


def branch(name: str, *steps: Op) -> Graph:
    """``x -> (steps(x), x)``."""
    graph, b, (x,) = graph_of(name, X)
    y = x
    for step in steps:
        y = b(step, y)
    graph.set_outputs([y, x], ["a", "b"])
    return graph


def choice(then_branch: Graph, else_branch: Graph) -> Graph:
    graph, b, (flag, x) = graph_of("choice", FLAG, X)
    outputs = b.multi(ops.If(then_branch=then_branch, else_branch=else_branch), flag, x, name="if")
    graph.set_outputs(outputs, ["first", "second"])
    return graph


def agree(graph: Graph, folder: Path, **feeds: np.ndarray) -> Path:
    wanted = run(graph, feeds)
    path = write(graph, folder)
    for name, array in execute(path, feeds).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-6)
    return path


@pytest.mark.parametrize("flag", [True, False])
def test_one_of_two_branches(flag: bool, tmp_path: Path) -> None:
    flatten = (ops.Reshape(shape=(3 * n,)), ops.Reshape(shape=(n, 3)))
    graph = choice(branch("then", ops.Exp(), *flatten), branch("otherwise"))
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    path = agree(graph, tmp_path, choice_0=np.array(flag), choice_1=x)
    assert kinds(path) == ["If"]


def test_branches_read_weights_of_the_file(tmp_path: Path) -> None:
    graph, b, (x,) = graph_of("weighted", X)
    weight = b.constant(np.arange(3, dtype=np.float32), name="w")
    graph.set_outputs([b(ops.Add(), x, weight), b(ops.Identity(), b(ops.Mul(), x, weight))], ["a", "b"])
    whole = choice(graph, branch("plain", ops.Neg()))
    path = agree(whole, tmp_path, choice_0=np.array(True), choice_1=np.ones((2, 3), np.float32))
    assert [t.name for t in onnx.load(path).graph.initializer] == ["w"]


def power(limit: float) -> Graph:
    """Doubles ``x`` and counts, until its largest element reaches ``limit``."""
    condition, c, (_, x) = graph_of("condition", SCALAR, X)
    largest = c(ops.ReduceMax(axes=(0, 1), keepdims=False), x)
    condition.set_outputs([c(ops.Less(), largest, limit)], ["goes_on"])
    body, b, (count, y) = graph_of("body", SCALAR, X)
    body.set_outputs([b(ops.Add(), count, 1.0), b(ops.Mul(), y, 2.0)], ["count", "x"])
    graph, w, (x,) = graph_of("power", X)
    loop = ops.While(condition=condition, body=body)
    graph.set_outputs(w.multi(loop, w.constant(np.float32(0)), x, name="while"), ["count", "y"])
    return graph


@pytest.mark.parametrize("limit", [0.5, 1.5, 100.0])
def test_a_loop_runs_as_often_as_it_should(limit: float, tmp_path: Path) -> None:
    agree(power(limit), tmp_path, power_0=np.ones((2, 3), np.float32))


def test_a_loop_inside_a_branch(tmp_path: Path) -> None:
    loop = power(50.0)
    assert isinstance(loop, Graph)
    inner, b, (x,) = graph_of("inner", X)
    outputs = b.multi(next(iter(loop)).op, b.constant(np.float32(3)), x)
    inner.set_outputs([outputs[1], b(ops.Add(), x, outputs[0])], ["a", "b"])
    graph = choice(inner, branch("plain", ops.Neg()))
    for flag in (True, False):
        agree(graph, tmp_path, choice_0=np.array(flag), choice_1=np.ones((2, 3), np.float32))


def test_a_body_is_no_obstacle_for_its_operator() -> None:
    graph = choice(branch("then", ops.Softplus(beta=2.0)), branch("otherwise"))
    assert obstacle(next(iter(graph))) is None
