"""What an input is for is read off the operators that read it."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.interpreter import run
from mmconvert.verification.inputs import generate, without_effect
from mmconvert.verification.roles import Role, role_of
from tests.verification.graphs import MLP, graph_of

BODIES = {
    "ids": ("i64[n,5]", "%1 = Gather(%w, x) {axis=0}", "f32[n,5,4]", Role("index", 7)),
    "scaled pixels": ("f32[n,4,4,3]", "%1 = Mul(x, %s)", "f32[n,4,4,3]", Role("range", 255)),
    "divided pixels": ("f32[n,4,4,3]", "%1 = Div(x, %t)", "f32[n,4,4,3]", Role("range", 255)),
    "no pixels": ("f32[n,4,4,3]", "%1 = Mul(x, %h)", "f32[n,4,4,3]", Role("number")),
    "probability": ("f32[n,4]", "%1 = Log(x)", "f32[n,4]", Role("range", 1)),
    "mask by a cast": ("i64[n,4]", "%1 = Cast(x) {to=bool}", "bool[n,4]", Role("mask")),
    "mask by its type": ("bool[n,4]", "%1 = Not(x)", "bool[n,4]", Role("mask")),
    "number": ("f32[n,4]", "%1 = Relu(x)", "f32[n,4]", Role("number")),
}


@pytest.mark.parametrize("name", BODIES)
def test_roles(name: str) -> None:
    type, body, made, role = BODIES[name]
    graph = graph_of(
        f"""
        graph "g"(x: {type}) -> (y: {made})
          %w: f32[7,4] = weight "w"
          %s: f32[1] = [0.003921569]
          %t: f32[1] = [127.5]
          %h: f32[1] = [0.5]
          {body}
          return %1
        """
    )
    assert role_of(graph.inputs[0]) == role
    (feed,) = generate(graph, count=1, extents={"n": 50})
    (result,) = run(graph, feed).values()
    assert np.all(np.isfinite(result.astype(np.float64)))
    if role.kind == "range":
        assert 0.9 * role.high < feed["x"].max() <= role.high
        assert feed["x"].min() >= 0
    elif role.kind == "mask":
        assert set(np.unique(feed["x"])) == {0, 1}


def test_lengths_are_at_most_as_long_as_the_sequences() -> None:
    graph = graph_of(
        """
        graph "g"(x: f32[6,n,2], lengths: i64[n]) -> (y: f32[6,n,2])
          %1 = ReverseSequence(x, lengths) {time_axis=0 batch_axis=1}
          return %1
        """
    )
    assert role_of(graph.inputs[1]) == Role("length", 6)
    (feed,) = generate(graph, count=1, extents={"n": 100})
    assert set(feed["lengths"]) == set(range(1, 7))


def test_thorough_inputs() -> None:
    graph = graph_of(MLP)
    feeds = [feed["x"] for feed in generate(graph, thorough=True)]
    assert [feed.shape[0] for feed in feeds] == [1, 2, 3, 1, 1, 1, 1]
    constant, ramp, hot, large = feeds[3:]
    assert np.ptp(constant) == 0
    assert np.all(np.diff(ramp.reshape(-1)) > 0)
    assert np.count_nonzero(hot) == 1
    assert np.abs(large).max() > 10
    np.testing.assert_array_equal(generate(graph)[0]["x"], feeds[0])


def test_thorough_inputs_have_odd_and_prime_extents() -> None:
    graph = graph_of(
        """
        graph "g"(x: f32[n,h,w,3]) -> (y: f32[n,h,w,3])
          %1 = Relu(x)
          return %1
        """
    )
    assert [f["x"].shape for f in generate(graph, thorough=True)][2] == (3, 37, 37, 3)


def test_what_indexes_or_masks_gets_no_structure() -> None:
    graph = graph_of(
        """
        graph "g"(ids: i64[n,5], mask: f32[n,5]) -> (y: f32[n,5,4], z: bool[n,5])
          %w: f32[7,4] = weight "w"
          %1 = Gather(%w, ids) {axis=0}
          %2 = Cast(mask) {to=bool}
          return %1, %2
        """
    )
    feeds = generate(graph, thorough=True)
    assert all(0 <= f["ids"].min() <= f["ids"].max() < 7 for f in feeds)
    assert all(set(np.unique(f["mask"])) <= {0, 1} for f in feeds)


def test_inputs_that_change_nothing_are_named() -> None:
    graph = graph_of(
        """
        graph "g"(a: f32[n,4], b: f32[n,4], c: f32[n,4]) -> (y: f32[n,4], z: f32[n,4])
          %zero: f32[1] = [0.0]
          %1 = Relu(a)
          %2 = Mul(b, %zero)
          %3 = Add(%2, c)
          return %1, %3
        """
    )
    (feed,) = generate(graph, count=1)
    assert without_effect(graph, feed) == [
        "the input 'a' alone does not change 'z'",
        "the input 'b' alone does not change 'y', 'z'",
        "the input 'c' alone does not change 'y'",
    ]
    assert without_effect(graph_of(MLP), generate(graph_of(MLP))[0]) == []
