"""LSTM layers as TFLite's fused operators, which start anew at each run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.operators import of_tflite
from mmconvert import dtypes
from mmconvert.interpreter import run
from mmconvert.ir.builder import Builder
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import LSTM
from mmconvert.ir.ops.recurrent import Direction
from mmconvert.ir.types import Extent, TensorType
from mmconvert.runtimes.litert import Session
from tests.emitters.tflite.files import compare, write

INPUT, HIDDEN = 5, 4


def layer(
    direction: Direction = "forward",
    batch: int = 1,
    time: Extent = 6,
    *,
    bias: bool = True,
    initial: str = "",
    peephole: bool = False,
    last: str = "",
    **attributes: object,
) -> Graph:
    """A layer with seeded weights; ``initial`` and ``last`` have h and c for the states that are ends."""
    rng = np.random.default_rng(0)
    graph = Graph("g")
    b = Builder(graph)
    count = 2 if direction == "bidirectional" else 1

    def weight(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape).astype(np.float32)

    x = graph.input("x", TensorType(dtypes.F32, (time, batch, INPUT)))
    states = {
        name: graph.input(name, TensorType(dtypes.F32, (count, batch, HIDDEN))) if name in initial else None
        for name in "hc"
    }
    op = LSTM(
        hidden_size=HIDDEN,
        direction=direction,
        activations=("Sigmoid", "Tanh", "Tanh") * count,
        alphas=(0.0,) * 3 * count,
        betas=(0.0,) * 3 * count,
        **attributes,
    )
    outputs = b.multi(
        op,
        x,
        weight(count, 4 * HIDDEN, INPUT),
        weight(count, 4 * HIDDEN, HIDDEN),
        weight(count, 8 * HIDDEN) if bias else None,
        None,
        states["h"],
        states["c"],
        weight(count, 3 * HIDDEN) if peephole else None,
    )
    chosen = [
        ("y", outputs[0]),
        *((f"last_{n}", v) for n, v in zip("hc", outputs[1:], strict=True) if n in last),
    ]
    graph.set_outputs([v for _, v in chosen], [n for n, _ in chosen])
    return graph


FUSED = {
    "forward": layer(),
    "reverse": layer("reverse", 2),
    "both": layer("bidirectional"),
    "both, a batch": layer("bidirectional", 3),
    "without bias": layer(bias=False),
    "from a state": layer(batch=2, initial="hc"),
    "from an output": layer(initial="h"),
    "from a cell, both": layer("bidirectional", 2, initial="c"),
    "from a state, both": layer("bidirectional", 2, initial="hc"),
    "to the last state": layer(batch=2, last="h"),
    "to the last state, reverse": layer("reverse", 2, last="h"),
    "to the last state, both": layer("bidirectional", 2, last="h"),
    "to the last cell": layer(last="hc"),
    "to the last cell, reverse": layer("reverse", 2, last="c"),
    "to the last cell, both": layer("bidirectional", 2, last="hc", initial="hc"),
    "to the last cell, unknown time": layer(time=Dim.symbol("t"), last="c"),
    "peephole": layer(batch=2, peephole=True),
    "peephole, both": layer("bidirectional", peephole=True),
    "unknown time": layer("bidirectional", 2, Dim.symbol("t")),
}

UNFUSED = {
    "unknown batch": layer(batch=Dim.symbol("n")),  # type: ignore[arg-type]
    "unknown time, to the last state": layer(time=Dim.symbol("t"), last="h"),
    "limited": layer(clip=0.5),
    "coupled": layer(input_forget=True),
}


def feed(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {v.name: [e if isinstance(e, int) else 4 + seed for e in v.type.shape] for v in graph.inputs}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def check(graph: Graph, path: Path, *, delegate: bool) -> None:
    session = Session(path, delegate=delegate)
    for seed in (0, 1, 0):
        values = feed(graph, seed)
        found = session.run(values)
        wanted, exact = run(graph, values), run(graph, values, precision="float64")
        assert found.keys() == wanted.keys()
        for name, array in found.items():
            compare(array, wanted[name], exact[name])


@pytest.mark.parametrize("delegate", [True, False], ids=["XNNPACK", "kernels"])
@pytest.mark.parametrize("name", FUSED)
def test_every_run_starts_anew(name: str, delegate: bool, tmp_path: Path) -> None:
    path = write(copy_graph(FUSED[name]), tmp_path)
    check(FUSED[name], path, delegate=delegate)
    fused = [n for n in of_tflite(path) if n.endswith("SEQUENCE_LSTM")]
    assert len(fused) == 1
    assert "WHILE" not in of_tflite(path)


@pytest.mark.parametrize("name", UNFUSED)
def test_others_are_loops(name: str, tmp_path: Path) -> None:
    path = write(copy_graph(UNFUSED[name]), tmp_path)
    check(UNFUSED[name], path, delegate=True)
    assert "WHILE" in of_tflite(path)


def test_a_single_step_needs_no_loop(tmp_path: Path) -> None:
    graph = layer(batch=2, time=1, initial="hc", last="hc")
    path = write(copy_graph(graph), tmp_path)
    check(graph, path, delegate=True)
    assert "WHILE" not in of_tflite(path)
