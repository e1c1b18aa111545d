"""PyTorch rules for reductions, running sums, and positions of extremes."""

from __future__ import annotations

from typing import cast

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, sequence
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops.reduce import Reduce
from mmconvert.ir.ops.sorting import ArgExtremum
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")

_METHODS: dict[type[Op], str] = {
    ops.ReduceAll: "all",
    ops.ReduceAny: "any",
    ops.ReduceLogSumExp: "logsumexp",
    ops.ReduceMax: "amax",
    ops.ReduceMean: "mean",
    ops.ReduceMin: "amin",
    ops.ReduceSum: "sum",
}


@rule(*_METHODS)
def reduction(node: Node[Op], out: Writer) -> str:
    op, x = cast(Reduce, node.op), node.operand(0)
    whole = dtypes.is_integer(x.type.dtype)
    if not op.axes:
        out.require(not isinstance(op, ops.ReduceLogSumExp), "no axes")
        return out.read(x)
    out.require(not whole or not isinstance(op, ops.ReduceMean), "torch averages floats")
    # The sum of small integers is of 64 bits otherwise.
    dtype = out.dtype(x.type.dtype) if whole and isinstance(op, ops.ReduceSum) else None
    return call(f"{out.operand(x)}.{_METHODS[type(op)]}", dim=_dims(op.axes), keepdim=_keeps(op), dtype=dtype)


@rule(ops.ReduceProd)
def product(node: Node[ops.ReduceProd], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    text, dtype = out.operand(x), out.dtype(x.type.dtype) if dtypes.is_integer(x.type.dtype) else None
    for axis in sorted(op.axes, reverse=True):
        text = call(f"{text}.prod", dim=str(axis), keepdim=_keeps(op), dtype=dtype)
    return text


@rule(ops.ReduceL2)
def norm(node: Node[ops.ReduceL2], out: Writer) -> str:
    op = node.op
    out.require(bool(op.axes), "no axes")
    x = out.read(node.operand(0))
    return call("torch.linalg.vector_norm", x, dim=_dims(op.axes), keepdim=_keeps(op))


@rule(ops.CumSum, ops.CumProd)
def cumulative(node: Node[ops.CumSum | ops.CumProd], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    out.require(not op.exclusive, "torch's running sums contain the element itself")
    dtype = out.dtype(x.type.dtype) if dtypes.is_integer(x.type.dtype) else None
    flip = f".flip({op.axis})" if op.reverse else ""
    method = "cumsum" if isinstance(op, ops.CumSum) else "cumprod"
    return call(f"{out.operand(x)}{flip}.{method}", str(op.axis), dtype=dtype) + flip


@rule(ops.ArgMax, ops.ArgMin)
def extremum(node: Node[ops.ArgMax | ops.ArgMin], out: Writer) -> str:
    op: ArgExtremum = node.op
    out.require(not op.select_last, "torch takes the first of several")
    method = "argmax" if isinstance(op, ops.ArgMax) else "argmin"
    text = call(f"{out.operand(node.operand(0))}.{method}", dim=str(op.axis), keepdim=_keeps(op))
    return text if op.dtype == dtypes.I64 else f"{text}.to({out.dtype(op.dtype)})"


@rule(ops.TopK)
def top_k(node: Node[ops.TopK], out: Writer) -> tuple[str, str]:
    """By a stable sort: of equal elements torch's ``topk`` takes any."""
    op, x = node.op, out.read(node.operand(0))
    order = "True" if op.largest else None
    ordered = out.let("ordered", call("torch.sort", x, dim=str(op.axis), descending=order, stable="True"))
    cut = f"[{':, ' * op.axis}:{out.extent(op.k)}]"
    return f"{ordered}.values{cut}", f"{ordered}.indices{cut}"


def _dims(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else sequence([str(a) for a in axes])


def _keeps(op: Reduce | ArgExtremum) -> str | None:
    return "True" if op.keepdims else None
