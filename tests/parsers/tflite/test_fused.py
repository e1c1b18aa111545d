"""Fused recurrent operators with weights of integers: read as they compute, written as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.parsers import tflite
from tests.emitters.tflite.files import error, kinds
from tests.parsers.tflite import test_recurrent as recurrent
from tests.parsers.tflite.files import Graph, Op, Tensor, build, feeds_for, reference, save

ASYMMETRIC = {"asymmetricQuantizeInputs": True}
HYBRID = {
    "lstm": recurrent.lstm_graph(),
    "lstm/asymmetric": recurrent.lstm_graph(**ASYMMETRIC),
    "lstm/batch_first": recurrent.lstm_graph(time_major=False),
    "lstm/cifg": recurrent.lstm_graph(cifg=True),
    "lstm/projection_norm": recurrent.lstm_graph(projection=True, norm=True, projClip=0.4),
    "lstm/one_step": recurrent.lstm_graph(name="LSTM"),
    "lstm/both_ways": recurrent.bidirectional_graph(merge=True),
    "lstm/both_ways_apart": recurrent.bidirectional_graph(merge=False),
    "rnn": recurrent.rnn_graph(recurrent.TANH, sequence=True),
    "rnn/one_step": recurrent.rnn_graph(1, sequence=False),
    "svdf": recurrent.svdf_graph(2, bias=True),
}


def narrowed(graph: Graph) -> bytes:
    """The file with matrices of int8."""
    tensors = list(graph.tensors)
    for index, tensor in enumerate(tensors):
        if isinstance(tensor.data, np.ndarray) and tensor.data.ndim == 2:
            scale = np.float32(np.abs(tensor.data).max() / 127)
            tensors[index] = Tensor.of(np.rint(tensor.data / scale).astype(np.int8), scale=scale)
    (op,) = graph.ops
    version = 3 if op.name == "LSTM" else 2
    made = Op(op.name, op.inputs, op.outputs, op.options, op.kind, version, op.intermediates)
    return build(Graph(tensors, [made], graph.inputs, graph.outputs))


def integer_lstm(
    *, time_major: bool = True, cifg: bool = False, peephole: bool = False, projection: int = 0
) -> bytes:
    """An LSTM over int8 with a cell of int16, as TensorFlow's converter quantizes one."""
    time, batch, size, units = 6, 2, 8, 6
    rng = np.random.default_rng(0)
    lead = (time, batch) if time_major else (batch, time)
    x, h, made = np.float32(1 / 128), np.float32(0.0034), np.float32(0.0034 if not projection else 0.0037)
    out = projection or units
    tensors, inputs = [Tensor((*lead, size), "int8", scale=x, zero=-1)], [0]

    def add(*made: Tensor | None) -> None:
        for tensor in made:
            inputs.append(-1 if tensor is None else len(tensors))
            if tensor is not None:
                tensors.append(tensor)

    scales = rng.uniform(0.003, 0.005, 8).astype(np.float32)
    for gate in range(8):
        shape = (units, size if gate < 4 else out)
        weights = Tensor.of(rng.integers(-127, 128, shape).astype(np.int8), scale=scales[gate])
        add(None if cifg and gate % 4 == 0 else weights)
    for gate in range(3):
        looks = Tensor.of(rng.integers(-9000, 9000, units).astype(np.int16), scale=2.0**-14)
        add(looks if peephole and not (cifg and gate == 0) else None)
    for gate in range(4):
        bias = Tensor.of(rng.integers(-9000, 9000, units).astype(np.int32), scale=x * scales[gate])
        add(None if cifg and gate == 0 else bias)
    matrix = Tensor.of(rng.integers(-127, 128, (out, units)).astype(np.int8), scale=0.006)
    added = Tensor.of(rng.integers(-3000, 3000, out).astype(np.int32), scale=np.float32(0.006) * made)
    add(*((matrix, added) if projection else (None, None)))
    add(Tensor((batch, out), "int8", scale=h, zero=6, variable=True, name="h"))
    add(Tensor((batch, units), "int16", scale=2.0**-14, variable=True, name="c"))
    add(None, None, None, None)
    first = len(tensors)
    tensors += [Tensor((0,)) for _ in range(4)]
    tensors += [Tensor((0,), "int8", scale=made, zero=6), Tensor((*lead, out), "int8", scale=h, zero=6)]
    options = {"fusedActivationFunction": recurrent.TANH, "cellClip": 10.0, "timeMajor": time_major}
    op = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [first + 5], options, "UnidirectionalSequenceLSTMOptions",
            intermediates=range(first, first + 5))  # fmt: skip
    return build(Graph(tensors, [op], [0], [first + 5]))


def integer_svdf(rank: int) -> bytes:
    """An SVDF over int8 with a state of int16, as TensorFlow's converter quantizes one."""
    batch, size, units, memory = 2, 8, 6, 5
    rng = np.random.default_rng(0)
    state, time = np.float32(2.0**-11), np.float32(0.003)
    tensors = [
        Tensor((batch, size), "int8", scale=1 / 128, zero=-3),
        Tensor.of(rng.integers(-127, 128, (units * rank, size)).astype(np.int8), scale=0.005),
        Tensor.of(rng.integers(-3000, 3000, (units * rank, memory)).astype(np.int16), scale=time),
        Tensor.of(rng.integers(-9000, 9000, units).astype(np.int32), scale=state * time),
        Tensor((batch, units * rank * memory), "int16", scale=state, variable=True, name="s"),
        Tensor((batch, units), "int8", scale=0.05, zero=-128),
    ]
    options = {"rank": rank, "fusedActivationFunction": 1}
    return build(Graph(tensors, [Op("SVDF", range(5), [5], options, "SVDFOptions", 3)], [0], [5]))


INTEGERS = {
    "integers": integer_lstm(),
    "integers/batch_first": integer_lstm(time_major=False),
    "integers/cifg": integer_lstm(cifg=True),
    "integers/peephole": integer_lstm(peephole=True),
    "integers/projection": integer_lstm(projection=5),
    "integers/projection/peephole": integer_lstm(projection=6, peephole=True),
    "integers/svdf": integer_svdf(1),
    "integers/svdf/ranks": integer_svdf(2),
}
FILES = {name: narrowed(graph) for name, graph in HYBRID.items()} | INTEGERS
FLOATS = {name: build(graph) for name, graph in HYBRID.items() if name.startswith("lstm")}


@pytest.mark.parametrize("name", HYBRID)
def test_hybrid_layers_are_read_as_they_compute(name: str, tmp_path: Path) -> None:
    """The floats that kernels multiply are quantized at each step; the state is carried from run to run."""
    path = save(FILES[name], tmp_path)
    module, session = tflite.load(path), reference(path)
    state = {s.input: s.initial.numpy() for s in module.states}
    for seed in range(5):
        feeds = feeds_for(module, seed) | state
        wanted = session.run({name: feeds[name] for name in session.inputs})
        found = run(module.graph, feeds)
        state = {s.input: found[s.output] for s in module.states}
        for output, array in wanted.items():
            assert error(found[output], array.astype(np.float64)) < 2e-6
    plain = run(tflite.load(path, hybrid="float").graph, feeds)
    assert max(error(plain[output], array.astype(np.float64)) for output, array in wanted.items()) > 1e-4


@pytest.mark.parametrize("name", INTEGERS)
def test_layers_over_integers_are_read_as_they_compute(name: str, tmp_path: Path) -> None:
    """To the last integer, over many runs with the state carried over.

    Projections are products of floats, and some fall on the other side of a half: of one result in 1000.
    """
    path = save(FILES[name], tmp_path)
    module, session = tflite.load(path), reference(path)
    state = {s.input: s.initial.numpy() for s in module.states}
    off, total, seen = 0, 0, set[int]()
    for seed in range(40):
        feeds = feeds_for(module, seed) | state
        (wanted,) = session.run({name: feeds[name] for name in session.inputs}).values()
        found = run(module.graph, feeds)
        state = {s.input: found[s.output] for s in module.states}
        seen |= set(wanted.ravel().tolist())
        difference = np.abs(next(iter(found.values())).astype(np.int64) - wanted.astype(np.int64))
        assert difference.max() <= int("projection" in name)
        off, total = off + int((difference != 0).sum()), total + difference.size
    assert len(seen) > 100
    assert off <= total / 1000


@pytest.mark.parametrize("name", FILES)
def test_they_are_written_back_bit_by_bit(name: str, tmp_path: Path) -> None:
    """The same operator over the same integers, in every resolver, with the state carried over."""
    path, again = save(FILES[name], tmp_path), tmp_path / "again.tflite"
    mmconvert.convert(path, again, verify=False)
    assert kinds(path)[0] in kinds(again)
    assert "WHILE" not in kinds(again)
    module = tflite.load(path)
    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN"):
        session, other = reference(path, resolver), reference(again, resolver)
        state = {s.input: s.initial.numpy() for s in module.states}
        for seed in range(4):
            feeds = feeds_for(module, seed) | state
            wanted = session.run({name: feeds[name] for name in session.inputs})
            found = other.run(feeds)
            state = {s.input: found[s.output] for s in module.states}
            for output, array in wanted.items():
                np.testing.assert_array_equal(found[output], array)
    (node,) = (n for n in tflite.load(again).graph if isinstance(n.op, ops.Composite))
    assert node.op.kind == f"tflite.{kinds(path)[0]}"


@pytest.mark.parametrize("name", FLOATS)
def test_layers_over_floats_are_written_back_as_operators(name: str, tmp_path: Path) -> None:
    """For each direction; their state goes from run to run in view, and no loop is made of them for that."""
    path, again = save(FLOATS[name], tmp_path), tmp_path / "again.tflite"
    mmconvert.convert(path, again, verify=False)
    assert "WHILE" not in kinds(again)
    assert sum("LSTM" in kind for kind in kinds(again)) == 1 + ("both_ways" in name)
    module, written = tflite.load(path), tflite.load(again)
    assert [v.name for v in module.graph.inputs] == [v.name for v in written.graph.inputs]
    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN"):
        session, other = reference(path, resolver), reference(again, resolver)
        state = {s.input: s.initial.numpy() for s in module.states}
        for seed in range(4):
            feeds = feeds_for(module, seed) | state
            wanted = session.run({name: feeds[name] for name in session.inputs})
            found, read = other.run(feeds), run(written.graph, feeds)
            state = {s.input: found[s.output] for s in module.states}
            for output, array in wanted.items():
                assert error(found[output], array.astype(np.float64)) < 2e-6
            for output, array in found.items():
                assert error(read[output], array.astype(np.float64)) < 2e-6


@pytest.mark.parametrize("name", ["lstm", "rnn", "svdf", "integers"])
def test_other_formats_read_what_they_mean(name: str, tmp_path: Path) -> None:
    report = mmconvert.convert(save(FILES[name], tmp_path), tmp_path / "m.onnx")
    assert report.passed, report.verdict
