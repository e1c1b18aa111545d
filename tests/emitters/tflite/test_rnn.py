"""Simple recurrent layers as TFLite's fused operator, which starts anew at each run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.operators import of_tflite
from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import RNN
from mmconvert.ir.ops.recurrent import Direction
from mmconvert.ir.types import Extent, TensorType
from tests.emitters.tflite.files import write
from tests.emitters.tflite.test_lstm import HIDDEN, INPUT, check


def layer(
    direction: Direction = "forward",
    batch: Extent = 1,
    time: Extent = 6,
    *,
    activation: str = "Tanh",
    bias: bool = True,
    initial: bool = False,
    last: bool = False,
    clip: float | None = None,
) -> Graph:
    """A layer with seeded weights; ``initial`` and ``last`` say which states are ends."""
    rng = np.random.default_rng(0)
    graph = Graph("g")
    b = Builder(graph)
    count = 2 if direction == "bidirectional" else 1
    x = graph.input("x", TensorType(dtypes.F32, (time, batch, INPUT)))
    h = graph.input("h", TensorType(dtypes.F32, (count, batch, HIDDEN))) if initial else None
    op = RNN(
        hidden_size=HIDDEN,
        direction=direction,
        activations=(activation,) * count,
        alphas=(0.0,) * count,
        betas=(0.0,) * count,
        clip=clip,
    )
    shapes = ((count, HIDDEN, INPUT), (count, HIDDEN, HIDDEN), (count, 2 * HIDDEN))
    w, r, both = (rng.uniform(-0.5, 0.5, shape).astype(np.float32) for shape in shapes)
    y, state = b.multi(op, x, w, r, both if bias else None, None, h)
    graph.set_outputs([y, state] if last else [y], ["y", "state"] if last else ["y"])
    return graph


FUSED = {
    "forward": layer(),
    "reverse": layer("reverse", 2),
    "both, a batch": layer("bidirectional", 3),
    "relu": layer("bidirectional", activation="Relu"),
    "without bias": layer(bias=False),
    "from a state": layer("bidirectional", 2, initial=True),
    "to the last state": layer("bidirectional", 2, last=True),
    "to the last state, reverse": layer("reverse", last=True),
    "unknown time": layer("bidirectional", 2, Dim.symbol("t")),
}

ONE_WAY = {"forward", "reverse", "without bias", "to the last state, reverse"}

UNFUSED = {
    "unknown batch": layer(batch=Dim.symbol("n")),
    "unknown time, to the last state": layer(time=Dim.symbol("t"), last=True),
    "limited": layer(clip=0.5),
    "softsign": layer(activation="Softsign"),
}


@pytest.mark.parametrize("delegate", [True, False], ids=["XNNPACK", "kernels"])
@pytest.mark.parametrize("name", FUSED)
def test_every_run_starts_anew(name: str, delegate: bool, tmp_path: Path) -> None:
    path = write(copy_graph(FUSED[name]), tmp_path)
    check(FUSED[name], path, delegate=delegate)
    found = of_tflite(path)
    assert found["UNIDIRECTIONAL_SEQUENCE_RNN"] == (1 if name in ONE_WAY else 2)
    assert "WHILE" not in found


@pytest.mark.parametrize("name", UNFUSED)
def test_others_are_loops(name: str, tmp_path: Path) -> None:
    path = write(copy_graph(UNFUSED[name]), tmp_path)
    check(UNFUSED[name], path, delegate=True)
    assert "UNIDIRECTIONAL_SEQUENCE_RNN" not in of_tflite(path)
