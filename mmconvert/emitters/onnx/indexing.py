"""Operators that pick or set elements by position."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.onnx import flat
from mmconvert.emitters.onnx.extents import scalar
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_HOT = (dtypes.F32, dtypes.I64)
"""The element types of OneHot that runtimes have; every other is chosen by Where."""


@rule(ops.Gather)
def gather(node: Node[ops.Gather], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    out("Gather", x, _index(out, indices), into=node, axis=node.op.axis)


@rule(ops.GatherElements)
def gather_elements(node: Node[ops.GatherElements], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    if out.opset < 11:
        flat.gather_elements(node, _wide(out, indices), out)
    else:
        out("GatherElements", x, _index(out, indices), into=node, axis=node.op.axis)


@rule(ops.GatherND)
def gather_nd(node: Node[ops.GatherND], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    if out.opset < (12 if node.op.batch_dims else 11):
        flat.gather_nd(node, _wide(out, indices), out)
    else:
        out("GatherND", x, _wide(out, indices), into=node, batch_dims=node.op.batch_dims)


@rule(ops.ScatterElements)
def scatter_elements(node: Node[ops.ScatterElements], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    kind = "ScatterElements" if out.opset >= 11 else "Scatter"
    axis, reduction = node.op.axis, _reduction(node, out)
    out(kind, x, _index(out, indices), updates, into=node, axis=axis, reduction=reduction)


@rule(ops.ScatterND)
def scatter_nd(node: Node[ops.ScatterND], out: Writer) -> None:
    x, indices, updates = (node.operand(i) for i in range(3))
    reduction = _reduction(node, out)
    if out.opset < 11:
        flat.scatter_nd(node, _wide(out, indices), out)
    else:
        out("ScatterND", x, _wide(out, indices), updates, into=node, reduction=reduction)


def _reduction(node: Node[ops.ScatterElements] | Node[ops.ScatterND], out: Writer) -> str | None:
    reduction = node.op.reduction
    since = {"none": 1, "add": 16, "mul": 16, "max": 18, "min": 18}[reduction]
    out.require(out.opset >= since, f"ONNX has the reduction {reduction!r} since opset {since}")
    return None if reduction == "none" else reduction


@rule(ops.OneHot)
def one_hot(node: Node[ops.OneHot], out: Writer) -> None:
    op, indices, off, on = node.op, *(node.operand(i) for i in range(3))
    dtype, depth = off.type.dtype, scalar(out, op.depth)
    places = _wide(out, indices)
    if indices.type.rank == 0:
        places = out("Reshape", places, out.ints([1]))
    native, whole = dtype in _HOT, indices.type.rank > 0
    axis = op.axis if whole else 1
    values = _pair(out, off, on) if native else out.ints([0, 1])
    hot = out("OneHot", places, depth, values, into=node if native and whole else None, axis=axis)
    if not native:
        chosen = out("Cast", hot, to=element_type(dtypes.BOOL))
        hot = out("Where", chosen, on, off, into=node if whole else None)
    if not whole:
        out("Squeeze", hot, out.ints([0]), into=node)


def _pair(out: Writer, off: Value, on: Value) -> str:
    """The vector ``[off, on]``."""
    if off.constant is not None and on.constant is not None:
        both = [v.constant.numpy().reshape(()) for v in (off, on) if v.constant is not None]
        return out.constant(np.stack(both), off.type.dtype, "off_on")
    one = out.ints([1])
    return out("Concat", out("Reshape", off, one), out("Reshape", on, one), axis=0)


@rule(ops.Trilu, since=14)
def trilu(node: Node[ops.Trilu], out: Writer) -> None:
    out("Trilu", node.operand(0), out.integer(node.op.k), into=node, upper=node.op.upper)


@rule(ops.NonZero)
def non_zero(node: Node[ops.NonZero], out: Writer) -> None:
    out("NonZero", node.operand(0), into=node)


def _index(out: Writer, indices: Value) -> Operand:
    """``indices`` in one of the two types that ONNX takes."""
    return indices if indices.type.dtype == dtypes.I32 else _wide(out, indices)


def _wide(out: Writer, indices: Value) -> Operand:
    """``indices`` as int64."""
    if indices.type.dtype == dtypes.I64:
        return indices
    return out("Cast", indices, to=element_type(dtypes.I64))
