"""Every row of the case table through ONNX and TFLite: their runtimes compute what Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert import registry
from mmconvert.errors import MMConvertError
from mmconvert.lowering import lower
from mmconvert.parsers.keras import load
from mmconvert.runtimes import litert, onnxruntime

from .cases import ROWS, Row
from .cases.limits import CANNOT
from .compare import TOLERANCE, close, feeds, leaves, randomize

SESSIONS = {"onnx": onnxruntime.Session, "tflite": litert.Session}


@pytest.mark.parametrize("target", SESSIONS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_target_computes_what_keras_does(row: Row, target: str, keras: Any, tmp_path: Path) -> None:
    if not any(item.covers(row) for item in CANNOT[target]):
        check(row, target, keras, tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        check(row, target, keras, tmp_path)


def test_every_limitation_is_met() -> None:
    assert not [i.name for items in CANNOT.values() for i in items if not any(map(i.covers, ROWS))]


def check(row: Row, target: str, keras: Any, folder: Path) -> None:
    model = row.build(keras)
    randomize(model)
    model.save(folder / "model.keras")
    module = load(folder / "model.keras")
    inputs = feeds(module.graph)
    expected = leaves(model([inputs[value.name] for value in module.graph.inputs], training=False))
    path = folder / f"model.{target}"
    lower(module.graph, registry.find(target))
    registry.load_module(registry.find(target).emitter).write(module, path)
    found = SESSIONS[target](path).run(inputs)
    assert len(found) == len(expected)
    for ours, theirs in zip(found.values(), expected, strict=True):
        close(ours, np.asarray(theirs), TOLERANCE * row.tolerance)
