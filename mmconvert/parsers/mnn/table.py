"""All rules of the MNN reader."""

from __future__ import annotations

from mmconvert.parsers.mnn import conv, elementwise, indexing, reduce, shaping
from mmconvert.rules import Rules

RULES = Rules.merge(conv.rule, elementwise.rule, indexing.rule, reduce.rule, shaping.rule)
