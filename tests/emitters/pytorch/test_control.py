"""Control flow and recurrent layers as Python, extents that only the run decides, and text in lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import identifier, number, wrap
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import TensorType
from tests.emitters.pytorch.files import round_trip

F32, BOOL = TensorType(dtypes.F32, (2, 3)), TensorType(dtypes.BOOL, ())


def body(name: str, count: int) -> tuple[Graph, list[Value], Builder]:
    graph = Graph(name)
    values = [graph.input(f"{name}_{i}", F32) for i in range(count)]
    return graph, values, Builder(graph)


@pytest.mark.parametrize("condition", [True, False])
def test_if(condition: bool, tmp_path: Path) -> None:
    then, (a, b), inner = body("then", 2)
    then.set_outputs([inner(ops.Add(), a, b), a], ["s", "t"])
    other, (a, b), inner = body("other", 2)
    other.set_outputs([inner(ops.Relu(), inner(ops.Mul(), a, b)), b], ["s", "t"])
    graph = Graph("g")
    flag, x, y = graph.input("flag", BOOL), graph.input("x", F32), graph.input("y", F32)
    b = Builder(graph)
    s, t = b.multi(ops.If(then_branch=then, else_branch=other), flag, x, b(ops.Exp(), y))
    graph.set_outputs([b(ops.Sub(), s, t), x], ["d", "x"])
    rng = np.random.default_rng(0)
    feeds = {"flag": np.array(condition), **{n: rng.normal(size=(2, 3)).astype(np.float32) for n in "xy"}}
    path = round_trip(graph, feeds, tmp_path)
    assert "if flag:" in (path / "model.py").read_text()


def test_while(tmp_path: Path) -> None:
    test, (a,), inner = body("test", 1)
    largest = inner(ops.ReduceMax(axes=(0, 1), keepdims=False), a)
    test.set_outputs([inner(ops.Less(), largest, 100.0)], ["goes_on"])
    step, (a,), inner = body("step", 1)
    step.set_outputs([inner(ops.Mul(), a, 2.0)], ["next"])
    graph = Graph("g")
    x = graph.input("x", F32)
    b = Builder(graph)
    y = b(ops.While(condition=test, body=step), b(ops.Abs(), x))
    graph.set_outputs([y], ["y"])
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)}
    path = round_trip(graph, feeds, tmp_path)
    assert "while True:" in (path / "model.py").read_text()


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_loop(rounds: int, tmp_path: Path) -> None:
    inside = Graph("inside")
    count = inside.input("count", TensorType(dtypes.I64, ()))
    going = inside.input("going", BOOL)
    state, fixed = inside.input("state", F32), inside.input("fixed", F32)
    inner = Builder(inside)
    made = inner(ops.Add(), state, fixed)
    scaled = inner(ops.Mul(), made, inner(ops.Cast(to=dtypes.F32), count))
    inside.set_outputs([going, made, scaled], ["going", "made", "scaled"])
    graph = Graph("g")
    trips = graph.input("trips", TensorType(dtypes.I64, ()))
    x, y = graph.input("x", F32), graph.input("y", F32)
    op = ops.Loop(body=inside, carried=1, shapes=((2, 3), (Dim.symbol("rounds"), 2, 3)))
    results = Builder(graph).multi(op, trips, None, x, y)
    graph.set_outputs(results, ["last", "all"])
    rng = np.random.default_rng(0)
    feeds = {"trips": np.array(rounds), **{n: rng.normal(size=(2, 3)).astype(np.float32) for n in "xy"}}
    round_trip(graph, feeds, tmp_path)


def test_extents_of_the_data(tmp_path: Path) -> None:
    count = Dim.symbol("found")
    graph = Graph("g")
    x = graph.input("x", F32)
    b = Builder(graph)
    places = b(ops.NonZero(count=count), b(ops.Relu(), x))
    flat = b(ops.Reshape(shape=(count * 2,)), places)
    ones = b(ops.Fill(shape=(count, 2), value=1.0, dtype=dtypes.F32))
    graph.set_outputs([flat, ones], ["flat", "ones"])
    feeds = {"x": np.array([[1, -1, 2], [0, 3, -4]], np.float32)}
    path = round_trip(graph, feeds, tmp_path)
    assert "found = " in (path / "model.py").read_text()


def test_names_and_numbers() -> None:
    assert identifier("class") == "class_"
    assert identifier("2d/conv:0") == "_2d_conv_0"
    assert identifier("größe") == "gr_e"
    assert number(np.float32(0.1), dtypes.F32) == "0.1"
    assert number(float("-inf")) == 'float("-inf")'


def test_long_statements() -> None:
    text = f"x = F.conv2d({', '.join(f'argument_{i}={i}' for i in range(9))})"
    lines = wrap(text, 2)
    assert lines[0] == "        x = F.conv2d("
    assert lines[1] == "            argument_0=0,"
    assert lines[-1] == "        )"
    assert wrap("x = 1", 1) == ["    x = 1"]
