"""The interpreter on real models: bounded memory, and the same numbers every time."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import mmconvert
from mmconvert.interpreter import Session
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph, Value
from mmconvert.verification.inputs import generate
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def _bytes(value: Value) -> int:
    return int(np.prod(value.type.static_shape, dtype=np.int64)) * value.type.dtype.itemsize


def _largest_live_set(graph: Graph) -> int:
    """The most bytes that are needed at one time: operands and results of a node, and what waits."""
    last = {v: node for node in graph for v in node.inputs if v is not None and v.constant is None}
    live = {v: _bytes(v) for v in graph.inputs}
    most = 0
    for node in graph:
        live |= {v: _bytes(v) for v in node.outputs}
        most = max(most, sum(live.values()))
        for value in [v for v in live if last.get(v) is node and v not in graph.outputs]:
            del live[value]
    return most


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "DenseNet121"])
def test_memory_is_bounded_by_what_must_be_live(name):
    graph = copy_graph(mmconvert.load(zoo.keras_application(name)).graph, {"batch": 1})
    weights = sum(v.constant.nbytes for v in graph.constants())
    bound = 1.5 * (_largest_live_set(graph) + weights)
    (feed,) = generate(graph, count=1)
    tracemalloc.start()
    try:
        session = Session(graph)
        session.run(feed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= bound, f"{peak / 1e6:.1f} MB, {peak / bound * 1.5:.2f} times what must be live"


def test_runs_are_the_same_to_the_last_bit():
    model = mmconvert.load(zoo.keras_application("MobileNetV2"))
    (feed,) = generate(model.graph, count=1)
    (first,), (second,) = (model.run(feed).values() for _ in range(2))
    np.testing.assert_array_equal(first, second)
