"""Elementwise work that passes over memory once, with inner loops long enough for numpy."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir.kernels.windows import Array

_CHUNK = 1 << 18  # bytes that stay in the L2 cache from one operation to the next
_LONG = 2048  # elements beside which starting an inner loop costs nothing


def relu(x: Array, out: Array | None = None) -> Array:
    """`max(x, 0)`, NaN where `x` is NaN; `np.maximum` would take three times as long with a scalar."""
    return np.clip(x, 0, np.inf, out=out) if x.dtype.kind == "f" else np.maximum(x, x.dtype.type(0), out=out)


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
        out = np.empty(x.shape, np.result_type(x, scale, shift))
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
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        along = slice(None) if axis == x.ndim - 1 else part
        np.multiply(rows[part], factor[along], out=written[part])
        np.add(written[part], addend[along], out=written[part])
    return out


def add_to_rows(rows: Array, row: Array) -> None:
    """`rows += row` for C-contiguous rows `[P, C]` and a row `[C]`."""
    repeat = _repeat(*rows.shape)
    rows = rows.reshape(-1, repeat * row.size)
    rows += np.tile(row, repeat)


def _repeat(count: int, width: int) -> int:
    """How many rows to take as one: a divisor of their count that makes a row long enough."""
    return math.gcd(count, 1 << max(0, _LONG // max(1, width)).bit_length() - 1) if width < _LONG else 1
