"""The rules of all families in one table."""

from __future__ import annotations

from typing import Final

from mmconvert.parsers.tflite import (
    activation,
    control,
    elementwise,
    indexing,
    matmul,
    norm,
    quantize,
    recurrent,
    reduce,
    resize,
    segments,
    shaping,
    signal,
    stablehlo,
    vision,
    windows,
)
from mmconvert.rules import Rules

RULES: Final[Rules[str]] = Rules.merge(
    elementwise.rule,
    activation.rule,
    control.rule,
    windows.rule,
    norm.rule,
    reduce.rule,
    matmul.rule,
    shaping.rule,
    indexing.rule,
    resize.rule,
    segments.rule,
    quantize.rule,
    recurrent.rule,
    vision.rule,
    signal.rule,
    stablehlo.rule,
)
