"""torchvision's nets as exported programs, read without torch: what they compute, and through the targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

TOLERANCE = 1e-4
"""Of the largest output: what 50 to 150 layers of float32 add up to, in another order."""


@pytest.mark.parametrize("name", zoo.TORCHVISION_PROGRAMS)
def test_program_computes_what_torch_did(name: str) -> None:
    folder = zoo.torchvision_program(name)
    model = mmconvert.load(folder / "model.pt2")
    (value,) = model.graph.inputs
    for batch in zoo.PROGRAM_BATCHES:
        arrays = np.load(folder / f"{batch}.npz")
        (found,) = model.run({value.name: arrays["x"]}).values()
        scale = np.abs(arrays["y"]).max()
        assert scale > 0.01
        np.testing.assert_allclose(found, arrays["y"], rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("target", ["onnx", "tflite"])
@pytest.mark.parametrize("name", zoo.TORCHVISION_PROGRAMS)
def test_target_is_equivalent(name: str, target: str, tmp_path: Path) -> None:
    source = zoo.torchvision_program(name) / "model.pt2"
    report = mmconvert.convert(
        source, tmp_path / f"model.{target}", fix_dims={"x_0": 2} if target == "tflite" else {}
    )
    assert report.passed, report.verdict
