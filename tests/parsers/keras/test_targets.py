"""Every row of the case table through ONNX and TFLite: their runtimes compute what Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import mmconvert
from mmconvert import registry
from mmconvert.errors import MMConvertError
from mmconvert.ir.text import Printer
from mmconvert.lowering import lower
from mmconvert.parsers.keras import load
from mmconvert.runtimes import litert, onnxruntime

from .cases import ROWS, ROWS_2, Row
from .cases.limits import CANNOT
from .compare import TOLERANCE, close, feeds, leaves, randomize

SESSIONS = {"onnx": onnxruntime.Session, "tflite": litert.Session}


@pytest.mark.parametrize("target", SESSIONS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_target_computes_what_keras_does(row: Row, target: str, keras: Any, tmp_path: Path) -> None:
    model = row.build(keras)
    randomize(model)
    if not any(item.covers(row) for item in CANNOT[target]):
        reaches(row, model, target, tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        reaches(row, model, target, tmp_path)


@pytest.mark.parametrize("row", ROWS_2, ids=lambda row: row.name)
def test_targets_compute_what_keras_2_does(row: Row, keras2: Any, tmp_path: Path) -> None:
    """Of one file: those of the other format are the same graph, down to the weights."""
    model = row.build(keras2)
    randomize(model)
    texts, weights = zip(*(contents(model, tmp_path, suffix) for suffix in row.suffixes), strict=True)
    assert len(set(texts)) == len(set(weights)) == 1
    for target in SESSIONS:
        reaches(row, model, target, tmp_path, row.suffixes[0])


def contents(model: Any, folder: Path, suffix: str) -> tuple[str, tuple[bytes, ...]]:
    """What is read of a file: the text of the graph, and the weights in their order."""
    model.save(folder / f"model{suffix}")
    printer = Printer()
    text = printer.print(load(folder / f"model{suffix}").graph)
    return text, tuple(tensor.numpy().tobytes() for tensor in printer.weights.values())


def test_every_limitation_is_met() -> None:
    assert not [i.name for items in CANNOT.values() for i in items if not any(map(i.covers, ROWS))]


def reaches(row: Row, model: Any, target: str, folder: Path, suffix: str = ".keras") -> None:
    """Fails unless the runtime of ``target`` computes what ``model`` does."""
    if not (folder / f"model{suffix}").exists():
        model.save(folder / f"model{suffix}")
    module = load(folder / f"model{suffix}")
    inputs = feeds(module.graph)
    expected = leaves(model([inputs[value.name] for value in module.graph.inputs], training=False))
    path = folder / f"model.{target}"
    lower(module.graph, registry.find(target))
    registry.load_module(registry.find(target).emitter).write(module, path)
    found = SESSIONS[target](path).run(inputs)
    assert len(found) == len(expected)
    for ours, theirs in zip(found.values(), expected, strict=True):
        close(ours, np.asarray(theirs), TOLERANCE * row.tolerance)


RECURRENT = {
    "LSTM": lambda L: L.LSTM(8, return_sequences=True),
    "GRU": lambda L: L.GRU(8),
    "SimpleRNN": lambda L: L.SimpleRNN(8, activation="relu"),
    "Bidirectional": lambda L: L.Bidirectional(L.LSTM(8, return_sequences=True)),
}


def recurrent(kind: str, keras: Any, folder: Path) -> tuple[Any, Path]:
    x = keras.Input((6, 4))
    model = keras.Model(x, keras.layers.Dense(3)(RECURRENT[kind](keras.layers)(x)))
    randomize(model)
    model.save(folder / "m.keras")
    return model, folder / "m.keras"


@pytest.mark.parametrize("target", SESSIONS)
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_take_any_batch(kind: str, target: str, keras: Any, tmp_path: Path) -> None:
    model, path = recurrent(kind, keras, tmp_path)
    mmconvert.convert(path, tmp_path / f"m.{target}", verify=False)
    session = SESSIONS[target](tmp_path / f"m.{target}")
    for batch in (1, 3, 16):
        x = np.random.default_rng(batch).normal(size=(batch, 6, 4)).astype(np.float32)
        (name,) = feeds(load(path).graph)
        (found,) = session.run({name: x}).values()
        close(found, np.asarray(model(x, training=False)))


@pytest.mark.parametrize(
    ("kind", "operator", "count"),
    [("LSTM", "LSTM", 1), ("GRU", "GRU", 1), ("SimpleRNN", "RNN", 1), ("Bidirectional", "LSTM", 2)],
)
def test_recurrent_layers_are_onnx_operators(
    kind: str, operator: str, count: int, keras: Any, tmp_path: Path
) -> None:
    _, path = recurrent(kind, keras, tmp_path)
    mmconvert.convert(path, tmp_path / "m.onnx", verify=False)
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert kinds.count(operator) == count
    assert not {"Scan", "Loop"} & set(kinds)
