"""Elementwise work that passes over memory once, with inner loops long enough for numpy."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.kernels import memory, workers
from mmconvert.ir.kernels.windows import Array

_CHUNK = 1 << 18  # bytes that stay in the L2 cache from one operation to the next
_SHARED = 1 << 20  # bytes from which on an array is shared out among threads
_LONG = 2048  # elements beside which starting an inner loop costs nothing


def relu(x: Array, out: Array | None = None) -> Array:
    """`max(x, 0)`, NaN where `x` is NaN; `np.maximum` would take three times as long with a scalar."""
    if x.dtype.kind != "f":
        return np.asarray(np.maximum(x, x.dtype.type(0), out=out))
    return clip(x, 0.0, np.inf, out)


def clip(x: Array, low: float, high: float, out: Array | None = None) -> Array:
    """`min(max(x, low), high)` of floats, large arrays in several threads.

    Args:
        x: any shape, floating point.
        low: lower bound, -inf for none.
        high: upper bound, inf for none.
        out: where to write, `x` for in place; by default a new array.
    """
    bounds = x.dtype.type(low), x.dtype.type(high)
    if x.nbytes < _SHARED or not x.flags.c_contiguous or (out is not None and not out.flags.c_contiguous):
        return np.asarray(np.clip(x, *bounds, out=out))
    out = memory.empty(x.shape, x.dtype) if out is None else out
    source, target = x.reshape(-1), out.reshape(-1)
    workers.each(lambda part: np.clip(source[part], *bounds, out=target[part]), _parts(x.size))
    return out


def _parts(size: int) -> list[slice]:
    """A run of elements for each thread."""
    step = -(-size // workers.count())
    return [slice(start, start + step) for start in range(0, size, step)]


def affine(x: Array, scale: Array, shift: Array, axis: int, out: Array | None = None) -> Array:
    """`x * scale + shift` along one axis: batch norm at inference, once its statistics are folded.

    Args:
        x: any shape.
        scale: `[x.shape[axis]]`.
        shift: `[x.shape[axis]]`.
        axis: the axis that `scale` and `shift` run along.
        out: where to write, `x` for in place; by default a new array of numpy's result type.
    """
    axis %= x.ndim
    if out is None:
        out = memory.empty(x.shape, np.result_type(x, scale, shift))
    if not (x.flags.c_contiguous and out.flags.c_contiguous and x.size):
        column = (-1, *[1] * (x.ndim - 1 - axis))
        return np.add(np.multiply(x, scale.reshape(column), out=out), shift.reshape(column), out=out)
    if axis == x.ndim - 1:
        repeat = _repeat(x.size // scale.size, scale.size)
        rows, factor, addend = (
            x.reshape(-1, repeat * scale.size),
            np.tile(scale, repeat),
            np.tile(shift, repeat),
        )
    else:
        before = math.prod(x.shape[:axis])
        rows = x.reshape(before * scale.size, -1)
        factor, addend = np.tile(scale, before)[:, None], np.tile(shift, before)[:, None]
    written = out.reshape(rows.shape)
    step = max(1, _CHUNK // (rows.shape[1] * out.itemsize))

    def fill(start: int) -> None:
        part = slice(start, start + step)
        along = slice(None) if axis == x.ndim - 1 else part
        np.multiply(rows[part], factor[along], out=written[part])
        np.add(written[part], addend[along], out=written[part])

    workers.each(fill, range(0, len(rows), step))
    return out


def add_to_rows(rows: Array, row: Array) -> None:
    """`rows += row` for C-contiguous rows `[P, C]` and a row `[C]`."""
    repeat = _repeat(*rows.shape)
    rows = rows.reshape(-1, repeat * row.size)
    rows += np.tile(row, repeat)


def _repeat(count: int, width: int) -> int:
    """How many rows to take as one: a divisor of their count that makes a row long enough."""
    return math.gcd(count, 1 << max(0, _LONG // max(1, width)).bit_length() - 1) if width < _LONG else 1
