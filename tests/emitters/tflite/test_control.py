"""Control flow: sub-graphs, and what runs in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import tflite as emitter
from mmconvert.errors import UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.op import Op
from mmconvert.ir.ops.control import If, While
from mmconvert.ir.types import TensorType
from tests.emitters.tflite.files import kinds, parsed, round_trip

VECTOR, FLAG, NUMBER = TensorType(dtypes.F32, (3,)), TensorType(dtypes.BOOL, ()), TensorType(dtypes.I32, ())


def branch(name: str, op: Op) -> Graph:
    graph = Graph(name)
    x = graph.input("x", VECTOR)
    graph.set_outputs([Builder(graph)(op, x), x], ["y", "same"])
    return graph


def choice() -> Graph:
    graph = Graph("choice")
    flag, x = graph.input("flag", FLAG), graph.input("x", VECTOR)
    op = If(then_branch=branch("then", ops.Neg()), else_branch=branch("else", ops.Exp()))
    graph.set_outputs(Builder(graph).multi(op, flag, x), ["y", "same"])
    return graph


@pytest.mark.parametrize("flag", [True, False])
def test_if(flag: bool, tmp_path: Path) -> None:
    feeds = {"flag": np.array(flag), "x": np.arange(3, dtype=np.float32)}
    path = round_trip(choice(), feeds, tmp_path)
    assert kinds(path) == ["IF"]
    assert kinds(path, 1) == ["NEG", "RESHAPE"]  # a branch hands on what it was given as a copy
    assert parsed(path).SubgraphsLength() == 3
    assert parsed(path).SignatureDefsLength() == 1


@pytest.mark.parametrize("steps", [0, 4])
def test_while(steps: int, tmp_path: Path) -> None:
    condition, body, graph = Graph("condition"), Graph("body"), Graph("loop")
    inputs = [[g.input("i", NUMBER), g.input("x", VECTOR)] for g in (condition, body, graph)]
    condition.set_outputs([Builder(condition)(ops.Greater(), inputs[0][0], 0)], ["goes_on"])
    b = Builder(body)
    body.set_outputs([b(ops.Sub(), inputs[1][0], 1), b(ops.Mul(), inputs[1][1], 2.0)], ["i", "x"])
    graph.set_outputs(Builder(graph).multi(While(condition=condition, body=body), *inputs[2]), ["i_end", "y"])
    feeds = {"i": np.array(steps, np.int32), "x": np.arange(3, dtype=np.float32)}
    assert kinds(round_trip(graph, feeds, tmp_path)) == ["WHILE"]


def test_problems_of_sub_graphs_are_told(tmp_path: Path) -> None:
    graph = Graph("choice")
    flag, x = graph.input("flag", FLAG), graph.input("x", VECTOR)
    op = If(then_branch=branch("then", ops.CumProd(axis=0)), else_branch=branch("else", ops.Exp()))
    graph.set_outputs(Builder(graph).multi(op, flag, x), ["y", "same"])
    with pytest.raises(UnsupportedError, match="CumProd: TFLite has no CumProd"):
        emitter.write(Module(graph), tmp_path / "model.tflite")
