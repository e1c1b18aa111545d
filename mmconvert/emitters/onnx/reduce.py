"""Reductions, and what else looks at a whole axis."""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.onnx.extents import extents
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

Reduce = (
    ops.ReduceSum
    | ops.ReduceMean
    | ops.ReduceMax
    | ops.ReduceMin
    | ops.ReduceProd
    | ops.ReduceL1
    | ops.ReduceL2
    | ops.ReduceLogSum
    | ops.ReduceLogSumExp
    | ops.ReduceSumSquare
)

_GLOBAL = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}


@rule(
    ops.ReduceSum,
    ops.ReduceMean,
    ops.ReduceMax,
    ops.ReduceMin,
    ops.ReduceProd,
    ops.ReduceL1,
    ops.ReduceL2,
    ops.ReduceLogSum,
    ops.ReduceLogSumExp,
    ops.ReduceSumSquare,
)
def reduce(node: Node[Reduce], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if op.name in _GLOBAL and _is_global(node):
        out(_GLOBAL[op.name], x, into=node)
    elif op.axes:
        out(op.name, x, out.ints(op.axes), into=node, keepdims=op.keepdims)
    else:
        # No axes would mean all of them: what is reduced is a new one, of a single element.
        rank = x.type.rank
        out(op.name, out("Unsqueeze", x, out.ints([rank])), out.ints([rank]), into=node, keepdims=False)


@rule(ops.ReduceAny, ops.ReduceAll)
def reduce_bool(node: Node[ops.ReduceAny] | Node[ops.ReduceAll], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if not op.axes:
        out("Identity", x, into=node)
        return
    kind = "ReduceMax" if isinstance(op, ops.ReduceAny) else "ReduceMin"
    number = out("Cast", x, to=element_type(dtypes.I32))
    found = out(kind, number, out.ints(op.axes), keepdims=op.keepdims)
    out("Cast", found, into=node, to=element_type(dtypes.BOOL))


@rule(ops.ArgMax, ops.ArgMin)
def arg(node: Node[ops.ArgMax] | Node[ops.ArgMin], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    attributes: dict[str, Any] = {
        "axis": op.axis,
        "keepdims": op.keepdims,
        "select_last_index": op.select_last,
    }
    if op.dtype == dtypes.I64:
        out(op.name, x, into=node, **attributes)
        return
    out("Cast", out(op.name, x, **attributes), into=node, to=element_type(op.dtype))


@rule(ops.TopK)
def top_k(node: Node[ops.TopK], out: Writer) -> None:
    op = node.op
    k = extents(out, (op.k,))
    out("TopK", node.operand(0), k, into=node, axis=op.axis, largest=op.largest, sorted=op.sorted)


@rule(ops.CumSum)
def cum_sum(node: Node[ops.CumSum], out: Writer) -> None:
    _cumulate("CumSum", node, out)


@rule(ops.CumProd, since=26)
def cum_prod(node: Node[ops.CumProd], out: Writer) -> None:
    _cumulate("CumProd", node, out)


def _cumulate(kind: str, node: Node[ops.CumSum] | Node[ops.CumProd], out: Writer) -> None:
    axis = out.integer(node.op.axis)
    out(kind, node.operand(0), axis, into=node, exclusive=node.op.exclusive, reverse=node.op.reverse)


def _is_global(node: Node[Reduce]) -> bool:
    """True for a global pooling: all spatial axes, of which runtimes pool up to three, and they stay."""
    x = node.operand(0).type
    spatial = tuple(range(2, x.rank))
    return (
        1 <= len(spatial) <= 3
        and node.op.keepdims
        and tuple(sorted(node.op.axes)) == spatial
        and dtypes.is_float(x.dtype)
    )
