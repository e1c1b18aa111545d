"""Positions that count from the end, which TFLite does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import TensorType
from tests.emitters.tflite.files import execute, kinds, round_trip, write

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


def lookup() -> Graph:
    graph = Graph()
    b = Builder(graph)
    indices = graph.input("i", TensorType(dtypes.I64, (2,)))
    graph.set_outputs([b(ops.Gather(axis=0), b.constant(TABLE), indices)], ["y"])
    return graph


def test_they_are_turned_around(tmp_path: Path) -> None:
    path = round_trip(lookup(), {"i": np.array([-1, 2])}, tmp_path)
    assert kinds(path) == ["FLOOR_MOD", "GATHER"]


@pytest.mark.parametrize("source", ["keras", "tensorflow", "tflite", "caffe"])
def test_sources_that_do_not_know_them_either_pay_nothing(source: str, tmp_path: Path) -> None:
    path = write(lookup(), tmp_path, source)
    assert kinds(path) == ["GATHER"]
    np.testing.assert_array_equal(execute(path, {"i": np.array([3, 0])})["y"], TABLE[[3, 0]])
    with pytest.raises(InvalidModelError, match="index out of bounds"):
        execute(path, {"i": np.array([-1, 0])})


def test_positions_that_were_found_pay_nothing(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, 4)))
    found = b(ops.Cast(to=dtypes.I32), b(ops.ArgMax(axis=1, keepdims=True), x))
    graph.set_outputs([b(ops.Gather(axis=0), b.constant(TABLE), b(ops.Squeeze(axes=(1,)), found))], ["y"])
    path = round_trip(graph, {"x": np.eye(4, dtype=np.float32)[:2]}, tmp_path)
    assert "FLOOR_MOD" not in kinds(path)


def test_constant_positions_are_turned_beforehand(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (4, 3)))
    graph.set_outputs([b(ops.Gather(axis=1), x, np.array([[-1, 0], [1, -3]]))], ["y"])
    assert kinds(round_trip(graph, {"x": TABLE}, tmp_path)) == ["GATHER"]


def test_large_grids_are_not_stored(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (100, 100)))
    indices = graph.input("i", TensorType(dtypes.I32, (100, 100)))
    graph.set_outputs([b(ops.GatherElements(axis=1), x, indices)], ["y"])
    rng = np.random.default_rng(5)
    feeds = {"x": rng.random((100, 100), np.float32), "i": rng.integers(0, 100, (100, 100)).astype(np.int32)}
    assert round_trip(graph, feeds, tmp_path).stat().st_size < 10_000
