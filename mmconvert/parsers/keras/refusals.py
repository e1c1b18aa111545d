"""What a user can do about layers that have no rule."""

from __future__ import annotations

from mmconvert.parsers.keras.source import Record

_CODE = (
    "its Python code is not run; say what it computes with mmconvert.parsers.keras.register('Lambda'), or use"
    " built-in layers or keras.ops instead, and save again"
)
_CUSTOM = (
    "the file does not hold the code of custom classes; say what it computes with"
    " mmconvert.parsers.keras.register('{}'), or build the model of built-in layers, and save again"
)
_TEXT = "strings are not tensors; do this step outside of the model"

_HINTS = {
    "Lambda": _CODE,
    "Merge": "merge by sum, product, mean, maximum, concatenation or dot product, and save again",
    "StringLookup": _TEXT,
    "TextVectorization": _TEXT,
    "Hashing": _TEXT,
}


def hint_for(layer: Record) -> str:
    """Advice on a layer that cannot be converted, empty when there is none."""
    return _CUSTOM.format(layer.kind) if layer.is_custom else _HINTS.get(layer.kind, "")
