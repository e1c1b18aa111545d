"""One run does not show how far rounding takes a source; several in which everything rounds otherwise do."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.interpreter import Session
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array, TensorType
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.roundings import TRIALS, Trials, disturbed
from tests.verification.graphs import MLP, altered, graph_of

JUMPS = """
    graph "jumps"(x: f32[1,4]) -> (y: f32[1,4])
      %1, %2, %3 = DynamicQuantize(x)
      %4 = Dequantize(%1, %2, %3)
      return %4
"""

CANCELS = """
    graph "cancels"(x: f32[1,8]) -> (y: f32[1,8])
      %c0: f32[] = 1000.5
      %1 = Add(x, %c0)
      %2 = Sub(%1, %c0)
      return %2
"""


def test_a_rounding_and_no_more() -> None:
    array = np.linspace(0.1, 0.9, 1000, dtype=np.float32)
    moved = disturbed(array, np.random.default_rng(0))
    assert moved.dtype == np.float32
    assert 0 < np.max(np.abs(moved / array - 1)) < 2.5e-7


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_numbers_are_exact(dtype: type[np.floating]) -> None:
    array = np.array([0, 1, -3, 4096, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(disturbed(array, np.random.default_rng(0)), array)


def test_integers_are_not_rounded() -> None:
    array = np.arange(4)
    assert disturbed(array, np.random.default_rng(0)) is array


def test_runs_are_the_same_every_time_and_differ_among_one_another() -> None:
    feed = {"x": np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)}
    first, second = ([run["y"].tobytes() for run in Trials(graph_of(MLP), feed)] for _ in range(2))
    assert first == second
    assert len(set(first)) > TRIALS // 2


def test_what_a_graph_magnifies_is_magnified() -> None:
    """Adding and taking away a thousand leaves three digits fewer, whichever way it is rounded."""
    feed = {"x": np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)}
    runs = [run["y"] for run in Trials(graph_of(CANCELS), feed)]
    assert 1e-5 < max(np.max(np.abs(run - feed["x"])) for run in runs) < 1e-3


def test_they_reach_into_the_branches_of_control_flow() -> None:
    outer, branch = Graph("outer"), Graph("branch")
    x = branch.input("x", TensorType(dtypes.F32, (1, 8)))
    branch.set_outputs([Builder(branch)(ops.Exp(), x)], ["y"])
    flag, given = outer.input("c", TensorType(dtypes.BOOL, ())), outer.input("x", x.type)
    outer.set_outputs([Builder(outer)(ops.If(then_branch=branch, else_branch=branch), flag, given)], ["y"])
    feed = {"x": np.ones((1, 8), np.float32), "c": np.asarray(True)}
    disturbing = Session(outer).run(feed, revise=lambda node, outputs: tuple(a + 1 for a in outputs))
    np.testing.assert_allclose(disturbing["y"], np.exp(feed["x"]) + 2, rtol=1e-6)


def test_a_lucky_run_is_not_held_against_the_target() -> None:
    graph = graph_of(CANCELS)
    feed = {"x": np.full((1, 8), 0.25, np.float32)}  # 1000.75 and back: exact

    def passes(error: float) -> bool:
        return judge(
            observe(graph, [feed]), altered(graph, lambda o: {"y": o["y"] + np.float32(error)})
        ).passed

    assert passes(1e-5)
    assert not passes(5e-3)


def test_a_target_may_stand_on_the_other_side_of_a_step() -> None:
    """The second element is half way between two steps, and goes to the even one."""
    graph = graph_of(JUMPS)
    feed = {"x": np.array([[255.0, 101.5, 3.0, 0.0]], np.float32)}
    reference = observe(graph, [feed])
    (o,) = reference.observations
    assert o.own["y"][0, 1] == 102

    def changed(value: float) -> bool:
        moved: Array = np.array([[255.0, value, 3.0, 0.0]], np.float32)
        return judge(reference, altered(graph, lambda outputs: {"y": moved})).passed

    assert changed(float(o.own["y"][0, 1]))
    assert changed(101.0)
    assert not changed(90.0)
