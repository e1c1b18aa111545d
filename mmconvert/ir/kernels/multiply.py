"""Matrix products in a dtype that BLAS knows and that gives the right sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert.ir.kernels import workers
from mmconvert.ir.kernels.windows import Array

_EXACT = 2**53  # every integer below is a float64
_WORTH = 1 << 20  # multiplications below which threads cost more than they save


def working_dtype(a: Array, b: Array, depth: int) -> np.dtype[Any]:
    """The dtype in which to sum `depth` products of elements of `a` and `b`.

    Wide floats: their own. Narrow floats (float16, bfloat16): float32, rounded at the end. Integers: float64
    where no sum can leave the range of the result, so that all sums are exact; else their own type, which
    wraps around as it does in numpy.
    """
    result = np.result_type(a, b)
    if result.kind in "iu":
        bound = depth * _magnitude(a) * _magnitude(b)
        return np.dtype(np.float64) if bound < min(_EXACT, np.iinfo(result).max) else result
    return np.dtype(np.float32) if result.itemsize < 4 and result.kind != "b" else result


def _magnitude(a: Array) -> int:
    return max(int(a.max()), -int(a.min())) if a.size else 0


def multiply(a: Array, b: Array, out: Array) -> None:
    """`out = a @ b` of matrices, computed in the dtype of `a` and `b`, rounded to that of `out`."""
    if a.dtype != out.dtype:
        np.copyto(out, np.matmul(a, b), casting="unsafe")
    elif workers.inside() or out.size * a.shape[-1] < _WORTH:
        np.matmul(a, b, out=out)
    elif max(out.shape[:-2], default=0) >= workers.count():
        _multiply_many(a, b, out)
    elif a.shape[-2] > b.shape[-1]:
        workers.each(lambda rows: np.matmul(a[..., rows, :], b, out=out[..., rows, :]), _cuts(a.shape[-2]))
    else:
        workers.each(lambda columns: np.matmul(a, b[..., columns], out=out[..., columns]), _cuts(b.shape[-1]))


def _multiply_many(a: Array, b: Array, out: Array) -> None:
    """Each thread gets some of the products whole."""
    batch = out.shape[:-2]
    axis = batch.index(max(batch))
    x, y = (np.moveaxis(np.broadcast_to(m, (*batch, *m.shape[-2:])), axis, 0) for m in (a, b))
    z = np.moveaxis(out, axis, 0)
    step = -(-batch[axis] // workers.count())
    parts = [slice(start, start + step) for start in range(0, batch[axis], step)]
    workers.each(lambda part: np.matmul(x[part], y[part], out=z[part]), parts)


def _cuts(extent: int) -> list[slice]:
    """One slice for each thread, cut where vector registers begin."""
    step = -(-extent // workers.count())
    step += -step % 16
    return [slice(start, min(start + step, extent)) for start in range(0, extent, step)]
