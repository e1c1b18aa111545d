"""Transposed convolution: a matrix product per block of the input, its results added where they fall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from mmconvert.ir.kernels.multiply import working_dtype
from mmconvert.ir.kernels.windows import Array, Pads, Tile, Windows, reached, shape_of, tiles, windows_of

_SCRATCH = 1 << 22  # bytes of products at a time


def convolve_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Pads,
    output_padding: Sequence[int],
    groups: int,
    channels_last: bool,
) -> Array:
    """Spread input `i` to the outputs `i*stride - before + tap*dilation`: the gradient of `convolve`.

    Args:
        x: `[N, C, *spatial]` or `[N, *spatial, C]`, any number of spatial axes.
        weight: `[C, O/groups, *kernel]` or `[C, *kernel, O/groups]`.
        bias: `[O]` or None.
        strides: between the outputs of neighbouring inputs, along each spatial axis.
        dilations: distance between taps along each spatial axis.
        pads: what is cropped before and after each spatial axis; below zero the output is extended.
        output_padding: what is added after each spatial axis.
        groups: into how many groups, that do not see each other, the channels are split.
        channels_last: the layout of `x`, of `weight` and of the result.

    Returns:
        `[N, O, *out]` or `[N, *out, O]`, of numpy's result type of `x` and `weight`, where `out` is
        `(extent-1)*stride + (kernel-1)*dilation + 1 - before - after + output_padding`.
    """
    kernel, extents = (a.shape[1:-1] if channels_last else a.shape[2:] for a in (weight, x))
    windows = windows_of(kernel, strides, dilations, pads)
    out = tuple(
        (extent - 1) * window.stride + window.reach - window.before - window.after + extra
        for window, extent, extra in zip(windows, extents, output_padding, strict=True)
    )
    kept = weight.shape[-1 if channels_last else 1]
    depth = weight.shape[0] // groups
    dtype = working_dtype(x, weight, depth * math.prod(kernel))
    y = np.zeros((len(x), *out, groups, kept) if channels_last else (len(x), groups, kept, *out), dtype)
    matrix = weight.reshape(groups, depth, kept * math.prod(kernel)).astype(dtype, copy=False)
    add = _add_rows if channels_last else _add_columns
    for tile in tiles((len(x), *extents), _SCRATCH // max(1, weight.size // depth * dtype.itemsize)):
        add(x, matrix, kernel, windows, tile, y)
    y = y.reshape((len(x), *out, groups * kept) if channels_last else (len(x), groups * kept, *out))
    y = y.astype(np.result_type(x, weight), copy=False)
    if bias is not None:
        y += bias if channels_last else bias.reshape(-1, *[1] * len(out))
    return y


def _add_rows(
    x: Array, matrix: Array, kernel: tuple[int, ...], windows: Windows, tile: Tile, y: Array
) -> None:
    """Channels last: inputs `[P, C]` times weight `[C, kernel*O]`, by group, into `y[N, *out, G, O]`."""
    groups, depth, _ = matrix.shape
    part, kept = x[tile], y.shape[-1]
    inputs = part.reshape(-1, groups, depth).transpose(1, 0, 2).astype(matrix.dtype, copy=False)
    products = np.matmul(inputs, matrix).reshape(groups, *part.shape[:-1], *kernel, kept)
    for tap, target, source in _taps(kernel, windows, tile, y.shape[1:-2]):
        y[tile[0], *target] += np.moveaxis(products[:, :, *source, *tap], 0, -2)


def _add_columns(
    x: Array, matrix: Array, kernel: tuple[int, ...], windows: Windows, tile: Tile, y: Array
) -> None:
    """Channels first: weight `[O*kernel, C]` times inputs `[C, P]`, by group, into `y[N, G, O, *out]`."""
    groups, depth, _ = matrix.shape
    part, kept = x[tile[0], :, *tile[1:]], y.shape[2]
    inputs = part.reshape(len(part), groups, depth, -1).astype(matrix.dtype, copy=False)
    products = np.matmul(matrix.transpose(0, 2, 1), inputs)
    products = products.reshape(len(part), groups, kept, *kernel, *shape_of(tile[1:]))
    for tap, target, source in _taps(kernel, windows, tile, y.shape[3:]):
        y[tile[0], :, :, *target] += products[:, :, :, *tap, *source]


def _taps(
    kernel: tuple[int, ...], windows: Windows, tile: Tile, out: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Tile, Tile]]:
    """Each tap, the outputs it reaches from a tile of the input, and the inputs that reach them."""
    for tap in product(*map(range, kernel)):
        along = [
            reached(
                inputs.start * window.stride - window.before + j * window.dilation,
                window.stride,
                inputs.stop - inputs.start,
                extent,
            )
            for window, j, inputs, extent in zip(windows, tap, tile[1:], out, strict=True)
        ]
        sources, targets = zip(*along, strict=True)
        yield tap, targets, sources
