"""What sliding windows have in common: their geometry, views of them, and blocks that stay in cache.

A kernel never pads or unrolls a whole activation. It walks over `tiles` of its output and asks for
the `padded` piece of the input under each, so its scratch memory is bounded whatever the extents.

An array is `[N, *spatial, C]` (channels last) or `[N, C, *spatial]` (channels first). The axes in
front of the spatial ones are its leading axes; a tile is one slice per leading axis of the output,
then one per spatial axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Array: TypeAlias = npt.NDArray[Any]
Pads: TypeAlias = Sequence[tuple[int, int]]
Tile: TypeAlias = tuple[slice, ...]


class Window(NamedTuple):
    """The window along one spatial axis: tap `j` of output `o` reads `o*stride - before + j*dilation`."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def reach(self) -> int:
        """Distance from the first tap to just behind the last."""
        return (self.kernel - 1) * self.dilation + 1

    def outputs(self, extent: int) -> int:
        """How many windows lie within the padded extent."""
        return max(0, (extent + self.before + self.after - self.reach) // self.stride + 1)

    def span(self, outputs: slice) -> tuple[int, int]:
        """The input positions, possibly outside the input, that these outputs read from."""
        return outputs.start * self.stride - self.before, (
            outputs.stop - 1
        ) * self.stride - self.before + self.reach


Windows: TypeAlias = tuple[Window, ...]


def windows_of(
    kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Pads
) -> Windows:
    """One `Window` per spatial axis."""
    return tuple(
        Window(k, s, d, before, after)
        for k, s, d, (before, after) in zip(kernel, strides, dilations, pads, strict=True)
    )


def leading(channels_last: bool) -> int:
    """How many axes lie before the spatial ones."""
    return 1 if channels_last else 2


def tiles(extents: Sequence[int], limit: int) -> Iterator[Tile]:
    """Cut a box into blocks of at most `limit` positions (at least one), in row-major order.

    Each block is one run of consecutive positions in row-major order, and blocks are of like size.
    """
    room, shape = max(1, limit), list(extents)
    for axis in reversed(range(len(shape))):
        if shape[axis] > room:
            shape[axis] = -(-shape[axis] // -(-shape[axis] // room))
            shape[:axis] = [1] * axis
            break
        room //= max(1, shape[axis])
    starts = (range(0, extent, max(1, size)) for extent, size in zip(extents, shape, strict=True))
    for corner in product(*starts):
        yield tuple(
            slice(start, min(start + size, extent))
            for start, size, extent in zip(corner, shape, extents, strict=True)
        )


def reached(offset: int, stride: int, count: int, extent: int) -> tuple[slice, slice]:
    """The `i` in `range(count)` for which `offset + i*stride` is in `range(extent)`, and those positions."""
    first = min(count, max(0, -(offset // stride)))
    last = max(first, min(count, -((offset - extent) // stride)))
    start = offset + first * stride if first < last else 0
    return slice(first, last), slice(start, start + (last - first) * stride, stride)


def shape_of(tile: Tile) -> tuple[int, ...]:
    """Extents of a tile."""
    return tuple(part.stop - part.start for part in tile)


def clipped(x: Array, windows: Windows, tile: Tile) -> tuple[Array, tuple[tuple[int, int], ...]]:
    """The part of `x` under an output tile, and how far the windows stick out of it on each side."""
    lead = len(tile) - len(windows)
    index, margins = list(tile[:lead]), []
    for window, outputs, extent in zip(windows, tile[lead:], x.shape[lead:], strict=False):
        low, high = window.span(outputs)
        start = min(max(low, 0), extent)
        stop = max(min(high, extent), start)
        index.append(slice(start, stop))
        margins.append((start - low, high - stop))
    return x[tuple(index)], tuple(margins)


def padded(x: Array, windows: Windows, tile: Tile) -> Array:
    """The part of `x` under an output tile, zeros where the windows stick out; a view where they do not."""
    part, margins = clipped(x, windows, tile)
    if all(margin == (0, 0) for margin in margins):
        return part
    lead, tail = len(tile) - len(windows), x.ndim - len(tile)
    around = ((0, 0),) * lead + margins + ((0, 0),) * tail
    block = np.zeros(
        [extent + sum(margin) for extent, margin in zip(part.shape, around, strict=True)], x.dtype
    )
    block[tuple(slice(low, low + n) for n, (low, _) in zip(part.shape, around, strict=True))] = part
    return block


def sliding(block: Array, windows: Windows, tile: Tile, channels_last: bool) -> Array:
    """A read-only view of the windows of a `padded` block.

    `[N, *out, *kernel, C]` (channels last) or `[N, C, *kernel, *out]` (channels first).
    """
    lead = leading(channels_last)
    inner = slice(lead, lead + len(windows))
    out, kernel = shape_of(tile)[lead:], tuple(window.kernel for window in windows)
    steps = tuple(n * window.stride for n, window in zip(block.strides[inner], windows, strict=True))
    taps = tuple(n * window.dilation for n, window in zip(block.strides[inner], windows, strict=True))
    shape, strides = (out + kernel, steps + taps) if channels_last else (kernel + out, taps + steps)
    return as_strided(
        block,
        block.shape[:lead] + shape + block.shape[inner.stop :],
        block.strides[:lead] + strides + block.strides[inner.stop :],
        writeable=False,
    )
