"""Operators that are never read, and why: numbers are not what they compute, or never the same ones."""

from __future__ import annotations

from typing import Final

_STRINGS = "it works on strings: do that outside of the model, and cut the model after it"
_IMAGES = "it decodes image files: do that outside of the model, and let the model begin with pixels"
_RANDOM = "it draws random numbers, of which no two runs make the same: give them to the model as an input"
_TRAINING = "it is a step of training: export the model for inference"
_TABLES = "it is classical machine learning on tables, which runtimes of neural networks lack"
_BLOCKED = "its weights lie as one processor wants them: save the model at ORT_ENABLE_EXTENDED"
_CUSTOM = "export the model without optimisations for one runtime"
_OTHER = "build the model from other operators, or cut it before this one"

OPERATORS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"), _STRINGS
    ),
    "ImageDecoder": _IMAGES,
    **dict.fromkeys(
        (
            *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
            *("Bernoulli", "Multinomial"),
        ),
        _RANDOM,
    ),
}
"""Operators of ONNX itself."""

DOMAINS: Final[dict[str, str]] = {
    "ai.onnx.ml": _TABLES,
    "ai.onnx.training": _TRAINING,
    "ai.onnx.preview.training": _TRAINING,
    "com.microsoft.nchwc": _BLOCKED,
}
"""Whole domains."""


def is_refused(domain: str, kind: str) -> bool:
    """True when the operator is never read, by a function of ONNX neither."""
    return domain in DOMAINS or (not domain and kind in OPERATORS)


def reason(domain: str, kind: str) -> str:
    """Why an operator without a rule is not read, as a hint what to do."""
    if not domain:
        return OPERATORS.get(kind, _OTHER)
    return DOMAINS.get(domain, _CUSTOM)
