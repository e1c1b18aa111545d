"""Outputs that hide what goes into them: a probability near 0 or 1 hardly moves when its logit is wrong.

On noise a classifier is often certain, so that all its outputs but one are tiny beside that one. The error of
a Softmax is judged a second time in its logarithm, where the tiny ones count as well: runtimes compute exp()
to a few roundings of the result, however small that is. Of a Sigmoid the same cannot be asked: runtimes
approximate it to a few roundings of 1, so where all its outputs are tiny, that much is no error.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, DType

MOVES = (ops.Dropout, ops.Identity, ops.Reshape, ops.Slice, ops.Squeeze, ops.Transpose, ops.Unsqueeze)

TINY = 1e-30
"""Probabilities below this count as this: runtimes flush to zero somewhere below it."""


SIGMOID_ROUNDINGS = 2
"""The absolute error of a Sigmoid that a runtime is excused, in roundings of 1."""


def saturates(value: Value) -> bool:
    """True for the outputs of Softmax, also after they were moved about."""
    return is_op(origin(value, MOVES).producer, ops.Softmax)


def is_approximate(value: Value) -> bool:
    """True for the outputs of Sigmoid, also after they were moved about or averaged, and out of branches."""
    source = origin(value, (*MOVES, ops.ReduceMean))
    if is_op(source.producer, ops.If):
        branches = (source.producer.op.then_branch, source.producer.op.else_branch)
        return all(is_approximate(branch.outputs[source.index]) for branch in branches)
    return is_op(source.producer, ops.Sigmoid)


def excuse(actual: Array, truth: Array) -> Array:
    """``actual``, with the truth where it is off by no more than what a Sigmoid may be."""
    if actual.shape != truth.shape or not dtypes.is_float(actual.dtype):
        return actual
    return np.where(np.abs(actual.astype(np.float64) - truth) <= _excused(actual.dtype), truth, actual)


def is_beyond_sight(truth: Array, dtype: DType) -> bool:
    """True when all outputs of a Sigmoid are too small for ``excuse`` to tell them from 0."""
    return bool(np.all(truth <= _excused(dtype)))


def _excused(dtype: DType) -> float:
    info: Any = ml_dtypes.finfo
    return SIGMOID_ROUNDINGS * float(info(dtype).eps)


def origin(value: Value, moves: tuple[type[Op], ...]) -> Value:
    """Where the numbers in ``value`` were made."""
    while value.producer is not None and isinstance(value.producer.op, moves):
        value = value.producer.operand(0)
    return value


def logarithm(probabilities: Array, dtype: DType) -> Array:
    """The logarithm in float64; ``dtype`` says what the smallest numbers are that are still exact."""
    info: Any = ml_dtypes.finfo
    least = max(TINY, 2.0 * float(info(dtype).smallest_normal) / float(info(dtype).eps))
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), least)))
