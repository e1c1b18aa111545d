"""Quantization over the range that the numbers themselves have."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.activation import Clip
from mmconvert.ir.ops.binary import Add, Div, Max, Min, Sub
from mmconvert.ir.ops.logic import Equal, Where
from mmconvert.ir.ops.quantize import Quantize, Rounding, limits, rounded, rounded_nodes
from mmconvert.ir.ops.reduce import ReduceMax, ReduceMin
from mmconvert.ir.ops.shape import Expand
from mmconvert.ir.ops.unary import Abs, Cast, Neg
from mmconvert.ir.types import Array, TensorType


@operator
class DynamicQuantize(Op):
    """Quantization to ``dtype`` over the range of ``x``, or of each slice along ``axis``.

    The range is widened to contain 0: ``scale = (max - min) / (high - low)`` with the limits of ``dtype``,
    ``zero_point = saturate(round(low - min / scale))``. With ``symmetric`` the zero point is 0 and ``scale =
    max(abs(x)) / high``. The scale of a slice of zeros is 1. Returns the quantized tensor, the scale and the
    zero point (scalars, or vectors along ``axis``).
    """

    axis: int | None = None
    dtype: DType = dtypes.U8
    symmetric: bool = False
    rounding: Rounding = "half_even"

    @property
    def is_plain(self) -> bool:
        """True with all attributes as they are by default."""
        return self == DynamicQuantize()

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        x.require_float().require(self.dtype in (dtypes.U8, dtypes.I8), "for quantization to 8 bits")
        x.require(not self.symmetric or self.dtype == dtypes.I8, "for symmetric quantization to i8")
        each = x.with_shape(() if self.axis is None else (x.shape[x.axis(self.axis)],))
        return x.with_dtype(self.dtype), each, each.with_dtype(self.dtype)

    def _quantize(self) -> Quantize:
        return Quantize(axis=self.axis or 0, dtype=self.dtype, rounding=self.rounding)

    def _others(self, rank: int) -> tuple[int, ...]:
        return tuple(axis for axis in range(rank) if axis != self.axis)

    def evaluate(self, x: Array) -> tuple[Array, Array, Array]:
        axes = self._others(x.ndim)
        least, most = (x.dtype.type(f(x, axis=axes, initial=0)) for f in (np.min, np.max))
        low, high = limits(self.dtype)
        if self.symmetric:
            span, levels = np.maximum(-least, most), high
        else:
            span, levels = most - least, high - low
        scale = np.asarray(np.where(span > 0, span / x.dtype.type(levels), 1), x.dtype)
        point = np.zeros(scale.shape) if self.symmetric else rounded(low - least / scale, self.rounding)
        point = np.asarray(np.clip(point, low, high)).astype(self.dtype)
        return self._quantize().evaluate(x, scale, point), scale, point

    def decompose(self, b: Builder, x: Value) -> tuple[Value, ...]:
        axes, (low, high) = self._others(x.type.rank), limits(self.dtype)
        if self.symmetric:
            least = None
            span = b(Div(), b(ReduceMax(axes=axes, keepdims=False), b(Abs(), x)), high)
        else:
            least = b(Min(), b(ReduceMin(axes=axes, keepdims=False), x), 0.0)
            most = b(Max(), b(ReduceMax(axes=axes, keepdims=False), x), 0.0)
            span = b(Div(), b(Sub(), most, least), high - low)
        scale = b(Where(), b(Equal(), span, 0.0), np.ones((), x.type.dtype), span)
        if least is None:
            point = b.constant(np.zeros((), self.dtype))
            point = point if self.axis is None else b(Expand(shape=scale.type.shape), point)
        else:
            raw = b(Div(), b(Neg(), least), scale)
            raw = b(Add(), raw, low) if low else raw
            point = b(Cast(to=self.dtype), b(Clip(low=low, high=high), rounded_nodes(b, raw, self.rounding)))
        return b(self._quantize(), x, scale, point), scale, point
