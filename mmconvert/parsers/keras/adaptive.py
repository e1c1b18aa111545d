"""Pooling to a given number of windows, which may overlap."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import AveragePool, Concat, MaxPool, ReduceMax, Slice
from mmconvert.ir.ops.resize import along
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule(*(f"Adaptive{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)))
def adaptive_pooling(layer: KerasLayer, b: Builder) -> Value:
    counts = layer.sizes("output_size", layer.spatial_rank)
    return pooled(layer, b, layer.image(), counts, average=layer.kind.startswith("AdaptiveAverage"))


def pooled(layer: KerasLayer, b: Builder, x: Value, counts: tuple[int, ...], *, average: bool) -> Value:
    """Window ``i`` of ``n`` over an extent reaches from ``floor(i * extent / n)`` to the next one's ceiling.

    Along each axis on its own: averages of windows with equal weights, and maxima, can be taken in turn.
    """
    layout = layer.layout()
    axes = tuple(layout.spatial_axes(x.type.rank))
    extents = [layer.extent(x, axis) for axis in axes]
    if all(extent % count == 0 for extent, count in zip(extents, counts, strict=True)):
        kernel = tuple(extent // count for extent, count in zip(extents, counts, strict=True))
        op = (AveragePool if average else MaxPool)(
            kernel=kernel,
            strides=kernel,
            dilations=(1,) * len(axes),
            padding=Explicit.zero(len(axes)),
            layout=layout,
        )
        return b(op, x)
    for axis, extent, count in zip(axes, extents, counts, strict=True):
        windows = [(i * extent // count, -(-(i + 1) * extent // count)) for i in range(count)]
        if average:
            matrix = np.zeros((count, extent), x.type.dtype)
            for row, (start, stop) in zip(matrix, windows, strict=True):
                row[start:stop] = 1 / (stop - start)
            x = along(b, x, axis, matrix)
        else:
            x = b(Concat(axis=axis), *(_greatest(b, x, axis, start, stop) for start, stop in windows))
    return x


def _greatest(b: Builder, x: Value, axis: int, start: int, stop: int) -> Value:
    part = b(Slice(axes=(axis,), starts=(start,), sizes=(stop - start,), steps=(1,)), x)
    return b(ReduceMax(axes=(axis,), keepdims=True), part)
