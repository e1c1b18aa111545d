"""The common element type of operands, by the rules of Keras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Cast
from mmconvert.tensors import Array

Scalar = bool | int | float


def common_type(values: Sequence[Value]) -> DType:
    """The type that ``values`` are computed in: the widest float, or without one the widest integer.

    float16 and bfloat16 meet in float32, as do no others.
    """
    types = dict.fromkeys(value.type.dtype for value in values)
    floats = [dtype for dtype in types if dtypes.is_float(dtype)]
    if {dtypes.F16, dtypes.BF16} <= set(floats):
        floats.append(dtypes.F32)
    if floats:
        return max(floats, key=lambda dtype: dtype.itemsize)
    return np.result_type(*types)


def operands(b: Builder, *items: Value | Scalar | Array) -> list[Value]:
    """Tensors, arrays and Python numbers as values of one type; a number adapts to the tensors beside it."""
    values = [b.constant(item) if isinstance(item, np.ndarray) else item for item in items]
    tensors = [value for value in values if isinstance(value, Value)]
    dtype = common_type(tensors) if tensors else dtypes.F32
    numbers = [value for value in values if not isinstance(value, Value)]
    if not dtypes.is_float(dtype) and any(isinstance(number, float) for number in numbers):
        dtype = dtypes.F32
    if dtype == dtypes.BOOL and any(not isinstance(number, bool) for number in numbers):
        dtype = dtypes.I32
    return [_converted(b, value, dtype) for value in values]


def floating(b: Builder, x: Value) -> Value:
    """``x``, or ``x`` in float32 when it holds integers."""
    return x if dtypes.is_float(x.type.dtype) else b(Cast(to=dtypes.F32), x)


def _converted(b: Builder, value: Value | Scalar, dtype: DType) -> Value:
    if not isinstance(value, Value):
        try:
            return b.constant(value, dtype)
        except OverflowError as error:
            raise InvalidModelError(f"{value} is not in the range of {dtype}", where=str(b.origin)) from error
    if value.type.dtype == dtype:
        return value
    if value.constant is not None:
        return b.constant(value.constant, dtype)
    return b(Cast(to=dtype), value)
