"""Gathers and scatters by way of flat positions, for opsets that do not have them.

The axes that are indexed become one, and each tuple of positions its place along that::

    y[i, j] = x[i, indices[i, j]]    ->    y = Gather(Reshape(x, [-1]), indices + i * columns)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.onnx.extents import extents, positions, reshaped
from mmconvert.emitters.onnx.writer import Operand, Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.types import Extent, Shape


def gather_elements(node: Node[ops.GatherElements], indices: Operand, out: Writer) -> None:
    """GatherElements as a Gather; ``indices`` are those of the node in int64."""
    x, wanted, axis = node.operand(0).type.shape, node.output.type.shape, node.op.axis
    place = out("Mul", _from_front(out, indices, (x[axis],)), extents(out, (_stride(x, axis),)))
    for other, extent in enumerate(wanted):
        if other != axis and extent != 1:
            place = out("Add", place, _along(out, extent, _stride(x, other), other, len(x)))
    out("Gather", out("Reshape", node.operand(0), out.ints([-1])), place, into=node, axis=0)


def gather_nd(node: Node[ops.GatherND], indices: Operand, out: Writer) -> None:
    """GatherND as a Gather; ``indices`` are those of the node in int64."""
    x, tuples, batch = node.operand(0), node.operand(1).type.shape, node.op.batch_dims
    length = dims.numbers(tuples[-1:])[0]
    place = _tuples(out, x, indices, len(tuples) - 1, batch, length)
    lead = x.type.shape[: batch + length]
    for axis in range(batch):
        place = out("Add", place, _along(out, lead[axis], _stride(lead, axis), axis, len(tuples) - 1))
    out("Gather", _rows(out, x, batch + length), place, into=node, axis=0)


def scatter_nd(node: Node[ops.ScatterND], indices: Operand, out: Writer) -> None:
    """ScatterND as a Scatter of whole rows; ``indices`` are those of the node in int64."""
    x, tuples, updates = node.operand(0), node.operand(1).type.shape, node.operand(2)
    length = dims.numbers(tuples[-1:])[0]
    rows = (dims.product(tuples[:-1]), dims.product(x.type.shape[length:]))
    whole = (dims.product(x.type.shape[:length]), rows[1])
    place = _tuples(out, x, indices, len(tuples) - 1, 0, length)
    place = out("Expand", out("Reshape", place, out.ints([-1, 1])), extents(out, rows))
    data = out("Reshape", x, reshaped(out, x.type.shape, whole))
    news = out("Reshape", updates, reshaped(out, updates.type.shape, rows))
    set_ = out("Scatter", data, place, news, axis=0)
    out("Reshape", set_, reshaped(out, whole, x.type.shape), into=node)


def reverse_sequence(node: Node[ops.ReverseSequence], lengths: Operand, out: Writer) -> None:
    """ReverseSequence as a Gather; ``lengths`` are those of the node in int64."""
    x, ends = node.operand(0), (node.op.batch_axis, node.op.time_axis)
    perm = (*ends, *(a for a in range(x.type.rank) if a not in ends))
    turned = tuple(x.type.shape[a] for a in perm)
    batch, time = turned[:2]
    steps = positions(out, 0, time, 1)
    last = out("Reshape", out("Sub", lengths, out.ints([1])), out.ints([-1, 1]))
    mirrored = out("Sub", last, steps)
    order = out("Where", out("Less", mirrored, out.integer(0)), steps, mirrored)
    place = out("Add", order, _along(out, batch, time, 0, 2))
    rows = (batch * time, *turned[2:])
    lines = out("Reshape", out("Transpose", x, perm=perm), reshaped(out, turned, rows))
    back = [perm.index(a) for a in range(len(perm))]
    out("Transpose", out("Gather", lines, place, axis=0), into=node, perm=back)


def _tuples(out: Writer, x: Value, indices: Operand, axis: int, batch: int, length: int) -> str:
    """The place of each tuple, the last axis of ``indices``, among the rows that follow the batch."""
    lead = x.type.shape[: batch + length]
    strides = extents(out, [_stride(lead, batch + i) for i in range(length)])
    places = out("Mul", _from_front(out, indices, lead[batch:]), strides)
    return out("ReduceSum", places, out.ints([axis]), keepdims=0)


def _rows(out: Writer, x: Value, count: int) -> str:
    """``x`` with its first axes as one."""
    rows = (dims.product(x.type.shape[:count]), *x.type.shape[count:])
    return out("Reshape", x, reshaped(out, x.type.shape, rows))


def _from_front(out: Writer, indices: Operand, shape: Shape) -> str:
    """Indices that count from the end, counted from the front."""
    is_negative = out("Less", indices, out.integer(0))
    return out("Where", is_negative, out("Add", indices, extents(out, shape)), indices)


def _along(out: Writer, extent: Extent, stride: Extent, axis: int, rank: int) -> str:
    """The multiples of ``stride`` along an axis of a tensor of ``rank`` axes."""
    shape: list[Any] = [-1 if a == axis else 1 for a in range(rank)]
    if isinstance(extent, int) and isinstance(stride, int):
        return out.constant((np.arange(extent) * stride).reshape(shape), dtypes.I64, "places")
    places = out("Mul", positions(out, 0, extent, 1), extents(out, (stride,)))
    return out("Reshape", places, out.ints(shape))


def _stride(shape: Shape, axis: int) -> Extent:
    return dims.product(shape[axis + 1 :])
