"""From stored integers to the numbers that they mean, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.quantize import Rounding, limits
from mmconvert.ir.types import Array
from mmconvert.parsers.tflite.tensors import Quantization


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a kernel comes from its result to integers; see ``ir.ops.Quantize``.

    Attributes:
        rounding: where halves go.
        bits: what the kernel rounds to before that; one number, or one for each slice along the last axis.
        negative_bits: the same for results below 0, where these are multiplied by something else.
    """

    rounding: Rounding = "half_away"
    bits: tuple[int, ...] = ()
    negative_bits: tuple[int, ...] = ()


ONCE = Arithmetic()
"""Of kernels that compute with floats, or look results up in tables that were."""


def guard_bits(multiplier: Array | float, count: int = 1) -> tuple[int, ...]:
    """The bits behind the point that are left when integers were multiplied by a 32-bit fixed-point number.

    The kernels write a multiplier as ``m * 2**-n`` with ``m`` in [1/2, 1) to 31 bits, multiply and round, and
    shift and round (gemmlowp, "Building a quantization paradigm from first principles"). That of a mean has
    its shift increased by ``log2(count)``, rounded down, and is divided by ``count``.
    """
    mantissa, exponent = np.frexp(np.atleast_1d(np.asarray(multiplier, np.float64)))
    exponent = exponent + (np.rint(mantissa * 2.0**31) == 2.0**31)
    found = tuple(np.clip(count.bit_length() - 1 - exponent, 0, 31).tolist())
    return found[:1] if len(set(found)) == 1 else found


def dequantized(b: Builder, stored: Value, q: Quantization) -> Value:
    """The real numbers behind stored integers."""
    zero = _zero_point(q, stored.type.dtype) if q.zero_point.any() else None
    return b(ops.Dequantize(axis=q.axis), stored, q.scale, zero)


def quantized(b: Builder, real: Value, q: Quantization, dtype: DType, arithmetic: Arithmetic = ONCE) -> Value:
    """Real numbers as the integers that are nearest to them."""
    bits, negative = arithmetic.bits, arithmetic.negative_bits
    op = ops.Quantize(
        axis=real.type.rank - 1 if max(len(bits), len(negative)) > 1 else q.axis,
        dtype=dtype,
        rounding=arithmetic.rounding,
        guard_bits=bits,
        negative_guard_bits=negative,
    )
    return b(op, real, q.scale, _zero_point(q, dtype))


def looked_up(b: Builder, table: Array, stored: Value) -> Value:
    """The elements of a table that integers of 16 bits choose, the first one for the smallest."""
    place = b(ops.Add(), b(ops.Cast(to=dtypes.I32), stored), np.array(1 << 15, np.int32))
    return b(ops.Gather(axis=0), b.constant(table), place)


def _zero_point(q: Quantization, dtype: DType) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    low, high = limits(dtype)
    if not ((q.zero_point >= low) & (q.zero_point <= high)).all():
        raise InvalidModelError(f"a zero point lies outside of {dtypes.name(dtype)}")
    return np.asarray(q.zero_point).astype(dtype)
