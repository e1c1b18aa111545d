"""The TFLite rule for pooling that also says where the maxima are."""

from __future__ import annotations

from functools import reduce
from itertools import product

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.windows import Windows, lowest, pad_axes, take
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.ir import geometry
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import MaxPoolIndices
from mmconvert.ir.types import Array
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_WHAT = "the shape of what it pools with positions"


@rule(MaxPoolIndices)
def max_pool_indices(node: Node[MaxPoolIndices], out: Writer) -> None:
    """The elements of every window are compared one after the other, their positions beside them."""
    op, x = node.op, node.operand(0)
    values, indices = node.outputs
    shape, counts = known(x.type.shape, _WHAT), known(values.type.shape[2:], _WHAT)
    covered = geometry.dilated(op.kernel, op.dilations)
    windows = Windows(shape[2:], counts, covered, op.strides, op.padding)
    padded = pad_axes(out, x, ((0, 0), (0, 0), *windows.needed), lowest(x.type.dtype))
    before = known((pair[0] for pair in windows.needed), _WHAT)
    axes = range(2, len(shape))
    pairs: list[tuple[Value, Value]] = []
    for cell in product(*map(range, op.kernel)):
        starts = [c * d for c, d in zip(cell, op.dilations, strict=True)]
        candidate = take(out, padded, axes, starts, counts, op.strides)
        lines = [
            start - skipped + np.arange(count) * stride
            for start, skipped, count, stride in zip(starts, before, counts, op.strides, strict=True)
        ]
        pairs.append((candidate, out.constant(_positions(shape, lines, column_major=op.storage_order == 1))))
    best, place = _largest(pairs, indices, out)
    out.copy(best, values)
    out.cast_into(place, indices)


def _positions(shape: tuple[int, ...], lines: list[Array], *, column_major: bool) -> Array:
    """The position in the whole tensor, of which ``lines`` gives the part along each spatial axis."""
    spatial = range(len(lines))
    step, parts = 1, {}
    for axis in spatial if column_major else reversed(spatial):
        parts[axis] = lines[axis] * step
        step *= shape[2 + axis]
    inside: Array = reduce(np.add.outer, (parts[axis] for axis in spatial))
    planes = np.arange(shape[0] * shape[1]).reshape(shape[0], shape[1], *[1] * len(lines)) * step
    return (planes + inside).astype(np.int32)


def _largest(pairs: list[tuple[Value, Value]], like: Value, out: Writer) -> tuple[Value, Value]:
    best, place = pairs[0]
    for candidate, position in pairs[1:]:
        larger = out.make(tfl.GREATER, (candidate, best), like.type.with_dtype(dtypes.BOOL))
        best = out.make(tfl.SELECT_V2, (larger, candidate, best), candidate.type)
        place = out.make(tfl.SELECT_V2, (larger, position, place), like.type.with_dtype(dtypes.I32))
    return best, place
