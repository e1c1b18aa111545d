"""Every net of keras.applications, through both targets, against Keras itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from benchmarks.operators import of_tflite
from mmconvert import api
from mmconvert.verification.inputs import generate
from tests.models import zoo

pytestmark = [pytest.mark.large, pytest.mark.timeout(2400)]

ROUNDINGS = 1e-4
"""How far from the truth Keras may be where one lucky run of ours was nearer; no wrong reading is so near."""


def test_all_applications_are_here() -> None:
    keras = pytest.importorskip("keras")
    public = {n for n in dir(keras.applications) if n[0].isupper()}
    assert public == {*zoo.KERAS_APPLICATIONS, *zoo.OTHER_KERAS_APPLICATIONS}


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("name", zoo.OTHER_KERAS_APPLICATIONS)
def test_equivalent_to_keras(name: str, suffix: str, tmp_path: Path) -> None:
    """The rule, where the source's error is the larger of the interpreter's and of Keras's own."""
    source, target = zoo.keras_application(name), tmp_path / f"m{suffix}"
    report = mmconvert.convert(source, target, verify=False)
    assert not report.warnings
    (feed,) = generate(mmconvert.load(source).graph, count=1)
    low, high = zoo.image_range(name)
    rng = np.random.default_rng(0)
    images = {key: rng.uniform(low, high, array.shape).astype(np.float32) for key, array in feed.items()}
    verdict = api.verify(source, target, inputs=[images], framework=True)
    assert verdict.level == "executed"
    ((ours,), (keras,)) = verdict.outputs, verdict.source_outputs
    assert verdict.source_agrees or keras.error.maximum < ROUNDINGS
    assert ours.error.maximum <= max(ours.budget.maximum, 4 * keras.error.maximum), verdict
    assert ours.error.l2 <= max(ours.budget.l2, 4 * keras.error.l2), verdict
    if suffix == ".tflite":
        assert "TRANSPOSE" not in of_tflite(target)
