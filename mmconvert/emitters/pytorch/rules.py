"""All rules of the PyTorch emitter."""

from __future__ import annotations

from mmconvert.emitters.pytorch import (
    activation,
    attention,
    control,
    conv,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    scatter,
    shape,
    vision,
)
from mmconvert.rules import Rules

RULES = Rules.merge(
    activation.rule,
    attention.rule,
    control.rule,
    conv.rule,
    elementwise.rule,
    indexing.rule,
    matmul.rule,
    norm.rule,
    pool.rule,
    recurrent.rule,
    reduce.rule,
    resize.rule,
    scatter.rule,
    shape.rule,
    vision.rule,
)
