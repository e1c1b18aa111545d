"""Products of quantized tensors, exact in 32-bit integers."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Padding
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Sub
from mmconvert.ir.ops.conv import Conv
from mmconvert.ir.ops.matmul import MatMul
from mmconvert.ir.ops.shape import Unsqueeze
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.types import Array, Layout, TensorType


@operator
class MatMulInteger(Op):
    """``(a - a_zero) @ (b - b_zero)`` in i32, which wraps around.

    a, b: integers, as for MatMul. a_zero: like ``a``, a scalar or one number for each row. b_zero: like
    ``b``, a scalar or one number for each column. Both are 0 when absent.
    """

    def infer(
        self,
        a: TensorType,
        b: TensorType,
        a_zero: TensorType | None = None,
        b_zero: TensorType | None = None,
    ) -> TensorType:
        for x, zero in ((a, a_zero), (b, b_zero)):
            x.require_integer()
            if zero is not None:
                zero.require(zero.dtype == x.dtype and zero.rank <= x.rank, f"zero points of {x}")
        return MatMul().infer(a.with_dtype(dtypes.I32), b.with_dtype(dtypes.I32))

    def evaluate(self, a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Array:
        rows = None if a_zero is None else a_zero[:, None] if a_zero.ndim == 1 else a_zero
        left, right = _centred(a, rows), _centred(b, b_zero)
        return _wrapped(MatMul().evaluate(left, right))

    def decompose(
        self, b: Builder, a: Value, right: Value, a_zero: Value | None = None, b_zero: Value | None = None
    ) -> Value:
        rows = b(Unsqueeze(axes=(1,)), a_zero) if a_zero is not None and a_zero.type.rank == 1 else a_zero
        return b(MatMul(), _difference(b, a, rows), _difference(b, right, b_zero))


@operator
class ConvInteger(Op):
    """``Conv`` of ``x - x_zero`` and ``weight - weight_zero`` in i32, which wraps around.

    x, weight: integers; see ``Conv``. x_zero: a scalar like ``x``. weight_zero: like ``weight``, a scalar or
    one number for each filter. Both are 0 when absent. The padding stands for 0 after the subtraction.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    groups: int = 1
    layout: Layout

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        x_zero: TensorType | None = None,
        weight_zero: TensorType | None = None,
    ) -> TensorType:
        for tensor, zero in ((x, x_zero), (weight, weight_zero)):
            tensor.require_integer()
            if zero is not None:
                zero.require(zero.dtype == tensor.dtype and zero.rank <= 1, f"zero points of {tensor}")
        real = self._conv().infer(x.with_dtype(dtypes.F32), weight.with_dtype(dtypes.F32))
        return real.with_dtype(dtypes.I32)

    def evaluate(
        self, x: Array, weight: Array, x_zero: Array | None = None, weight_zero: Array | None = None
    ) -> Array:
        filters = weight_zero
        if weight_zero is not None and weight_zero.ndim == 1:
            filters = weight_zero.reshape(-1, *(1,) * (weight.ndim - 1))
        return _wrapped(self._conv().evaluate(_centred(x, x_zero), _centred(weight, filters)))

    def _conv(self) -> Conv:
        return Conv(
            strides=self.strides,
            dilations=self.dilations,
            padding=self.padding,
            groups=self.groups,
            layout=self.layout,
        )


def _centred(x: Array, zero: Array | None) -> Array:
    """``x - zero`` in float64, in which sums of up to 2**37 products of bytes are exact."""
    wide = x.astype(np.float64)
    return wide if zero is None else np.asarray(wide - zero.astype(np.float64))


def _wrapped(total: Array) -> Array:
    return total.astype(np.int64).astype(np.int32)


def _difference(b: Builder, x: Value, zero: Value | None) -> Value:
    wide = b(Cast(to=dtypes.I32), x)
    return wide if zero is None else b(Sub(), wide, b(Cast(to=dtypes.I32), zero))
