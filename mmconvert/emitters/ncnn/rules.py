"""All rules of the NCNN emitter."""

from __future__ import annotations

from mmconvert.emitters.ncnn import (
    activation,
    attention,
    conv,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    shape,
)
from mmconvert.rules import Rules

RULES = Rules.merge(
    activation.rule,
    attention.rule,
    conv.rule,
    elementwise.rule,
    indexing.rule,
    matmul.rule,
    norm.rule,
    pool.rule,
    recurrent.rule,
    reduce.rule,
    resize.rule,
    shape.rule,
)
