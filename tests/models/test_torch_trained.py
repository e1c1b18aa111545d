"""Trained files of PyTorch, with their modules or as scripts: read, to ONNX and TFLite, against torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models import zoo

SAMPLE = {"mtcnn-p", "crepe-tiny", "silero-vad-script"}
"""What a run of the model tests takes; the others are long."""

ROWS = [pytest.param(n, marks=[pytest.mark.model if n in SAMPLE else pytest.mark.large]) for n in zoo.TRAINED]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ROWS)
def test_trained(name: str, tmp_path: Path) -> None:
    found = {each["step"]: each for each in zoo.trained_net(name, tmp_path)}
    assert found["interpreter"]["range"] > 1e-3, "its outputs are nearly alike"
    for step in ("interpreter", "onnx", "tflite"):
        assert found[step]["passed"], (step, found[step].get("reason"), found["interpreter"]["inputs"])
