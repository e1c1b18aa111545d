"""All rules of the MNN emitter."""

from __future__ import annotations

from mmconvert.emitters.mnn import (
    activation,
    conv,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    reduce,
    shape,
)
from mmconvert.rules import Rules

RULES = Rules.merge(
    activation.rule,
    conv.rule,
    elementwise.rule,
    indexing.rule,
    matmul.rule,
    norm.rule,
    pool.rule,
    reduce.rule,
    shape.rule,
)
