"""From stored integers to the numbers that they mean, and back."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.quantize import limits
from mmconvert.parsers.tflite.tensors import Quantization


def dequantized(b: Builder, stored: Value, q: Quantization) -> Value:
    """The real numbers behind stored integers."""
    zero = _zero_point(q, stored.type.dtype) if q.zero_point.any() else None
    return b(ops.Dequantize(axis=q.axis), stored, q.scale, zero)


def quantized(b: Builder, real: Value, q: Quantization, dtype: DType) -> Value:
    """Real numbers as the integers that are nearest to them."""
    return b(ops.Quantize(axis=q.axis, dtype=dtype), real, q.scale, _zero_point(q, dtype))


def _zero_point(q: Quantization, dtype: DType) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    low, high = limits(dtype)
    if not ((q.zero_point >= low) & (q.zero_point <= high)).all():
        raise InvalidModelError(f"a zero point lies outside of {dtypes.name(dtype)}")
    return np.asarray(q.zero_point).astype(dtype)
