"""MNN rules for operators that pick or place elements by position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.emitters.mnn.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gather, GatherElements, GatherND, ReverseSequence, ScatterElements, ScatterND
from mmconvert.ir.types import Extent
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")


def from_front(indices: Value, extents: Sequence[Extent], out: Writer) -> Value:
    """Positions counted from the front: MNN's operators know no others.

    Args:
        indices: positions, the last axis of which goes over ``extents`` when there are several.
        extents: of the axes that are indexed.
        out: what is written to.
    """
    if indices.constant is not None:
        numbers = indices.constant.numpy()
        if not numbers.size or numbers.min() >= 0:
            return indices
    bound = out.extents.scalar(extents[0]) if len(extents) == 1 else out.extents.vector(extents)
    like = indices.type.with_dtype(dtypes.I32)
    return out.binary("MOD", indices, bound, Value(like, f"{out.scope}/positions"))


@rule(Gather)
def gather(node: Node[Gather], out: Writer) -> None:
    x, axis = node.operand(0), node.op.axis
    indices = from_front(node.operand(1), (x.type.shape[axis],), out)
    out("GatherV2", (x, indices, out.constant(axis, dtypes.I32)), node.output)


@rule(GatherElements)
def gather_elements(node: Node[GatherElements], out: Writer) -> None:
    x, axis = node.operand(0), node.op.axis
    indices = from_front(node.operand(1), (x.type.shape[axis],), out)
    out("GatherElements", (x, indices, out.constant(axis, dtypes.I32)), node.output)


@rule(GatherND)
def gather_nd(node: Node[GatherND], out: Writer) -> None:
    x, indices, batch = node.operand(0), node.operand(1), node.op.batch_dims
    (depth,) = known(indices.type.shape[-1:], "how many axes are indexed")
    places = from_front(indices, x.type.shape[batch : batch + depth], out)
    if batch:
        shape = known(indices.type.shape, "the shape of the indices of a batch")
        grid = np.moveaxis(np.indices(shape[:batch], np.int32), 0, -1)
        grid = grid.reshape(*shape[:batch], *(1,) * (len(shape) - batch - 1), batch)
        own = out.constant(np.broadcast_to(grid, (*shape[:-1], batch)))
        type = places.type.with_shape((*shape[:-1], batch + depth))
        places = out.make("Concat", (own, places), type, axis=len(shape) - 1)
    out("GatherND", (x, places), node.output)


@rule(ReverseSequence)
def reverse_sequence(node: Node[ReverseSequence], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if x.type.rank < 3 or (op.time_axis, op.batch_axis) != (0, 1):
        raise UnsupportedError("MNN reverses sequences with time before the batch, and an axis behind them")
    operands = (x, node.operand(1))
    out("ReverseSequence", operands, node.output, batchDim=op.batch_axis, seqDim=op.time_axis)


_REDUCTIONS = {"none": -1, "add": mnnlib.BINARY["ADD"], "mul": mnnlib.BINARY["MUL"]}


def _reduction(node: Node[ScatterElements] | Node[ScatterND]) -> int:
    name = node.op.reduction
    if name not in _REDUCTIONS:
        raise UnsupportedError(f"MNN scatters without the reduction {name}")
    return _REDUCTIONS[name]


@rule(ScatterElements)
def scatter_elements(node: Node[ScatterElements], out: Writer) -> None:
    op, x, updates = node.op, node.operand(0), node.operand(2)
    indices = from_front(node.operand(1), (x.type.shape[op.axis],), out)
    operands = (x, indices, updates, out.constant(op.axis, dtypes.I32))
    out("ScatterElements", operands, node.output, opType=_reduction(node))


@rule(ScatterND)
def scatter_nd(node: Node[ScatterND], out: Writer) -> None:
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    (depth,) = known(indices.type.shape[-1:], "how many axes are indexed")
    places = from_front(indices, x.type.shape[:depth], out)
    out(
        "ScatterNd",
        (places, updates, out.extents.vector(x.type.shape), x),
        node.output,
        opType=_reduction(node),
    )
