"""Reductions over axes that are not the last ones, where numpy is slow and sums lose digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmconvert.dtypes import DType
from mmconvert.ir.kernels.windows import Array

_FEW = 64  # rows; fewer are left to numpy, which then is quick and as accurate


def reduce_axes(f: np.ufunc, x: Array, axes: tuple[int, ...], *, keepdims: bool) -> Array:
    """``f.reduce`` over ``axes`` in the dtype of ``x``; sums of floats are accurate along every axis.

    numpy adds pairwise only along the axis that is contiguous in memory; along the others its error grows
    with the extent. Halving the block again and again is pairwise too, and its inner loops are long.

    Args:
        f: an associative and commutative ufunc of two operands.
        x: any shape.
        axes: not negative; none leaves ``x`` as it is.
        keepdims: whether reduced axes stay, with extent 1.
    """
    if not axes:
        return x
    for first, stop in _runs(axes):  # from the back, so that the axes before keep their numbers
        x = _reduce_run(f, x, first, stop, keepdims=keepdims)
    return x


def _runs(axes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring axes taken together, as half-open ranges, the last ones first."""
    runs: list[tuple[int, int]] = []
    for axis in sorted(axes, reverse=True):
        if runs and runs[-1][0] == axis + 1:
            runs[-1] = (axis, runs[-1][1])
        else:
            runs.append((axis, axis + 1))
    return runs


def _reduce_run(f: np.ufunc, x: Array, first: int, stop: int, *, keepdims: bool) -> Array:
    count = math.prod(x.shape[first:stop])
    if count == 0 and f in (np.maximum, np.minimum):
        least = f.reduce(x, axis=tuple(range(first, stop)), initial=_bound(f, x.dtype), keepdims=True)
        return np.asarray(least if keepdims else np.squeeze(least, tuple(range(first, stop))))
    if x.dtype.kind != "f" or stop == x.ndim or count < _FEW:
        return np.asarray(f.reduce(x, axis=tuple(range(first, stop)), dtype=x.dtype, keepdims=keepdims))
    outer, inner = x.shape[:first], x.shape[stop:]
    blocks = x.reshape(math.prod(outer), count, math.prod(inner))
    kept = (1,) * (stop - first) if keepdims else ()
    return _halve(f, blocks).reshape(*outer, *kept, *inner)


def _bound(f: np.ufunc, dtype: DType) -> Any:
    """The largest of no elements is the least that there is, and the other way round; as in ONNX."""
    if dtype.kind == "f":
        return -np.inf if f is np.maximum else np.inf
    info = np.iinfo(dtype)
    return info.min if f is np.maximum else info.max


def _halve(f: np.ufunc, blocks: Array) -> Array:
    """``[A, P, C]`` reduced to ``[A, C]``, for ``P`` of at least 2."""
    count = blocks.shape[1]
    half = count // 2
    folded = f(blocks[:, :half], blocks[:, half : 2 * half])
    rest = blocks[:, -1] if count % 2 else None
    while True:
        if rest is not None:
            f(folded[:, 0], rest, out=folded[:, 0])
        count = half
        if count == 1:
            return np.asarray(folded[:, 0])
        half = count // 2
        rest = folded[:, count - 1].copy() if count % 2 else None
        f(folded[:, :half], folded[:, half : 2 * half], out=folded[:, :half])
