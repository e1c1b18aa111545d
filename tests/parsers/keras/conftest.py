"""Keras itself, imported once for each test process and only by the tests that compare with it."""

from __future__ import annotations

import os
from typing import Any

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keras warns of what these tests do on purpose."""
    if "keras" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it refuses some shapes of transposed convolutions
    pytest.importorskip("tensorflow")
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def keras2(keras: Any) -> Any:
    """Keras 2, where it is installed beside Keras 3."""
    return pytest.importorskip("tf_keras")
