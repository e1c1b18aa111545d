"""MNN rules for operators that pick or place elements by position."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert import dtypes
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gather, GatherElements, GatherND, OneHot, ScatterElements, ScatterND
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
    return out.binary("FLOORMOD", indices, bound, Value(like, f"{out.scope}/positions"))


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
    op, x, indices = node.op, node.operand(0), node.operand(1)
    if op.batch_dims:
        raise UnsupportedError("MNN's GatherND has no batches")
    (depth,) = indices.type.shape[-1:]
    if not isinstance(depth, int):
        raise UnsupportedError("MNN needs to know how many axes are indexed")
    out("GatherND", (x, from_front(indices, x.type.shape[:depth], out)), node.output)


@rule(OneHot)
def one_hot(node: Node[OneHot], out: Writer) -> None:
    indices, off, on = (node.operand(i) for i in range(3))
    operands = (indices, out.extents.scalar(node.op.depth), on, off)
    out("OneHot", operands, node.output, axis=node.op.axis)


_REDUCTIONS = {"none": -1, "add": 0, "mul": 2, "min": 7, "max": 8}


@rule(ScatterElements)
def scatter_elements(node: Node[ScatterElements], out: Writer) -> None:
    op, x, updates = node.op, node.operand(0), node.operand(2)
    indices = from_front(node.operand(1), (x.type.shape[op.axis],), out)
    operands = (x, indices, updates, out.constant(op.axis, dtypes.I32))
    if op.reduction != "none":
        raise UnsupportedError(f"MNN scatters without the reduction {op.reduction}")
    out("ScatterElements", operands, node.output)


@rule(ScatterND)
def scatter_nd(node: Node[ScatterND], out: Writer) -> None:
    op, x, indices, updates = node.op, node.operand(0), node.operand(1), node.operand(2)
    if op.reduction != "none":
        raise UnsupportedError(f"MNN scatters without the reduction {op.reduction}")
    (depth,) = indices.type.shape[-1:]
    if not isinstance(depth, int):
        raise UnsupportedError("MNN needs to know how many axes are indexed")
    places = from_front(indices, x.type.shape[:depth], out)
    out("ScatterNd", (places, updates, out.extents.vector(x.type.shape), x), node.output)
