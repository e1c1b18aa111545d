"""MNN rules for reductions, and for what else goes along an axis."""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes, mnnlib
from mmconvert.emitters.mnn.schema import data_type
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    ArgMax,
    ArgMin,
    CumSum,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    TopK,
)
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_NAMES: dict[type[Op], str] = {
    ReduceAll: "MINIMUM",
    ReduceAny: "MAXIMUM",
    ReduceMax: "MAXIMUM",
    ReduceMean: "MEAN",
    ReduceMin: "MINIMUM",
    ReduceProd: "PROD",
    ReduceSum: "SUM",
}


@rule(*_NAMES)
def reduce(node: Node[ReduceSum], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if not op.axes:
        out.copy(x, node.output)
        return
    if (
        dtypes.is_integer(x.type.dtype)
        and x.type.dtype.itemsize < 4
        and not isinstance(op, ReduceMax | ReduceMin)
    ):
        raise UnsupportedError("MNN computes in i32, which does not wrap around as narrow integers do")
    if isinstance(op, ReduceMax | ReduceMean) and set(op.axes) == {2, 3} and out.is_packed(x):
        channels = Value(x.type.with_shape((*x.type.shape[:2], 1, 1)), f"{out.scope}/channels")
        whole = node.output if op.keepdims else channels
        out("Pooling", (x,), whole, packed=True, isGlobal=True, type=int(isinstance(op, ReduceMean)))
        if whole is channels:
            out.reshape_into(channels, node.output)
        return
    out(
        "Reduction",
        (x,),
        node.output,
        operation=mnnlib.REDUCTIONS[_NAMES[type(op)]],
        dim=list(op.axes),
        keepDims=op.keepdims,
        dType=data_type(x.type.dtype),
    )


@rule(ArgMax, ArgMin)
def arg(node: Node[ArgMax | ArgMin], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if op.select_last:
        raise UnsupportedError("MNN finds the first of equal elements")
    shape = tuple(e for a, e in enumerate(x.type.shape) if a != op.axis)
    if not dtypes.is_float(x.type.dtype):
        x = _best(node, out)
    flat = Value(y.type.with_shape(shape), f"{out.scope}/flat") if op.keepdims else y
    kind = "ArgMax" if x is not node.operand(0) else type(op).__name__
    out(kind, (x,), flat, axis=op.axis, topK=1)
    if op.keepdims:
        out.reshape_into(flat, y)


def _best(node: Node[ArgMax | ArgMin], out: Writer) -> Value:
    """1 where an element is the best of its row: the kernel takes integers for floats."""
    x, axis = node.operand(0), node.op.axis
    shape = tuple(1 if a == axis else e for a, e in enumerate(x.type.shape))
    name = "MAXIMUM" if isinstance(node.op, ArgMax) else "MINIMUM"
    kind: dict[str, Any] = {
        "operation": mnnlib.REDUCTIONS[name],
        "dim": [axis],
        "keepDims": True,
        "dType": mnnlib.INT32,
    }
    extreme = out.make("Reduction", (x,), x.type.with_shape(shape), **kind)
    equal = out.binary("EQUAL", x, extreme, Value(x.type.with_dtype(dtypes.BOOL), f"{out.scope}/equal"))
    return out.make("Cast", (equal,), x.type.with_dtype(dtypes.F32), srcT=mnnlib.INT32, dstT=mnnlib.FLOAT)


@rule(CumSum)
def cumsum(node: Node[CumSum], out: Writer) -> None:
    op = node.op
    axis = out.constant(op.axis, dtypes.I32)
    out("CumSum", (node.operand(0), axis), node.output, exclusive=op.exclusive, reverse=op.reverse)


@rule(TopK)
def topk(node: Node[TopK], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    operands = (x, out.extents.scalar(op.k), out.constant(op.axis, dtypes.I32))
    out("TopKV2", operands, node.outputs, T=data_type(x.type.dtype), sorted=True, largest=op.largest)
