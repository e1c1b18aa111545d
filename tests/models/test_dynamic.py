"""Real networks with open batch and image size, in LiteRT at sizes that nobody named, against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.runtimes import litert, onnxruntime
from tests.models.build_keras import SEED, randomise

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

RUNTIMES: dict[str, Any] = {"tflite": litert, "onnx": onnxruntime}
SHAPES = ((1, 64, 64, 3), (3, 96, 160, 3), (2, 75, 101, 3), (1, 64, 64, 3))


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50V2"])
def test_any_size(name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(SEED)
    model = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(None, None, 3))
    randomise(model, np.random.default_rng(SEED))
    model.save(tmp_path / "m.keras")
    images = [np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in SHAPES]
    wanted = [np.asarray(model.predict(image, verbose=0)) for image in images]
    for format, runtime in RUNTIMES.items():
        path = tmp_path / f"m.{format}"
        report = mmconvert.convert(tmp_path / "m.keras", path)
        assert report.passed, report.verdict
        session = runtime.Session(path)
        for image, expected in zip(images, wanted, strict=True):
            (found,) = session.run({session.inputs[0]: image}).values()
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()
