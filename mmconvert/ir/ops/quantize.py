"""Between real numbers and the integers (or narrow floats) that stand for them.

``real = (quantized - zero_point) * scale``. A scale (and a zero point, where there is one) is a scalar for
the whole tensor; a vector along ``axis``; or, with ``block`` above 0, a tensor of the same rank of which each
element counts for ``block`` neighbours along ``axis``.
"""

from __future__ import annotations

from typing import Any, Literal

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels.special import working_float
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.activation import Clip
from mmconvert.ir.ops.binary import Add, Div, Mul, Sub
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.ops.logic import Less, Where, require_same_dtype
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.ops.shape import Expand, Reshape, Unsqueeze
from mmconvert.ir.ops.unary import Abs, Cast, Floor, Round, Sign
from mmconvert.ir.types import Array, TensorType


def limits(dtype: DType) -> tuple[float, float]:
    """The smallest and the largest number of an integer or narrow floating-point type."""
    info: Any = ml_dtypes.finfo(dtype) if dtypes.is_float(dtype) else ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return float(info.min), float(info.max)


@attributes
class Scaled(Op):
    """An operator with a scale per tensor, per slice along ``axis``, or per ``block`` along ``axis``."""

    axis: int = 0
    block: int = 0

    def require_parameters(self, x: TensorType, scale: TensorType, zero_point: TensorType | None) -> None:
        """Checks that scale and zero point fit ``x``."""
        scale.require_float().require(scale.rank in self._ranks(x), "a scale per tensor, axis or block")
        if scale.rank > 0:
            axis, extent = x.axis(self.axis), scale.shape[self.axis if self.block else 0]
            covered = dims.ceildiv(x.shape[axis], self.block) if self.block else x.shape[axis]
            missing = covered - extent
            fits = not isinstance(missing, int) or missing == 0
            scale.require(fits, f"{covered} scales along axis {axis}")
        if zero_point is not None:
            zero_point.require(zero_point.shape == scale.shape, f"a zero point for each scale of {scale}")

    def _ranks(self, x: TensorType) -> tuple[int, ...]:
        return (x.rank,) if self.block else (0, 1) if x.rank else (0,)

    def spread(self, parameter: Array, shape: tuple[int, ...]) -> Array:
        """A scale or zero point, so that it broadcasts against a tensor of ``shape``."""
        if parameter.ndim == 0:
            return parameter
        if self.block:
            repeated = np.repeat(parameter, self.block, axis=self.axis)
            return repeated[(slice(None),) * self.axis + (slice(shape[self.axis]),)]
        return self._along(parameter, len(shape))

    def _along(self, vector: Array, rank: int) -> Array:
        return vector.reshape(-1, *(1,) * (rank - 1 - self.axis))

    def spread_nodes(self, b: Builder, parameter: Value, x: Value) -> Value | None:
        """``spread`` as nodes; None where blocks run along an unknown extent."""
        if parameter.type.rank == 0:
            return parameter
        if not self.block:
            rest = (1,) * (x.type.rank - 1 - self.axis)
            return b(Reshape(shape=(*parameter.type.shape, *rest)), parameter) if rest else parameter
        if not x.type.is_static:
            return None
        have, axis, extent = dims.numbers(parameter.type.shape), self.axis, x.type.static_shape[self.axis]
        wide = b(Unsqueeze(axes=(axis + 1,)), parameter)
        full = b(Expand(shape=(*have[: axis + 1], self.block, *have[axis + 1 :])), wide)
        long = (*have[:axis], have[axis] * self.block, *have[axis + 1 :])
        whole = b(Reshape(shape=long), full)
        return b(Slice(axes=(axis,), starts=(0,), sizes=(extent,), steps=(1,)), whole)


Rounding = Literal["half_even", "half_away", "half_away_stored", "toward_zero"]
"""Where halves go: to the even integer; away from 0; away from 0 after the zero point was added. Or what is
behind the point is cut off.
"""


def rounded(x: Array, rounding: Rounding) -> Array:
    """``x`` as the nearest integers."""
    if rounding in ("half_even", "toward_zero"):
        return np.rint(x) if rounding == "half_even" else np.trunc(x)
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def rounded_nodes(b: Builder, x: Value, rounding: Rounding) -> Value:
    """``rounded`` as nodes."""
    if rounding == "half_even":
        return b(Round(), x)
    size = b(Abs(), x)
    return b(Mul(), b(Floor(), size if rounding == "toward_zero" else b(Add(), size, 0.5)), b(Sign(), x))


@operator
class Quantize(Scaled):
    """``saturate(round(x / scale) + zero_point)``.

    x: floating point, or i32. scale: floating point, of the type of a floating ``x``. zero_point: of the type
    ``dtype``, 0 when absent. Returns ``dtype``; a narrow float is not rounded to integers, and without
    ``saturate`` overflows to infinity or NaN.

    ``guard_bits`` says what fixed-point arithmetic does, which rounds twice: first ``x / scale`` to that many
    bits behind the point, halves up, then to integers. There is one number for the tensor, or one for each
    slice along ``axis``. ``negative_guard_bits`` are those of numbers below 0, where these differ.
    """

    dtype: DType
    saturate: bool = True
    rounding: Rounding = "half_even"
    guard_bits: tuple[int, ...] = ()
    negative_guard_bits: tuple[int, ...] = ()

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None) -> TensorType:
        x.require(dtypes.is_float(x.dtype) or x.dtype == dtypes.I32, "a floating-point or i32 tensor")
        if dtypes.is_float(x.dtype):
            require_same_dtype(x, scale)
        self.require_parameters(x, scale, zero_point)
        if zero_point is not None:
            zero_point.require(zero_point.dtype == self.dtype, f"a zero point of {dtypes.name(self.dtype)}")
        for bits in (self.guard_bits, self.negative_guard_bits):
            fits = len(bits) < 2 or (x.rank > 0 and x.shape[x.axis(self.axis)] == len(bits))
            x.require(fits and all(0 <= n < 63 for n in bits), f"guard bits {list(bits)} along {self.axis}")
        return x.with_dtype(self.dtype)

    @property
    def is_plain(self) -> bool:
        """True when it rounds once, halves to even."""
        return self.rounding == "half_even" and not self.guard_bits

    def evaluate(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        wide = widen(scale)
        y = x.astype(wide.dtype) / self.spread(wide, x.shape)
        whole = dtypes.is_integer(self.dtype)
        zero = None if zero_point is None else self.spread(zero_point.astype(wide.dtype), x.shape)
        if whole and self.guard_bits:
            y = self._guarded(y)
        if zero is not None and self.rounding == "half_away_stored":
            y, zero = y + zero, None
        if whole:
            y = rounded(y, self.rounding)
        if zero is not None:
            y = y + zero
        if self.dtype.itemsize > 2 and not whole:
            return np.asarray(y, self.dtype)
        low, high = limits(self.dtype)
        if whole or self.saturate:
            y = np.clip(np.nan_to_num(y, nan=0) if whole else y, low, high)
        return np.asarray(y.astype(np.int64) if whole else y).astype(self.dtype)

    def _guarded(self, y: Array) -> Array:
        steps = self._steps(self.guard_bits, y.shape, y.dtype)
        if self.negative_guard_bits:
            steps = np.where(y < 0, self._steps(self.negative_guard_bits, y.shape, y.dtype), steps)
        return np.asarray(np.floor(y * steps + 0.5) / steps)

    def _steps(self, bits: tuple[int, ...], shape: tuple[int, ...], dtype: DType) -> Array:
        """``2 ** bits``, so that it broadcasts against a tensor of ``shape``."""
        steps = np.ldexp(np.ones(len(bits), dtype), bits)
        return self._along(steps, len(shape)) if len(bits) > 1 else steps[0]

    def decompose(self, b: Builder, x: Value, scale: Value, zero_point: Value | None = None) -> Value | None:
        wide = working_float(scale.type.dtype)
        if wide != scale.type.dtype or x.type.dtype == dtypes.I32:
            if x.type.dtype != wide:
                x = b(Cast(to=wide), x)
            return b(self, x, scale if scale.type.dtype == wide else b(Cast(to=wide), scale), zero_point)
        if not dtypes.is_integer(self.dtype):
            return None
        spread = self.spread_nodes(b, scale, x)
        if spread is None:
            return None
        point = None
        if zero_point is not None:
            point = self.spread_nodes(b, b(Cast(to=wide), zero_point), x)
        y = b(Div(), x, spread)
        if self.guard_bits:
            y = self._guarded_nodes(b, y)
        if point is not None and self.rounding == "half_away_stored":
            y, point = b(Add(), y, point), None
        y = rounded_nodes(b, y, self.rounding)
        if point is not None:
            y = b(Add(), y, point)
        low, high = limits(self.dtype)
        return b(Cast(to=self.dtype), b(Clip(low=low, high=high), y))

    def _guarded_nodes(self, b: Builder, y: Value) -> Value:
        rank, dtype = y.type.rank, y.type.dtype
        shape = (1,) * rank
        steps: Array | Value = self._steps(self.guard_bits, shape, dtype)
        if self.negative_guard_bits:
            below = self._steps(self.negative_guard_bits, shape, dtype)
            steps = b(Where(), b(Less(), y, 0.0), below, steps)
        return b(Div(), b(Floor(), b(Add(), b(Mul(), y, steps), 0.5)), steps)


_BYTES = {dtypes.BY_NAME["i4"]: dtypes.I8, dtypes.BY_NAME["u4"]: dtypes.U8}


def _byte(b: Builder, x: Value) -> Value:
    """Four-bit integers as bytes; constants at once: a target may have no Cast from their type."""
    to = _BYTES[x.type.dtype]
    return b(Cast(to=to), x) if x.constant is None else b.constant(x.constant.cast(to), name=x.name)


@operator
class Dequantize(Scaled):
    """``(x - zero_point) * scale``.

    x: integers or narrow floats. scale: floating point. zero_point: of the type of ``x``, 0 when absent.
    Returns the type of ``scale``.
    """

    def infer(self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None) -> TensorType:
        self.require_parameters(x.require_numeric(), scale, zero_point)
        if zero_point is not None:
            require_same_dtype(x, zero_point)
        return x.with_dtype(scale.dtype)

    def evaluate(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        wide = widen(scale)
        if zero_point is not None and dtypes.is_integer(x.dtype):
            # The difference of two 32-bit integers is exact, a float32 may not be.
            y = (x.astype(np.int64) - self.spread(zero_point.astype(np.int64), x.shape)).astype(wide.dtype)
        else:
            y = x.astype(wide.dtype)
            if zero_point is not None:
                y = y - self.spread(zero_point.astype(wide.dtype), x.shape)
        return np.asarray(y * self.spread(wide, x.shape), dtype=scale.dtype)

    def decompose(self, b: Builder, x: Value, scale: Value, zero_point: Value | None = None) -> Value | None:
        wide, narrow = working_float(scale.type.dtype), scale.type.dtype
        if wide != narrow:
            return b(Cast(to=narrow), b(self, x, b(Cast(to=wide), scale), zero_point))
        if x.type.dtype in _BYTES:  # bytes with the same numbers are still quantized
            return b(self, _byte(b, x), scale, None if zero_point is None else _byte(b, zero_point))
        spread = self.spread_nodes(b, scale, x)
        if spread is None:
            return None
        y = b(Cast(to=scale.type.dtype), x)
        if zero_point is not None:
            y = b(Sub(), y, self.spread_nodes(b, b(Cast(to=scale.type.dtype), zero_point), x))
        return b(Mul(), y, spread)
