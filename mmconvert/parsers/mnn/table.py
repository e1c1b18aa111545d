"""All rules of the MNN reader."""

from __future__ import annotations

from mmconvert.parsers.mnn import control, conv, elementwise, indexing, recurrent, reduce, shaping
from mmconvert.rules import Rules

RULES = Rules.merge(
    control.rule, conv.rule, elementwise.rule, indexing.rule, recurrent.rule, reduce.rule, shaping.rule
)
