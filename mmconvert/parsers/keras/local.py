"""Layers of Keras 2 that have a kernel for each place: LocallyConnected."""

from __future__ import annotations

import itertools
import math

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Add, Gather, MatMul, Reshape, Transpose
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

MAX_PLACES = 1 << 22


@rule("LocallyConnected1D", "LocallyConnected2D")
def locally_connected(layer: KerasLayer, b: Builder) -> Value:
    """Every window, as a line, times the matrix of its place: [places, kernel * channels, filters]."""
    x, rank = layer.image(), layer.spatial_rank
    kernel, strides = layer.sizes("kernel_size", rank), layer.sizes("strides", rank, 1)
    if layer.integer("implementation", 1) != 1:
        raise layer.refuse("kernels that implementation 2 or 3 has laid out", "set implementation=1")
    if layer.layout() is not Layout.NHWC or layer.string("padding", "valid") != "valid":
        raise layer.refuse("channels first, or padding", "use channels last, and pad in front of the layer")
    extents = [layer.extent(x, axis) for axis in range(1, rank + 1)]
    channels, filters = layer.extent(x, -1), layer.integer("filters")
    counts = [(e - k) // s + 1 for e, k, s in zip(extents, kernel, strides, strict=True)]
    places, taps = math.prod(counts), math.prod(kernel)
    if min(counts) < 1 or places * taps > MAX_PLACES:
        raise layer.invalid(f"{places} windows of {taps} elements in {x.type}")
    shapes: dict[str, tuple[int, ...] | None] = {"kernel": (places, taps * channels, filters)}
    if layer.flag("use_bias", True):
        shapes["bias"] = (*counts, filters)
    weight, *bias = layer.variables(shapes)
    grid = np.arange(math.prod(extents)).reshape(extents)
    index = np.stack(
        [
            grid[
                tuple(slice(t, t + (c - 1) * s + 1, s) for t, c, s in zip(tap, counts, strides, strict=True))
            ]
            for tap in itertools.product(*map(range, kernel))
        ],
        axis=-1,
    ).reshape(places, taps)
    batch = x.type.shape[0]
    flat = b(Reshape(shape=(batch, dims.product(tuple(extents)), channels)), x)
    windows = b(Reshape(shape=(batch, places, taps * channels)), b(Gather(axis=1), flat, index))
    by_place = b(MatMul(), b(Transpose(perm=(1, 0, 2)), windows), layer.weight("kernel", weight))
    y = b(Reshape(shape=(batch, *counts, filters)), b(Transpose(perm=(1, 0, 2)), by_place))
    return activate(layer, b(Add(), y, layer.weight("bias", bias[0])) if bias else y)
