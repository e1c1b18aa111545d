"""Files of every kind against one another: what is read as the source, and what is run as the target."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmconvert
from mmconvert.ir.model import Module
from tests.verification.graphs import graph_of

LEVELS = {
    "a.onnx": "executed",
    "a.ort": "executed",
    "a.tflite": "executed",
    "a.param": "executed",
    "a.mnn": "executed",
    "a.mmir": "read back",
}

READ = [name for name in LEVELS if name != "a.ort"]

NET = """
    graph "net"(x: f32[1,3,8,8]) -> (y: f32[1,4,8,8])
      %w0: f32[4,3,3,3] = weight "w0"
      %1 = Conv(x, %w0) {strides=(1,1) dilations=(1,1) padding=((1,1),(1,1)) layout=NCHW}
      %2 = Relu(%1)
      return %2
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name in LEVELS:
        mmconvert.save(Module(graph_of(NET)), folder / name)
    return folder


@pytest.mark.parametrize("target", LEVELS)
@pytest.mark.parametrize("source", READ)
def test_every_pair(source: str, target: str, files: Path) -> None:
    verdict = mmconvert.verify(files / source, files / target)
    assert verdict.passed, verdict.to_json()
    assert verdict.level == LEVELS[target]
