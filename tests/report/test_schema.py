"""The JSON documents are what docs/report.schema.json says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mmconvert
from mmconvert.api import SCHEMA
from tests import digits
from tests.report import samples

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/report.schema.json").read_text())


def check(document: dict[str, Any]) -> None:
    """Raises where a document, as it is printed, does not keep to the schema."""
    jsonschema.validate(json.loads(json.dumps(document, allow_nan=False)), DOCUMENT)


def test_conversions(tmp_path: Path) -> None:
    for options in ({}, {"examine": True}, {"verify": False}):
        document = mmconvert.convert(digits.KERAS, tmp_path / "a.onnx", **options).to_json()
        check(document)
        broken = copy.deepcopy(document)
        broken["schema"] = SCHEMA + 1
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


@pytest.mark.parametrize("change", ["reversed", "nan"])
def test_comparisons(tmp_path: Path, change: str) -> None:
    verdict = samples.edited(tmp_path, change).verdict
    assert verdict is not None
    check({"schema": SCHEMA, **verdict.to_json()})
