"""Weights and biases, in the order of axes and the scale that the IR has them in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.quantization import dequantized
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.tensors import Quantization

_NARROW = (dtypes.I8, dtypes.BY_NAME["i4"])


def weight(n: Source, b: Builder, index: int, perm: tuple[int, ...]) -> Value:
    """Operand ``index`` with its axes in another order; constants are turned as they are stored."""
    stored, q = n.stored(index), n.quantization(index)
    stored.type.require_rank(len(perm))
    if stored.constant is None:
        return b(ops.Transpose(perm=perm), n.operand(index))
    turned = b.constant(stored.constant.transpose(perm), name=stored.name)
    return turned if q is None else dequantized(b, turned, replace(q, axis=perm.index(q.axis)))


def bias(n: Source, b: Builder, index: int, data: int, weights: int) -> Value | None:
    """Operand ``index``, which is added to a product; None when it was left out.

    The kernels add a quantized bias to a sum of products of integers: its scale is the product of theirs,
    whatever the file says about it.
    """
    if not n.has(index):
        return None
    stored, left, right = n.stored(index), n.quantization(data), n.quantization(weights)
    if dtypes.is_float(stored.type.dtype):
        return stored
    if left is None or right is None:
        return n.operand(index)
    return dequantized(b, stored, product(left, right))


def product(left: Quantization, right: Quantization) -> Quantization:
    """What sums of products of two quantized tensors mean, channel by channel."""
    scale = np.asarray(left.scale * right.scale, np.float32)
    return Quantization(scale, np.zeros(scale.shape, np.int64), 0)


def multiplied(n: Source, b: Builder, x: Value, weights: int, *, symmetric: bool) -> Value:
    """Floats as the kernels multiply them with operand ``weights``: by integers, where that has integers.

    Such hybrid kernels quantize each slice along the first axis over its own range.
    """
    return ranged(b, x, symmetric=symmetric) if is_hybrid(n, weights) else x


def is_hybrid(n: Source, weights: int) -> bool:
    """True when the kernels multiply floats with the integers of operand ``weights``, and are read so."""
    record = n.record(weights)
    stored = record.quantization is not None and record.constant is not None and record.dtype in _NARROW
    return stored and n.record(0).quantization is None and n.context.library.quantizes


def ranged(b: Builder, x: Value, *, symmetric: bool) -> Value:
    """Floats after they were quantized, each slice along the first axis over its own range."""
    op = ops.DynamicQuantize(axis=0, dtype=dtypes.I8, symmetric=symmetric, rounding="half_away_stored")
    stored, scale, zero = b.multi(op, x)
    return b(ops.Dequantize(axis=0), stored, scale, None if symmetric else zero)
