"""NCNN rules for reductions, and for what is made of them."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.ncnn.blob import Blob
from mmconvert.emitters.ncnn.elementwise import ABS, MUL, NEG, SIGN, SUB, inverted, number_in
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape, TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("NCNN")

SUM, MAX = 0, 4
_KINDS: dict[type[Op], int] = {
    ops.ReduceSum: SUM,
    ops.ReduceSumSquare: 2,
    ops.ReduceMean: 3,
    ops.ReduceMax: MAX,
    ops.ReduceMin: 5,
    ops.ReduceProd: 6,
    ops.ReduceL1: 7,
    ops.ReduceL2: 8,
    ops.ReduceLogSum: 9,
}


@rule(*_KINDS)
def reduction(node: Node[Op], out: Writer) -> None:
    x, op = node.operand(0), node.op
    if not dtypes.is_float(x.type.dtype) and not isinstance(
        op, ops.ReduceSum | ops.ReduceMax | ops.ReduceMin
    ):
        raise UnsupportedError(f"NCNN has no {op.name} of {dtypes.name(x.type.dtype)}")
    axes = {a % x.type.rank for a in getattr(op, "axes")}  # noqa: B009 - every reduction has axes
    if isinstance(op, ops.ReduceMean | ops.ReduceMax) and _is_picture(x.type, axes):
        source, average = out.blob(x, x.type.shape[1:]), isinstance(op, ops.ReduceMean)
        made = out.layer("Pooling", (source,), source.shape[:1], pooling_type=int(average), global_pooling=1)
        out.place(node.output, made)
        return
    shape, reduced = _alternating(x.type.shape, axes)
    source = out.blob(x, shape)
    out.place(node.output, reduce(_KINDS[type(op)], source, reduced, out))


def _is_picture(type: TensorType, axes: set[int]) -> bool:
    """Whether one picture is reduced to a number for each channel, which Pooling does quicker."""
    return type.rank == 4 and type.shape[0] == 1 and axes == {2, 3} and type.dtype == dtypes.F32


def reduce(kind: int, source: Blob, axes: tuple[int, ...], out: Writer) -> Blob:
    """A reduction of a blob; the axes stay, with extent 1."""
    made = tuple(1 if a in axes else e for a, e in enumerate(source.shape))
    return out.layer(
        "Reduction", (source,), made, operation=kind, reduce_all=0, axes=axes, keepdims=1, fixbug0=1
    )


def _alternating(shape: Shape, axes: set[int]) -> tuple[Shape, tuple[int, ...]]:
    """``shape`` with neighbours that are both reduced, or both kept, as one axis; and which are reduced."""
    groups: list[tuple[bool, list[int]]] = []
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        if not groups or groups[-1][0] != (axis in axes):
            groups.append((axis in axes, []))
        groups[-1][1].append(axis)
    if not any(reduced for reduced, _ in groups):
        groups.append((True, []))
    if len(groups) > 4:
        raise UnsupportedError("NCNN has four axes, and this reduction needs more")
    merged = tuple(dims.product(tuple(shape[a] for a in group)) for _, group in groups)
    return merged, tuple(i for i, (reduced, _) in enumerate(groups) if reduced)


@rule(ops.ArgMax, ops.ArgMin)
def extremum(node: Node[ops.ArgMax] | Node[ops.ArgMin], out: Writer) -> None:
    """Where the extremum stands: the places are numbered, and all but those of the extremum count as 0."""
    op, value = node.op, node.operand(0)
    shape, axis = value.type.shape, node.op.axis % value.type.rank
    extent = shape[axis]
    if not isinstance(extent, int):
        raise UnsupportedError("NCNN needs to know the extent that is searched")
    x = out.blob(value, (dims.product(shape[:axis]), extent, dims.product(shape[axis + 1 :])))
    x = out.unary(NEG, x) if isinstance(op, ops.ArgMin) else x
    most = reduce(MAX, x, (1,), out)
    apart = out.unary(ABS, out.unary(SIGN, out.binary(SUB, x, most, x.shape)))
    places = np.arange(1, extent + 1) if op.select_last else np.arange(extent, 0, -1)
    numbered = out.binary(MUL, inverted(apart, out), out.numbers(places, (1, extent, 1)), x.shape)
    found = reduce(MAX, numbered, (1,), out)
    made = out.scalar(SUB, found, 1.0) if op.select_last else out.scalar(7, found, float(extent))
    out.place(node.output, made)


@rule(ops.OneHot)
def one_hot(node: Node[ops.OneHot], out: Writer) -> None:
    op, indices = node.op, node.operand(0)
    off, on = number_in(node.operand(1)), number_in(node.operand(2))
    axis = op.axis % node.output.type.rank
    shape = indices.type.shape
    if not isinstance(op.depth, int) or off is None or on is None:
        raise UnsupportedError("NCNN needs to know the depth and the values")
    before, after = dims.product(shape[:axis]), dims.product(shape[axis:])
    x = out.blob(indices, (before, 1, after))
    wide = (before, op.depth, after)
    hit: Blob | None = None
    for first in (0, -op.depth):  # negative ones count from the end
        places = out.numbers(np.arange(first, first + op.depth), (1, op.depth, 1))
        apart = out.unary(ABS, out.unary(SIGN, out.binary(SUB, x, places, wide)))
        found = inverted(apart, out)
        hit = found if hit is None else out.binary(0, hit, found, wide)
    assert hit is not None
    out.place(node.output, out.scalar(0, out.scalar(MUL, hit, on - off), off))


@rule(ops.CumSum)
def cum_sum(node: Node[ops.CumSum], out: Writer) -> None:
    op, value = node.op, node.operand(0)
    axis, shape = op.axis % value.type.rank, value.type.shape
    x = out.blob(value, (dims.product(shape[:axis]), shape[axis], dims.product(shape[axis + 1 :])))
    turned = out.layer("Flip", (x,), x.shape, axes=(1,)) if op.reverse else x
    total = out.layer("CumulativeSum", (turned,), x.shape, axis=1)
    if op.exclusive:
        total = out.binary(SUB, total, turned, x.shape)
    out.place(node.output, out.layer("Flip", (total,), x.shape, axes=(1,)) if op.reverse else total)
