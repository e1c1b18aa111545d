"""TFLite rules for normalization over channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.fused import Results, fused
from mmconvert.parsers.tflite.quantization import dequantized
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

_EPSILON = 1e-12
"""The kernels divide by no norm smaller than 1e-6."""

_UNIT = 2.0**-7
"""The step of normalized integers."""

_NEXT_BIT = 2.0 ** np.arange(7, 30, 2, dtype=np.float32)
"""Sums of squares from which on products keep another bit behind the point."""


@rule("L2_NORMALIZATION")
def l2_normalization(n: Source, b: Builder) -> Results:
    if n.quantization(0) is not None and n.record(0).dtype == dtypes.U8:
        return _of_bytes(n, b)
    x = n.operand(0)
    op = ops.L2Normalization(axes=(x.type.axis(-1),), epsilon=_EPSILON)
    return activated(n, b, b(op, x))


@fused
def _of_bytes(n: Source, b: Builder) -> Results:
    """Quotients are rounded to some bits behind the point, and then to integers.

    There is one bit more for each factor of 4 in the sum of squares.
    """
    q = n.quantization(0)
    assert q is not None
    x = dequantized(b, n.stored(0), replace(q, scale=np.array(1, np.float32)))
    axes = (x.type.axis(-1),)
    squares = b(ops.Max(), b(ops.ReduceSum(axes=axes, keepdims=True), b(ops.Square(), x)), 1.0)
    reached = b(ops.Cast(to=dtypes.F32), b(ops.GreaterEqual(), squares, _NEXT_BIT))
    steps = b(ops.Pow(), 2.0, b(ops.ReduceSum(axes=axes, keepdims=True), reached))
    product = b(ops.Div(), b(ops.Mul(), x, 1 / _UNIT), b(ops.Sqrt(), squares))
    rounded = b(ops.Floor(), b(ops.Add(), b(ops.Mul(), product, steps), 0.5))
    return activated(n, b, b(ops.Mul(), b(ops.Div(), rounded, steps), _UNIT))


@rule("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(n: Source, b: Builder) -> Value:
    """TFLite counts channels on each side and does not divide alpha by their number."""
    x, radius = n.operand(0), n.integer("radius")
    size = 2 * radius + 1
    op = ops.LRN(
        size=size,
        alpha=n.real("alpha") * size,
        beta=n.real("beta"),
        bias=n.real("bias"),
        axis=x.type.axis(-1),
    )
    return b(op, x)
