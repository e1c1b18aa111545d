"""Sigmoid and tanh of 16 bits as kernels over integers compute them: functions of 65536 numbers, as tables.

Inside of recurrent layers the numbers are fixed-point ones, and every product and sum of them is rounded to
16 bits again, by the series and the divisions of gemmlowp (``fixedpoint.h``): some units away from the
functions themselves. Numbers with ``k`` integer bits stand for ``raw * 2 ** (k - 15)``. Arrays hold them in
64 bits.

Operators of their own interpolate between 256 values of the sigmoid (TensorFlow Lite,
``reference/integer_ops/logistic.h`` and ``tanh.h``).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mmconvert.ir.types import Array

_LOW, _HIGH = -(1 << 15), (1 << 15) - 1


@cache
def sigmoid() -> Array:
    """i16[65536]: from -32768 with 3 integer bits up, to numbers with none."""
    x = np.arange(_LOW, _HIGH + 1)
    positive = _reciprocal(_exp(-np.abs(x), 3), minus_one=False)
    result = np.where(x > 0, positive, _HIGH - positive)
    return np.where(x == 0, 1 << 14, result).astype(np.int16)


@cache
def tanh(integer_bits: int) -> Array:
    """i16[65536]: from -32768 with so many integer bits up, to numbers with none."""
    x = np.arange(_LOW, _HIGH + 1)
    # The double of a number has the same digits, and one more before the point.
    positive = _reciprocal(_exp(-np.abs(x), integer_bits + 1), minus_one=True)
    return np.where(x == 0, 0, np.where(x < 0, -positive, positive)).astype(np.int16)


@cache
def interpolated_sigmoid(scale: float) -> Array:
    """i16[65536]: the sigmoid of -32768 in steps of ``scale`` and up, in steps of 2**-15."""
    x = _rescaled(scale)
    found = _between(np.abs(x), 9, (1 << 25) - (1 << 10))
    return ((np.where(x < 0, (1 << 25) - found - 1, found) + (1 << 9)) >> 10).astype(np.int16)


@cache
def interpolated_tanh(scale: float) -> Array:
    """i16[65536]: the tanh of -32768 in steps of ``scale`` and up, in steps of 2**-15."""
    x = _rescaled(scale)
    found = _between(np.abs(x), 8, ((1 << 16) - 1) << 8) - (1 << 23)
    return ((np.where(x < 0, -found - 1, found) + (1 << 7)) >> 8).astype(np.int16)


def _rescaled(scale: float) -> Array:
    """Every number of 16 bits in steps of 2**-12 / 3, by a multiplier of 15 bits that is cut off."""
    multiplier, shift = scale * 3 * (1 << 12), 0
    while multiplier <= _HIGH / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    x = np.arange(_LOW, _HIGH + 1) * int(multiplier)
    return (x + ((1 << shift) >> 1)) >> shift


def _between(x: Array, bits: int, most: int) -> Array:
    """The sigmoid of ``x * 2 ** -bits / 24`` in steps of ``2 ** (-16 - bits)``: on lines between values."""
    values, place = _sigmoids(), x >> bits
    index = np.minimum(place, len(values) - 2)
    line = (values[index] << bits) + (x & ((1 << bits) - 1)) * (values[index + 1] - values[index])
    return np.where(place > index, most, line)


def _sigmoids() -> Array:
    """256 values from 0 on in steps of 1/24, each moved by half of what lines miss in the middle."""

    def function(x: Array) -> Array:
        return 1 / (1 + np.exp(-x / 24))

    x = np.arange(256)
    values = function(x)
    missed = function(x + 0.5) - (values + function(x + 1)) / 2
    found = np.floor((values + missed / 2) * (1 << 16) + 0.5).astype(np.int64)
    found[-1] = (1 << 16) - 1
    return found


def _saturated(x: Array) -> Array:
    return np.clip(x, _LOW, _HIGH)


def _wrapped(x: Array) -> Array:
    return x.astype(np.int16).astype(np.int64)


def _product(a: Array | int, b: Array | int) -> Array:
    """The upper half of twice the product, halves away from zero."""
    full = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = full + np.where(full >= 0, 1 << 14, 1 - (1 << 14))
    return _saturated(np.sign(nudged) * (np.abs(nudged) >> 15))


def _halved(x: Array | int, times: int) -> Array:
    """``x / 2 ** times``, halves away from zero."""
    x = np.asarray(x, np.int64)
    mask = (1 << times) - 1
    return (x >> times) + ((x & mask) > (mask >> 1) + (x < 0))


def _number(value: float, integer_bits: int = 0) -> int:
    """A constant: rounded to 32 bits first, then to 16."""
    return int(_halved(int(np.rint(value * 2.0 ** (31 - integer_bits))), 16))


def _exp(x: Array, integer_bits: int) -> Array:
    """``exp(x)`` for ``x <= 0``: of what is left of quarters by a series, times powers for the quarters."""
    fraction = 15 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (x & (quarter - 1)) - quarter
    result = _exp_of_less_than_a_quarter(_saturated(rest << integer_bits))
    quarters = rest - x
    for exponent in range(-2, min(integer_bits, 5)):
        bit = 1 << (fraction + exponent)
        result = np.where(quarters & bit, _product(result, _number(np.exp(-(2.0**exponent)))), result)
    if integer_bits > 5:
        result = np.where(x < -(1 << (fraction + 5)), 0, result)
    return np.where(x == 0, _HIGH, result)


def _exp_of_less_than_a_quarter(x: Array) -> Array:
    """Taylor's series about -1/8."""
    whole = _number(np.exp(-0.125))
    y = _wrapped(x + (1 << 12))
    square = _product(y, y)
    cube, fourth = _product(square, y), _product(square, square)
    terms = _product(_wrapped(_halved(fourth, 2) + cube), _number(1 / 3))
    higher = _halved(_wrapped(terms + square), 1)
    return _saturated(whole + _product(whole, _wrapped(y + higher)))


def _reciprocal(x: Array, *, minus_one: bool) -> Array:
    """``1 / (1 + x)``, or ``(1 - x) / (1 + x)``, for ``x`` from 0 to 1, by three of Newton's steps."""
    total = x + _HIGH
    half = np.sign(total) * ((np.abs(total) + 1) >> 1)
    y = _wrapped(_number(48 / 17, 2) + _product(half, _number(-32 / 17, 2)))
    one = 1 << 13
    for _ in range(3):
        left = _wrapped(one - _product(half, y))
        y = _wrapped(y + _saturated(_product(y, left) << 2))
    return _saturated((y - one) << 2) if minus_one else _saturated(y << 1)
