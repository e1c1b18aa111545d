"""How every operator of the IR is written in ONNX."""

from __future__ import annotations

from mmconvert.emitters.onnx import (
    activation,
    attention,
    control,
    conv,
    elementwise,
    indexing,
    matmul,
    norm,
    pool,
    quantize,
    recurrent,
    reduce,
    sampling,
    shape,
    signal,
    vision,
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
    reduce.rule,
    sampling.rule,
    shape.rule,
    recurrent.rule,
    quantize.rule,
    attention.rule,
    vision.rule,
    signal.rule,
)
