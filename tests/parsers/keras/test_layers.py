"""Every layer against Keras, through both file formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .cases import ROWS, ROWS_2, Row
from .compare import compare, randomize, saved


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_layer_computes_what_keras_does(row: Row, keras: Any, tmp_path: Path) -> None:
    model = row.build(keras)
    randomize(model)
    for suffix in row.suffixes:
        compare(model, saved(model, tmp_path, suffix), tolerance=row.tolerance)


def test_layers_compute_what_keras_2_does(keras2: Any, tmp_path: Path) -> None:
    compared = 0
    for row in ROWS_2:
        try:
            model = row.build(keras2)
        except (AttributeError, TypeError, ValueError):
            continue  # Keras 2 has no such layer or setting
        randomize(model)
        for suffix in row.suffixes:
            compare(model, saved(model, tmp_path, suffix), tolerance=row.tolerance)
        compared += 1
    assert compared > 250
