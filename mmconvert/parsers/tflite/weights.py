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
