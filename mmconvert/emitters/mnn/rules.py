"""All rules of the MNN emitter."""

from __future__ import annotations

from mmconvert.emitters.mnn import (
    activation,
    control,
    conv,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    recurrent,
    reduce,
    regions,
    resize,
    shape,
)
from mmconvert.rules import Rules

RULES = Rules.merge(
    activation.rule,
    control.rule,
    conv.rule,
    elementwise.rule,
    indexing.rule,
    matmul.rule,
    norm.rule,
    pool.rule,
    recurrent.rule,
    resize.rule,
    reduce.rule,
    regions.rule,
    shape.rule,
)
