"""Pooling: windows folded over blocks of the output that stay in cache.

Nothing is padded: taps that fall outside the input are left out. The caller gives the output extents, so
that in ceil mode the last windows may overhang even the padded input.

Arrays are `[N, C, *spatial]` or `[N, *spatial, C]`, of any strides. `kernel`, `strides`, `dilations`, `pads`
(before, after) and `out` have one entry per spatial axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from typing import NamedTuple

import numpy as np

from mmconvert.ir.kernels.windows import (
    Array,
    Pads,
    Tile,
    Window,
    Windows,
    clipped,
    leading,
    reached,
    shape_of,
    tiles,
    windows_of,
)

_SCRATCH = 1 << 20  # bytes of input under a block


def max_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    out: Sequence[int],
    channels_last: bool,
) -> Array:
    """The largest value of each window, NaN if it holds one; the lowest of the dtype for an empty window.

    PyTorch treats NaN so. ONNX Runtime's float32 kernel keeps or drops it, depending on where it lies.
    """
    windows = windows_of(kernel, strides, dilations, pads)
    y = _output(x, out, channels_last)
    for block in _blocks(x, windows, out, channels_last):
        y[block.tile] = _fold(np.maximum, _lowest(x), block.part, block)
    return y


def max_pool_indices(
    x: Array,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    out: Sequence[int],
    channels_last: bool,
    column_major: bool = False,
) -> tuple[Array, Array]:
    """`max_pool`, and where each maximum lies: the first of equals, or the first NaN.

    An index counts the elements of the whole `x` in the order `N, C, *spatial`, whatever its layout; with
    `column_major` (ONNX's `storage_order=1`) the first spatial axis varies fastest and the last slowest.
    It is -1 for an empty window.

    Returns:
        The maxima, and their int64 indices in an array of the same shape.
    """
    windows = windows_of(kernel, strides, dilations, pads)
    y = _output(x, out, channels_last)
    where = np.full(y.shape, -1, np.int64)
    lead = leading(channels_last)
    spatial = x.shape[lead : lead + len(windows)]
    for block in _blocks(x, windows, out, channels_last):
        best, index = y[block.tile], where[block.tile]
        best[...] = _lowest(x)
        for tap in product(*map(range, kernel)):
            target, source = block.reach(tap)
            at = _positions(tap, block, spatial, column_major)
            _improve(best[target], index[target], block.part[source], at[..., None] if channels_last else at)
    channels = x.shape[-1 if channels_last else 1]
    planes = math.prod(spatial) * np.arange(len(x) * channels)
    ones = (1,) * len(windows)
    shape = (len(x), *ones, channels) if channels_last else (len(x), channels, *ones)
    np.add(where, planes.reshape(shape), out=where, where=where >= 0)
    return y, where


def average_pool(
    x: Array,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    out: Sequence[int],
    channels_last: bool,
    count_include_pad: bool,
) -> Array:
    """The mean of each window of a floating `x`; 0 for an empty window.

    The divisor counts the taps inside the input, with `count_include_pad` those on the padding as well, and
    never those beyond it. Narrow floats are summed in float32.
    """
    windows = windows_of(kernel, strides, dilations, pads)
    y = _output(x, out, channels_last)
    lead = leading(channels_last)
    counts = [
        _counts(window, n, extent, include_pad=count_include_pad)
        for window, n, extent in zip(windows, out, x.shape[lead:], strict=False)
    ]
    for block in _blocks(x, windows, out, channels_last):
        total = _fold(np.add, 0, _wide(block.part), block)
        outputs = zip(counts, block.tile[lead:], strict=True)
        divisor = reduce(np.multiply.outer, [count[part] for count, part in outputs]).astype(total.dtype)
        total /= divisor[..., None] if channels_last else divisor
        y[block.tile] = total
    return y


def lp_pool(
    x: Array,
    *,
    p: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    out: Sequence[int],
    channels_last: bool,
) -> Array:
    """The p-norm `(sum |x|^p)^(1/p)` of each window of a floating `x`, narrow floats summed in float32."""
    windows = windows_of(kernel, strides, dilations, pads)
    y = _output(x, out, channels_last)
    for block in _blocks(x, windows, out, channels_last):
        y[block.tile] = _fold(np.add, 0, np.abs(_wide(block.part)) ** p, block) ** (1 / p)
    return y


class _Block(NamedTuple):
    """A tile of the output with the part of the input under it."""

    windows: Windows
    tile: Tile
    part: Array
    margins: tuple[int, ...]  # how far the first windows stick out of the part

    @property
    def lead(self) -> int:
        return len(self.tile) - len(self.windows)

    def along(self, axis: int, tap: int) -> tuple[slice, slice]:
        """The outputs of the tile whose `tap` along a spatial axis is inside the input, and what it reads."""
        outputs, window = self.tile[self.lead + axis], self.windows[axis]
        return reached(
            tap * window.dilation - self.margins[axis],
            window.stride,
            outputs.stop - outputs.start,
            self.part.shape[self.lead + axis],
        )

    def reach(self, tap: tuple[int, ...]) -> tuple[Tile, Tile]:
        """The same for a tap of the whole window, as indices into the tile and into `part`."""
        whole = (slice(None),) * self.lead
        targets, sources = zip(*(self.along(axis, j) for axis, j in enumerate(tap)), strict=True)
        return (*whole, *targets), (*whole, *sources)


def _blocks(x: Array, windows: Windows, out: Sequence[int], channels_last: bool) -> Iterator[_Block]:
    extents = (len(x), *out) if channels_last else (*x.shape[:2], *out)
    nbytes = (
        x.itemsize * math.prod(window.stride for window in windows) * (x.shape[-1] if channels_last else 1)
    )
    for tile in tiles(extents, _SCRATCH // max(1, nbytes)):
        part, margins = clipped(x, windows, tile)
        yield _Block(windows, tile, part, tuple(before for before, _ in margins))


def _fold(ufunc: np.ufunc, identity: float, part: Array, block: _Block) -> Array:
    """`ufunc` over all taps, one axis after the other: a sum of kernel extents and not their product."""
    for axis in reversed(range(len(block.windows))):
        at = block.lead + axis
        count = shape_of(block.tile)[at]
        folded = np.full((*part.shape[:at], count, *part.shape[at + 1 :]), identity, part.dtype)
        before = (slice(None),) * at
        for tap in range(block.windows[axis].kernel):
            target, source = block.along(axis, tap)
            ufunc(folded[*before, target], part[*before, source], out=folded[*before, target])
        part = folded
    return part


def _improve(best: Array, index: Array, found: Array, at: Array) -> None:
    """Put `found` into `best` and `at` into `index` where it is larger, the first NaN, or the first."""
    better = (~(found <= best) & (best == best)) | (index < 0)
    np.copyto(best, found, where=better)
    np.copyto(index, at, where=better)


def _positions(tap: tuple[int, ...], block: _Block, spatial: tuple[int, ...], column_major: bool) -> Array:
    """Where within an image `tap` reads, for each output of the block that it is inside the input for."""
    order = range(len(spatial)) if column_major else reversed(range(len(spatial)))
    step, along = 1, {}
    for axis in order:
        window, target = block.windows[axis], block.along(axis, tap[axis])[0]
        outputs = np.arange(target.start, target.stop) + block.tile[block.lead + axis].start
        along[axis] = step * (outputs * window.stride - window.before + tap[axis] * window.dilation)
        step *= spatial[axis]
    positions: Array = reduce(np.add.outer, [along[axis] for axis in range(len(spatial))])
    return positions


def _counts(window: Window, count: int, extent: int, *, include_pad: bool) -> Array:
    """How many taps of each output's window the mean divides by (at least 1)."""
    low, high = (-window.before, extent + window.after) if include_pad else (0, extent)
    at = (
        np.arange(count)[:, None] * window.stride - window.before + np.arange(window.kernel) * window.dilation
    )
    taps: Array = np.count_nonzero((at >= low) & (at < high), axis=1)
    return np.maximum(taps, 1)


def _output(x: Array, out: Sequence[int], channels_last: bool) -> Array:
    return np.empty((len(x), *out, x.shape[-1]) if channels_last else (*x.shape[:2], *out), x.dtype)


def _lowest(x: Array) -> float:
    if x.dtype.kind == "b":
        return False
    return int(np.iinfo(x.dtype).min) if x.dtype.kind in "iu" else -np.inf


def _wide(x: Array) -> Array:
    return x.astype(np.float32) if x.itemsize < 4 else x
