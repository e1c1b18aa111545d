"""The TFLite rule for pooling that also says where the maxima are."""

from __future__ import annotations

from itertools import product

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.windows import Windows, lowest, pad_all
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.ir import geometry
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import MaxPoolIndices
from mmconvert.ir.types import Array
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(MaxPoolIndices)
def max_pool_indices(node: Node[MaxPoolIndices], out: Writer) -> None:
    """The elements of every window are compared one after the other, with their positions beside them."""
    op, x = node.op, node.operand(0)
    values, indices = node.outputs
    shape = known(x.type.shape, "the shape of what it pools with positions")
    covered = geometry.dilated(op.kernel, op.dilations)
    windows = Windows(shape[2:], values.type.shape[2:], covered, op.strides, op.padding)
    counts = known(windows.counts, "the shape of what it pools with positions")
    pads = tuple(known(pair, "padding") for pair in windows.needed)
    padded = pad_all(out, x, ((0, 0), (0, 0), *pads), lowest(x.type.dtype))
    best: Value | None = None
    found: Value | None = None
    where = indices.type.with_dtype(dtypes.I32)
    for cell in product(*map(range, op.kernel)):
        starts = [c * d for c, d in zip(cell, op.dilations, strict=True)]
        candidate = _every(padded, starts, counts, op.strides, values, out)
        places = [
            start - before + np.arange(count) * stride
            for start, (before, _), count, stride in zip(starts, pads, counts, op.strides, strict=True)
        ]
        position = out.constant(_positions(shape, places, column_major=bool(op.storage_order)))
        if best is None or found is None:
            best, found = candidate, out.make(
                tfl.BROADCAST_TO, (position, out.integers(known(where.shape, "the shape"))), where
            )
            continue
        larger = out.make(tfl.GREATER, (candidate, best), values.type.with_dtype(dtypes.BOOL))
        best = out.make(tfl.SELECT_V2, (larger, candidate, best), values.type)
        found = out.make(tfl.SELECT_V2, (larger, position, found), where)
    assert best is not None
    assert found is not None
    out.copy(best, values)
    out.cast_into(found, indices)
