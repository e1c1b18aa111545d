"""All rules of the NCNN reader."""

from __future__ import annotations

from mmconvert.parsers.ncnn import conv, elementwise, matmul, norm, pool, recurrent, resize, shape
from mmconvert.rules import Rules

RULES = Rules.merge(
    conv.rule,
    elementwise.rule,
    matmul.rule,
    norm.rule,
    pool.rule,
    recurrent.rule,
    resize.rule,
    shape.rule,
)
