"""Sources that jump: one run does not show how far rounding takes them."""

from __future__ import annotations

import numpy as np

from mmconvert.verification.judge import judge, observe
from mmconvert.verification.steps import TRIALS, nudged
from tests.verification.graphs import MLP, altered, graph_of

JUMPS = """
    graph "jumps"(x: f32[1,4]) -> (y: f32[1,4])
      %1, %2, %3 = DynamicQuantize(x)
      %4 = Dequantize(%1, %2, %3)
      return %4
"""


def test_a_graph_that_does_not_jump_is_run_once() -> None:
    assert not list(nudged(graph_of(MLP), {"x": np.zeros((1, 8), np.float32)}))


def test_a_target_may_stand_on_the_other_side_of_a_step() -> None:
    """The second element is half way between two steps, and goes to the even one."""
    graph = graph_of(JUMPS)
    feed = {"x": np.array([[255.0, 101.5, 3.0, 0.0]], np.float32)}
    assert len(list(nudged(graph, feed))) == TRIALS
    reference = observe(graph, [feed])
    (o,) = reference.observations
    assert o.own["y"][0, 1] == 102

    def changed(value: float) -> bool:
        moved = np.array([[255.0, value, 3.0, 0.0]], np.float32)
        return judge(reference, altered(graph, lambda outputs: {"y": moved})).passed

    assert changed(float(o.own["y"][0, 1]))
    assert changed(101.0)
    assert not changed(90.0)
