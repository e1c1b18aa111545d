"""Class labels in the properties of an ONNX file, in the two spellings that are about."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

_LARGEST = 1 << 20
"""Longer texts are no labels."""


def labels(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The labels: ``labels`` as a JSON list, or ``names`` as a Python dictionary ``{0: 'cat', ...}``.

    Returns:
        None of them where neither is there, or it is something else.
    """
    if "labels" in properties:
        return _texts(_parsed(json.loads, properties["labels"]))
    found = _parsed(ast.literal_eval, properties.get("names", ""))
    if not isinstance(found, dict):
        return _texts(found)
    return _texts([found.get(index) for index in range(len(found))])


def _parsed(parse: Any, text: str) -> Any:
    if len(text) > _LARGEST:
        return None
    try:
        return parse(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _texts(found: Any) -> tuple[str, ...]:
    whole = isinstance(found, list | tuple) and all(isinstance(label, str) for label in found)
    return tuple(found) if whole else ()
