"""The rules of all families in one table."""

from __future__ import annotations

from typing import Final

from mmconvert.parsers.onnx import (
    activation,
    attention,
    contrib,
    contrib_attention,
    contrib_grouped,
    contrib_quantized,
    control,
    elementwise,
    generating,
    indexing,
    legacy,
    matmul,
    norm,
    quantize,
    recurrent,
    reduce,
    resize,
    sequences,
    shaping,
    signal,
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
    generating.rule,
    indexing.rule,
    legacy.rule,
    resize.rule,
    sequences.rule,
    recurrent.rule,
    quantize.rule,
    attention.rule,
    vision.rule,
    signal.rule,
    contrib.rule,
    contrib_attention.rule,
    contrib_grouped.rule,
    contrib_quantized.rule,
)
