"""PyTorch's own samples of its operators: in the interpreter, and through ONNX in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("expecttest", reason="torch's samples need it")

import torch

import mmconvert
from mmconvert.errors import MMConvertError
from mmconvert.runtimes.onnxruntime import Session

from .aside import ASIDE, NOT_IN_ONNX, NOT_READ
from .samples import agree, calls, expected, operators

pytestmark = pytest.mark.model

EVERY = operators()
LEFT_ASIDE = {name for names in ASIDE.values() for name in names}
RELEVANT = [
    name
    for name, op in EVERY.items()
    if torch.float32 in op.supported_dtypes("cpu") and name not in LEFT_ASIDE
]


@pytest.mark.parametrize("name", RELEVANT)
def test_operator(name: str, tmp_path: Path) -> None:
    read = within(name, tmp_path, onnx=False)
    assert read == (name not in NOT_READ)
    if read:
        assert within(name, tmp_path, onnx=True) == (name not in NOT_IN_ONNX)


def within(name: str, folder: Path, *, onnx: bool) -> bool:
    """Whether all samples of an operator agree with torch."""
    found = calls(EVERY[name])
    assert found, "there is no sample"
    try:
        return all(computed(call, folder, onnx=onnx) for call in found)
    except MMConvertError:
        return False


def computed(call: Any, folder: Path, *, onnx: bool) -> bool:
    wanted = expected(call)
    model = mmconvert.load(call, inputs=call.tensors)
    names = [value.name for value in model.graph.inputs]
    feeds = dict(zip(names, (t.numpy() for t in call.tensors), strict=True))
    if onnx:
        model.save(folder / "model.onnx")
        results = Session(folder / "model.onnx").run(feeds)
    else:
        results = model.run(feeds)
    return len(results) == len(wanted) and all(map(agree, results.values(), wanted))


def test_the_lists_name_operators_that_there_are() -> None:
    assert {*LEFT_ASIDE, *NOT_READ, *NOT_IN_ONNX} <= set(EVERY)
    assert set(NOT_READ) <= set(RELEVANT)


def test_share() -> None:
    """The lists are strict, so that their lengths are the measure."""
    read = len(RELEVANT) - len(NOT_READ)
    assert read / len(RELEVANT) >= 0.95
    assert (read - len(NOT_IN_ONNX)) / len(RELEVANT) >= 0.90
