"""Elementwise formulas of several steps, in blocks that stay in cache, and the error function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmconvert.ir.kernels import memory, workers
from mmconvert.ir.kernels.windows import Array

# Bytes of a block. It and the few temporaries of a formula fit the L2 cache together, and each is below the
# 128 KiB from which on malloc asks the system for fresh pages.
_BLOCK = 96 << 10
_SHARED = 1 << 18  # bytes from which on the blocks are shared out among threads

ERF_NEAR = {
    np.dtype(np.float32): (
        1.1283791658483509,
        -0.37612626666720334,
        0.11283594715160218,
        -0.026854212010626412,
        0.005189087423433974,
        -0.000801686428716587,
        7.875875062685488e-05,
    ),
    np.dtype(np.float64): (
        1.1283791670955126,
        -0.37612638903183543,
        0.11283791670945006,
        -0.02686617064323777,
        0.0052239776071164225,
        -0.0008548325975389692,
        0.00012055294904839707,
        -1.492473690741966e-05,
        1.6447424703317362e-06,
        -1.6208483801871705e-07,
        1.3720064546777686e-08,
        -7.795898827002142e-10,
    ),
}
"""``erf(x) / x`` as a polynomial in ``x**2``, for ``x**2`` in [0, 1]; the constant term first."""

ERF_FAR = {
    np.dtype(np.float32): (
        0.0006051183909673801,
        0.547268680168792,
        1.3230285348114388,
        0.8119632995434544,
        6.455920853461252,
        -1.8260863988446758,
        -3.432347396924676,
    ),
    np.dtype(np.float64): (
        1.6242284740077591e-07,
        0.5641771458640458,
        1.1288205669506493,
        1.9650380653313524,
        2.965062607613792,
        1.112927254027886,
        12.469269695695969,
        -86.0235241240357,
        356.0254348102813,
        -1304.8727117633393,
        3393.7192897611894,
        -5751.745781926398,
        6141.244973872164,
        -3802.3193399400056,
        1051.4775993545124,
    ),
}
"""``exp(x**2) * erfc(x)`` as a polynomial in ``1 / (x + 2)``, for ``x`` in [1, ERF_LIMIT]."""

ERF_LIMIT = {np.dtype(np.float32): 4.0, np.dtype(np.float64): 6.0}
"""From here on ``erf`` rounds to 1."""


def blockwise(function: Callable[[Array, Array], object], x: Array) -> Array:
    """A new array of the type of ``x``, filled by ``function(part, out)`` over parts that stay in cache.

    A formula of five steps then passes over memory once and not five times. Narrow floats are computed in
    float32 and rounded once.

    Args:
        function: writes its result for the vector ``part``, which it must not change, to ``out``.
        x: floating point, any shape and any order in memory.
    """
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    source = x.transpose(order)
    if not source.flags.c_contiguous:
        source = np.ascontiguousarray(source)
    made = memory.empty(source.shape, x.dtype)
    work = working_float(x.dtype)

    def rounded(part: Array, out: Array) -> None:
        wide = np.empty(part.shape, work)
        function(part.astype(work), wide)
        out[...] = wide.astype(x.dtype)

    _each_block(function if work == x.dtype else rounded, source.reshape(-1), made.reshape(-1))
    return made if order == list(range(x.ndim)) else made.transpose(np.argsort(order))


def rowwise(function: Callable[[Array, Array], object], x: Array, width: int) -> Array:
    """A new array of the type and shape of ``x``, filled by ``function(rows, out)`` over some rows at a time.

    Args:
        function: writes its result for the matrix ``rows``, which it must not change, to ``out``.
        x: any shape; its elements in row-major order are the rows.
        width: the elements of a row.
    """
    made = memory.empty(x.shape, x.dtype)
    if x.size:
        _each_block(function, x.reshape(-1, width), made.reshape(-1, width))
    return made


def _each_block(function: Callable[[Array, Array], object], source: Array, made: Array) -> None:
    """Calls ``function`` for blocks of both along their first axis, in several threads when they are many."""
    step = max(1, _BLOCK * len(source) // max(1, source.nbytes))
    blocks = [slice(start, start + step) for start in range(0, len(source), step)]

    def fill(block: slice) -> None:
        function(source[block], made[block])

    if source.nbytes >= _SHARED:
        workers.each(fill, blocks)
    else:
        for block in blocks:
            fill(block)


def working_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype to compute a formula in: float32 for the narrow floats, otherwise ``dtype`` itself."""
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype


def erf_to(x: Array, out: Array) -> None:
    """``out = erf(x)``, float32 or float64, to within three units in the last place.

    The scheme is W. J. Cody's ("Rational Chebyshev approximations for the error function", Mathematics of
    Computation 23, 1969): a polynomial in ``x**2`` near zero, where the result must keep its relative
    accuracy, and ``1 - exp(-x**2) * p(1 / (x + 2))`` beyond. The coefficients are our own: interpolation at
    the Chebyshev nodes in 50 digits.
    """
    inside = np.clip(x, -1, 1)
    near = polynomial(ERF_NEAR[x.dtype], np.square(inside))
    near *= inside
    size = np.clip(np.abs(x), 1, ERF_LIMIT[x.dtype])
    far = polynomial(ERF_FAR[x.dtype], 1 / (size + 2))
    beyond = (size > 1).astype(x.dtype)
    np.square(size, out=size)
    far *= np.exp(np.negative(size, out=size), out=size)
    np.copysign(np.subtract(1, far, out=far), x, out=far)
    # Both are finite, so that multiplying by 0 and 1 chooses between them: several times quicker than a mask.
    far *= beyond
    near *= np.subtract(1, beyond, out=beyond)
    np.add(near, far, out=out)


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """``coefficients[0] + coefficients[1] * x + ...`` by Horner's rule."""
    total = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total += coefficient
        total *= x
    total += coefficients[0]
    return total
