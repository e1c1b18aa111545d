"""Convolution of each channel by itself: too thin for BLAS, so one multiply-add sweep over each block."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mmconvert.ir.kernels import workers
from mmconvert.ir.kernels.elementwise import add_to_rows
from mmconvert.ir.kernels.windows import Array, Tile, Windows, padded, shape_of, sliding, tiles

_SCRATCH = 1 << 19  # bytes of input under a block, or of repeated taps: both stay in the L2 cache
_LONG = 512  # channels from which on they alone make inner loops long enough


def depthwise(x: Array, taps: Array, bias: Array | None, windows: Windows, y: Array) -> None:
    """Fill `y` with the convolution whose output channel `c*multiplier + m` sees input channel `c` only.

    Arrays that are channels first are handed in as transposed views: each block is then copied into
    channels-last order, where neighbours in memory share their taps' position and not their value.

    Args:
        x: `[N, *spatial, C]`, of any strides.
        taps: `[*kernel, C*multiplier]`.
        bias: `[C*multiplier]` or None.
        windows: along each spatial axis.
        y: `[N, *out, C*multiplier]`, of any strides.
    """
    kept = taps.shape[-1]
    narrow = y.itemsize < 4 and y.dtype.kind not in "iub"
    dtype = np.dtype(np.float32) if narrow else y.dtype
    taps = np.ascontiguousarray(taps, dtype)
    nbytes = dtype.itemsize * kept * math.prod(window.stride for window in windows)
    cut = list(tiles(y.shape[:-1], _SCRATCH // max(1, nbytes)))
    width = shape_of(cut[0])[-1]
    wide = np.tile(taps, width) if _mergeable(taps, windows, width) else None

    def fill(tile: Tile) -> None:
        block = np.ascontiguousarray(padded(x, windows, tile), dtype)
        if kept != x.shape[-1]:
            block = np.repeat(block, kept // x.shape[-1], axis=-1)
        view = sliding(block, windows, tile, channels_last=True)
        done = np.empty((*shape_of(tile), kept), dtype)
        if wide is not None:
            merged = wide[..., : done.shape[-2] * kept]
            _sweep(_merged(view, len(windows)), merged, done.reshape(*done.shape[:-2], -1))
        else:
            _sweep(view, taps, done)
        if bias is not None:
            add_to_rows(done.reshape(-1, kept), bias)
        y[tile] = done

    workers.each(fill, cut)


def _sweep(view: Array, taps: Array, out: Array) -> None:
    """`out[..., c] = sum over k of view[..., k, c] * taps[k, c]`, without an intermediate."""
    axes, first = [*range(view.ndim)], view.ndim - taps.ndim
    np.einsum(view, axes, taps, axes[first:], axes[:first] + axes[-1:], out=out)


def _mergeable(taps: Array, windows: Windows, width: int) -> bool:
    """Whether to take the last spatial axis and the channels as one axis, with repeated taps."""
    return windows[-1].stride == 1 and taps.shape[-1] < _LONG and taps.nbytes * width <= _SCRATCH


def _merged(view: Array, last: int) -> Array:
    """`[N, *out, *kernel, C]` of a contiguous block with the last axis of `out` moved into `C`."""
    shape, strides = view.shape, view.strides
    return as_strided(
        view,
        (*shape[:last], *shape[last + 1 : -1], shape[last] * shape[-1]),
        (*strides[:last], *strides[last + 1 :]),
        writeable=False,
    )
