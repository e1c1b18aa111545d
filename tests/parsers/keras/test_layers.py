"""Every layer against Keras, through both file formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .cases import ROWS, ROWS_2, Row
from .cases.keras2 import is_later
from .compare import compare, randomize, saved


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_layer_computes_what_keras_does(row: Row, keras: Any, tmp_path: Path) -> None:
    model = row.build(keras)
    randomize(model)
    for suffix in row.suffixes:
        compare(model, saved(model, tmp_path, suffix), tolerance=row.tolerance)


@pytest.mark.parametrize("row", ROWS_2, ids=lambda row: row.name)
def test_layer_computes_what_keras_2_does(row: Row, keras2: Any, tmp_path: Path) -> None:
    model = row.build(keras2)
    randomize(model)
    for suffix in row.suffixes:
        compare(model, saved(model, tmp_path, suffix), tolerance=row.tolerance)


def test_keras_2_lacks_the_other_layers(keras2: Any) -> None:
    later = [row for row in ROWS if is_later(row)]
    assert len(later) + len(ROWS_2) > len(ROWS)
    for row in later:
        with pytest.raises((AttributeError, TypeError, ValueError)):
            row.build(keras2)
