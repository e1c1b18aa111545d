"""Outputs on a grid: integers that stand for real numbers, and real numbers that were such integers.

Runtimes round to a grid in different ways (halves to even or away from zero; fixed-point arithmetic twice),
so that a number close to the middle of two may come to lie on either. One unit is no error there, as long as
it is so for few of the numbers: a wrong zero point moves all of them by one unit, and rounding down half.
"""

from __future__ import annotations

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification.compare import Error
from mmconvert.verification.saturation import MOVES, origin

USUAL = 0.001
"""The share of values that is off by one unit when nothing but rounding differs."""

MOST = 0.1
"""The share above which it is an error: means over a few integers, half of them ties, stay below it."""


_MOVES = (*MOVES, ops.Expand, ops.Gather, ops.Pad, ops.Reverse, ops.Split, ops.Tile)


def quantum(value: Value) -> float:
    """The distance between neighbouring numbers of an output; 0 when it is not on a grid.

    What is put together of several, as the state of a model is of old frames and a new one, has the largest.
    """
    found, waiting, seen = 0.0, [value], set[int]()
    while waiting:
        node = origin(waiting.pop(), _MOVES).producer
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if is_op(node, ops.Concat):
            waiting += [operand for operand in node.inputs if operand is not None]
        else:
            found = max(found, _step(node))
    return found


def _step(node: Node[Op]) -> float:
    """The distance between neighbouring numbers that an operator gives."""
    if is_op(node, ops.Quantize):
        return 1.0
    if not is_op(node, ops.Dequantize) or not is_op(node.operand(0).producer, ops.Quantize):
        return 0.0
    scale = node.operand(1).constant
    return float(np.max(scale.numpy(), initial=0.0)) if scale is not None else 0.0


def nearest(actual: Array, truth: Array, own: Array) -> Array:
    """Of the truth and the source's own result what is nearer to ``actual``, in float64."""
    wide, a, o = truth.astype(np.float64), actual.astype(np.float64), own.astype(np.float64)
    return np.where(np.abs(a - o) < np.abs(a - wide), o, wide)


def one(truth: Array, unit: float) -> Error:
    """The error of a result that is off by one unit everywhere."""
    scale, norm = float(np.max(np.abs(truth), initial=0.0)), float(np.linalg.norm(truth))
    # A hair more, for a scale that is no float64.
    unit *= 1 + 2.0**-20
    return Error(unit / scale if scale else unit, unit * float(np.sqrt(truth.size)) / (norm or 1.0))


def moved(actual: Array, truth: Array, unit: float) -> float:
    """The share of values that are on another place of the grid."""
    return float(np.mean(np.abs(actual - truth) > unit / 2)) if truth.size else 0.0


def is_too_many(share: float, count: int, usual: float = 0.0) -> bool:
    """Whether ``share`` of ``count`` values off by one unit is more than rounding explains.

    ``usual`` is what the source shows that rounding does to it.
    """
    return share * count > max(1.0, max(MOST, usual) * count)
