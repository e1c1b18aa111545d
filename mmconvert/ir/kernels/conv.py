"""Convolution, as matrix products over blocks that stay in cache.

Channels first: x `[N, C, *spatial]`, weight `[O, C/groups, *kernel]`. Channels last: x `[N, *spatial, C]`,
weight `[O, *kernel, C/groups]`.
A contiguous weight of a dtype that BLAS knows is reshaped to a matrix and never copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mmconvert.ir.kernels import memory, workers
from mmconvert.ir.kernels.depthwise import depthwise
from mmconvert.ir.kernels.elementwise import add_to_rows
from mmconvert.ir.kernels.multiply import multiply, working_dtype
from mmconvert.ir.kernels.windows import (
    Array,
    Pads,
    Tile,
    Windows,
    leading,
    padded,
    shape_of,
    sliding,
    tiles,
    windows_of,
)

_SCRATCH = 1 << 22  # bytes of unrolled windows at a time: large for BLAS, small beside a model
_MANY = 512  # positions from which on they are shared out among threads


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    groups: int,
    channels_last: bool,
) -> Array:
    """Cross-correlation of zero-padded `x` with `weight`, which is what every framework calls convolution.

    Args:
        x: `[N, C, *spatial]` or `[N, *spatial, C]`, any number of spatial axes.
        weight: `[O, C/groups, *kernel]` or `[O, *kernel, C/groups]`.
        bias: `[O]` or None.
        strides: of the window along each spatial axis.
        dilations: distance between taps along each spatial axis.
        pads: zeros before and after each spatial axis.
        groups: into how many groups, that do not see each other, the channels are split.
        channels_last: the layout of `x`, of `weight` and of the result.

    Returns:
        `[N, O, *out]` or `[N, *out, O]`, of numpy's result type of `x` and `weight`.
    """
    lead = leading(channels_last)
    kernel = weight.shape[1:-1] if channels_last else weight.shape[2:]
    windows = windows_of(kernel, strides, dilations, pads)
    out = [window.outputs(extent) for window, extent in zip(windows, x.shape[lead:], strict=False)]
    shape = (x.shape[0], *out, weight.shape[0]) if channels_last else (x.shape[0], weight.shape[0], *out)
    y = memory.empty(shape, np.result_type(x, weight))
    if not y.size:
        return y
    if groups > 1 and groups == x.shape[-1 if channels_last else 1]:
        _depthwise(x, weight, bias, windows, y, channels_last)
    elif channels_last:
        _rows(x, weight, bias, windows, groups, y)
    else:
        _columns(x, weight, bias, windows, groups, y)
    return y


def _depthwise(
    x: Array, weight: Array, bias: Array | None, windows: Windows, y: Array, channels_last: bool
) -> None:
    taps = np.moveaxis(weight, 0, -1)
    if channels_last:
        depthwise(x, taps[..., 0, :], bias, windows, y)
    else:
        depthwise(np.moveaxis(x, 1, -1), taps[0], bias, windows, np.moveaxis(y, 1, -1))


def _rows(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int, y: Array) -> None:
    """Channels last: windows `[P, K]` times weight `[K, O]`, for each group."""
    kept, depth = weight.shape[0], math.prod(weight.shape[1:])
    dtype = working_dtype(x, weight, depth)
    matrix = weight.reshape(groups, kept // groups, depth).transpose(0, 2, 1).astype(dtype, copy=False)
    flat = y.reshape(-1, kept)
    grouped = flat.reshape(-1, groups, kept // groups).transpose(1, 0, 2)
    limit = _shared(_positions(x, windows, dtype.itemsize * depth * groups), len(flat))

    def block(tile: Tile, start: int, stop: int) -> None:
        unrolled = _unrolled_rows(x, windows, tile, groups).astype(dtype, copy=False)
        multiply(unrolled, matrix, out=grouped[:, start:stop])
        if bias is not None:
            add_to_rows(flat[start:stop], bias)

    workers.each(lambda piece: block(*piece), _runs(tiles(y.shape[:-1], limit)))


def _unrolled_rows(x: Array, windows: Windows, tile: Tile, groups: int) -> Array:
    """The windows of a tile as `[groups, P, K]`."""
    block, count = padded(x, windows, tile), math.prod(shape_of(tile))
    if groups > 1 and not _single(windows):
        return _regrouped(block, windows, tile, groups).reshape(groups, -1, count).swapaxes(1, 2)
    view = _separate(sliding(block, windows, tile, channels_last=True), windows)
    split = view.reshape(*view.shape[:-1], groups, view.shape[-1] // groups)
    return np.moveaxis(split, -2, 0).reshape(groups, count, -1)


def _regrouped(block: Array, windows: Windows, tile: Tile, groups: int) -> Array:
    """The windows of a channels-last block as `[groups, *kernel, C/groups, N, *out]`.

    By way of channels first: a row of one channel is a longer piece to copy than the channels of one group.
    """
    channels, rank = block.shape[-1], len(windows)
    first = np.ascontiguousarray(np.moveaxis(block, -1, 1))
    view = sliding(first, windows, (tile[0], slice(0, channels), *tile[1:]), channels_last=False)
    split = view.reshape(len(view), groups, channels // groups, *view.shape[2:])
    return np.ascontiguousarray(split.transpose(1, *range(3, 3 + rank), 2, 0, *range(3 + rank, 3 + 2 * rank)))


def _columns(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int, y: Array) -> None:
    """Channels first: weight `[O, K]` times windows `[K, P]`, for each image and group."""
    kept, depth = weight.shape[0], math.prod(weight.shape[1:])
    dtype = working_dtype(x, weight, depth)
    matrix = weight.reshape(groups, kept // groups, depth).astype(dtype, copy=False)
    flat = y.reshape(len(y), kept, -1)
    grouped = y.reshape(len(y), groups, kept // groups, -1)
    positions = len(y) * flat.shape[-1]
    limit = _shared(_positions(x, windows, dtype.itemsize * depth * groups), positions)

    def block(tile: Tile, first: int, last: int) -> None:
        batch, start = tile[0], first % flat.shape[-1]
        stop = start + (last - first) // (batch.stop - batch.start)
        unrolled = _unrolled_columns(x, windows, (batch, slice(0, x.shape[1]), *tile[1:]), groups)
        multiply(matrix, unrolled.astype(dtype, copy=False), out=grouped[batch, :, :, start:stop])
        if bias is not None:
            flat[batch, :, start:stop] += bias[:, None]

    workers.each(lambda piece: block(*piece), _runs(tiles((len(y), *y.shape[2:]), limit)))


def _unrolled_columns(x: Array, windows: Windows, tile: Tile, groups: int) -> Array:
    """The windows of a tile as `[N, groups, K, P]`."""
    view = sliding(padded(x, windows, tile), windows, tile, channels_last=False)
    return _separate(view, windows).reshape(len(view), groups, -1, math.prod(shape_of(tile[2:])))


def _shared(limit: int, positions: int) -> int:
    """A limit that leaves a block for every thread, unless there are too few positions for that.

    Few positions means many channels: ``multiply`` then shares out those.
    """
    return limit if positions < _MANY else min(limit, -(-positions // workers.count()))


def _runs(cut: Iterable[Tile]) -> list[tuple[Tile, int, int]]:
    """Each tile with the run of positions that it is, in row-major order."""
    runs, stop = [], 0
    for tile in cut:
        start, stop = stop, stop + math.prod(shape_of(tile))
        runs.append((tile, start, stop))
    return runs


def _positions(x: Array, windows: Windows, nbytes: int) -> int:
    """How many output positions to unroll at a time, at `nbytes` each; all where `x` serves as it is."""
    untouched = _single(windows) and all(w.stride == 1 and w.before == w.after == 0 for w in windows)
    return x.size if untouched and x.flags.c_contiguous else _SCRATCH // workers.count() // max(1, nbytes)


def _separate(view: Array, windows: Windows) -> Array:
    """The windows one by one in memory: overlapping windows are no matrix to BLAS."""
    if _single(windows):
        return view
    unrolled = memory.scratch(view.shape, view.dtype)
    np.copyto(unrolled, view)
    return unrolled


def _single(windows: Windows) -> bool:
    """Whether each window is a single tap."""
    return all(window.kernel == 1 for window in windows)
