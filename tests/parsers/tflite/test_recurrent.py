"""Recurrent layers in all their forms, run after run with the state that they keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parsers.tflite.files import Graph, Op, Tensor, build, check

TIME, BATCH, INPUT, UNITS, OUTPUT = 4, 2, 3, 5, 4
TANH = 4


def weights(*shape: int, seed: int) -> Tensor:
    return Tensor.of(np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32))


def lstm_graph(
    *,
    cifg: bool = False,
    peephole: bool = False,
    projection: bool = False,
    norm: bool = False,
    time_major: bool = True,
    name: str = "UNIDIRECTIONAL_SEQUENCE_LSTM",
    **options: Any,
) -> Graph:
    """Operands: input, weights, recurrence, peephole, biases, projection, state, cell, norm."""
    out = OUTPUT if projection else UNITS
    single = name == "LSTM"
    lead = (BATCH,) if single else (TIME, BATCH) if time_major else (BATCH, TIME)
    tensors: list[Tensor] = [Tensor((*lead, INPUT))]
    inputs = [0]

    def add(tensor: Tensor | None) -> None:
        inputs.append(-1 if tensor is None else len(tensors))
        if tensor is not None:
            tensors.append(tensor)

    for gate in range(4):
        add(None if cifg and gate == 0 else weights(UNITS, INPUT, seed=gate))
    for gate in range(4):
        add(None if cifg and gate == 0 else weights(UNITS, out, seed=10 + gate))
    for gate in range(3):
        add(weights(UNITS, seed=20 + gate) if peephole and not (cifg and gate == 0) else None)
    for gate in range(4):
        add(None if cifg and gate == 0 else weights(UNITS, seed=30 + gate))
    add(weights(OUTPUT, UNITS, seed=40) if projection else None)
    add(weights(OUTPUT, seed=41) if projection else None)
    add(Tensor((BATCH, out), variable=True, name="h"))
    add(Tensor((BATCH, UNITS), variable=True, name="c"))
    for gate in range(4):
        add(weights(UNITS, seed=50 + gate) if norm and not (cifg and gate == 0) else None)
    tensors.append(Tensor((*lead, out)))
    kind = "LSTMOptions" if single else "UnidirectionalSequenceLSTMOptions"
    chosen = {"fusedActivationFunction": TANH, **({} if single else {"timeMajor": time_major}), **options}
    op = Op(name, inputs, [len(tensors) - 1], chosen, kind)
    return Graph(tensors, [op], [0], [len(tensors) - 1])


def lstm(**form: Any) -> bytes:
    return build(lstm_graph(**form))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"time_major": False},
        {"cifg": True},
        {"peephole": True},
        {"cifg": True, "peephole": True},
        {"projection": True},
        {"projection": True, "projClip": 0.1},
        {"cellClip": 0.2},
        {"norm": True},
        {"norm": True, "cifg": True, "projection": True, "peephole": True},
        {"name": "LSTM"},
        {"name": "LSTM", "projection": True},
    ],
    ids=str,
)
def test_lstm(form: dict[str, Any], tmp_path: Path) -> None:
    module = check(lstm(**form), tmp_path, steps=3)
    assert [s.input for s in module.states] == ["h", "c"]
    assert [s.output for s in module.states] == ["h_next", "c_next"]


def test_a_plain_lstm_is_one_operator(tmp_path: Path) -> None:
    kinds = [node.op.name for node in check(lstm(), tmp_path).graph]
    assert "LSTM" in kinds
    assert "Scan" not in kinds


def bidirectional_graph(*, merge: bool) -> Graph:
    tensors = [Tensor((TIME, BATCH, INPUT))]
    inputs = [0]

    def add(*made: Tensor | None) -> None:
        for tensor in made:
            inputs.append(-1 if tensor is None else len(tensors))
            if tensor is not None:
                tensors.append(tensor)

    for side in range(2):
        add(*(weights(UNITS, INPUT, seed=100 * side + g) for g in range(4)))
        add(*(weights(UNITS, UNITS, seed=100 * side + 10 + g) for g in range(4)))
        add(None, None, None)
        add(*(weights(UNITS, seed=100 * side + 30 + g) for g in range(4)))
        add(None, None)
    add(*(Tensor((BATCH, UNITS), variable=True, name=f"s{i}") for i in range(4)))
    add(*(None,) * 9)
    first = len(tensors)
    shapes = [(TIME, BATCH, 2 * UNITS)] if merge else [(TIME, BATCH, UNITS)] * 2
    tensors += [Tensor(shape) for shape in shapes]
    outputs = list(range(first, len(tensors)))
    options = {"fusedActivationFunction": TANH, "timeMajor": True, "mergeOutputs": merge}
    op = Op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, options, "BidirectionalSequenceLSTMOptions")
    return Graph(tensors, [op], [0], outputs)


@pytest.mark.parametrize("merge", [False, True])
def test_bidirectional_lstm(merge: bool, tmp_path: Path) -> None:
    check(build(bidirectional_graph(merge=merge)), tmp_path, steps=2)


def test_basic_lstm(tmp_path: Path) -> None:
    tensors = [
        Tensor((BATCH, INPUT)),
        Tensor((BATCH, UNITS)),
        weights(4 * UNITS, INPUT + UNITS, seed=1),
        weights(4 * UNITS, seed=2),
        Tensor((BATCH, UNITS)),
        Tensor((BATCH, UNITS)),
        Tensor((BATCH, UNITS)),
        Tensor((BATCH, INPUT + UNITS)),
        Tensor((BATCH, 4 * UNITS)),
    ]
    op = Op("LSTM", range(5), range(5, 9), {"kernelType": 1, "fusedActivationFunction": TANH}, "LSTMOptions")
    check(build(Graph(tensors, [op], [0, 1, 4], [5, 6])), tmp_path)


def rnn_graph(activation: int, *, sequence: bool) -> Graph:
    lead = (BATCH, TIME) if sequence else (BATCH,)
    tensors = [
        Tensor((*lead, INPUT)),
        weights(UNITS, INPUT, seed=1),
        weights(UNITS, UNITS, seed=2),
        weights(UNITS, seed=3),
        Tensor((BATCH, UNITS), variable=True, name="h"),
        Tensor((*lead, UNITS)),
    ]
    name, kind = ("UNIDIRECTIONAL_SEQUENCE_RNN", "SequenceRNNOptions") if sequence else ("RNN", "RNNOptions")
    op = Op(name, range(5), [5], {"fusedActivationFunction": activation}, kind)
    return Graph(tensors, [op], [0], [5])


@pytest.mark.parametrize("activation", [0, 1, TANH])
@pytest.mark.parametrize("sequence", [False, True])
def test_rnn(activation: int, sequence: bool, tmp_path: Path) -> None:
    check(build(rnn_graph(activation, sequence=sequence)), tmp_path, steps=3)


def svdf_graph(rank: int, *, bias: bool) -> Graph:
    filters, memory = 4 * rank, 6
    tensors = [
        Tensor((BATCH, INPUT)),
        weights(filters, INPUT, seed=1),
        weights(filters, memory, seed=2),
        weights(4, seed=3),
        Tensor((BATCH, memory * filters), variable=True, name="s"),
        Tensor((BATCH, 4)),
    ]
    inputs = [0, 1, 2, 3 if bias else -1, 4]
    op = Op("SVDF", inputs, [5], {"rank": rank, "fusedActivationFunction": 1}, "SVDFOptions")
    return Graph(tensors, [op], [0], [5])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_svdf(rank: int, bias: bool, tmp_path: Path) -> None:
    check(build(svdf_graph(rank, bias=bias)), tmp_path, steps=8)
