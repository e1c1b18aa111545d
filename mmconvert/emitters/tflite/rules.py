"""All rules of the TFLite emitter."""

from __future__ import annotations

from mmconvert.emitters.tflite import (
    activation,
    control,
    conv,
    conv_transpose,
    einsum,
    elementwise,
    fused,
    indexing,
    lstm,
    matmul,
    max_indices,
    norm,
    pad,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    rnn,
    scatter,
    shape,
)
from mmconvert.rules import Rules

RULES = Rules.merge(
    activation.rule,
    control.rule,
    conv.rule,
    conv_transpose.rule,
    einsum.rule,
    elementwise.rule,
    fused.rule,
    indexing.rule,
    lstm.rule,
    matmul.rule,
    max_indices.rule,
    norm.rule,
    pad.rule,
    pool.rule,
    quantize.rule,
    recurrent.rule,
    reduce.rule,
    resize.rule,
    rnn.rule,
    scatter.rule,
    shape.rule,
)
