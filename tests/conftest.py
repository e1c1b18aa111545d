"""What tests of several folders share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import digits


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digit classifier in every format; tests only read it."""
    folder = tmp_path_factory.mktemp("samples")
    for format in ("onnx", "tflite", "mnn", "mmir"):
        digits.converted(folder, format)
    shutil.copy(digits.KERAS, folder / "digits.keras")
    shutil.copy(digits.h5(), folder / "digits.h5")
    return folder
