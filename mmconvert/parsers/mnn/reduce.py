"""MNN rules for what goes along axes: reductions, normalization, products, recurrent layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.mnn.source import Source
from mmconvert.parsers.mnn.weights import floats
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")

_REDUCTIONS: dict[str, Callable[..., Op]] = {
    "SUM": ops.ReduceSum,
    "ASUM": ops.ReduceL1,
    "SUMSQ": ops.ReduceSumSquare,
    "MEAN": ops.ReduceMean,
    "MAXIMUM": ops.ReduceMax,
    "MINIMUM": ops.ReduceMin,
    "PROD": ops.ReduceProd,
    "ANY": ops.ReduceMax,
    "ALL": ops.ReduceMin,
}
_NAMES = {number: name for name, number in mnnlib.REDUCTIONS.items()}


@rule("Reduction")
def reduction(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    axes = n.integers_of(1, "axes") if n.has(1) else record.integers("dim")
    name = _NAMES.get(record.number("operation"), "")
    if name not in _REDUCTIONS:
        raise n.unsupported(f"the reduction {record.number('operation')}")
    found = tuple(sorted(x.type.axes(axes))) if axes else tuple(range(x.type.rank))
    return b(_REDUCTIONS[name](axes=found, keepdims=bool(record.number("keepDims"))), x)


@rule("Softmax")
def softmax(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.Softmax(axis=x.type.axis(n.parameters.number("axis") if n.main else -1)), x)


@rule("ArgMax", "ArgMin")
def arg(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    if record.number("topK") > 1 or record.number("outMaxVal"):
        raise n.unsupported("several positions, or the elements themselves")
    op = ops.ArgMax if n.kind == "ArgMax" else ops.ArgMin
    return b(op(axis=x.type.axis(record.number("axis")), keepdims=False, dtype=dtypes.I32), x)


@rule("TopKV2")
def topk(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.operand(0)
    axis = x.type.axis(n.whole(2, "an axis") if n.has(2) else -1)
    largest = bool(n.main.number("largest")) if n.main else True
    values, indices = b.multi(ops.TopK(k=n.extent(1, "a number"), axis=axis, largest=largest), x)
    return values, b(ops.Cast(to=dtypes.I32), indices)


@rule("CumSum")
def cumsum(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    flags = {name: bool(record.number(name)) for name in ("exclusive", "reverse")}
    return b(ops.CumSum(axis=x.type.axis(n.whole(1, "an axis")), **flags), x)


@rule("LayerNorm")
def layer_norm(n: Source, b: Builder) -> Value:
    record, x = n.parameters, n.operand(0)
    count = len(record.integers("axis"))
    if record.number("group") > 1 or record.integers("external") or not 0 < count <= x.type.rank:
        raise n.unsupported("groups, or weights in a file of their own")
    axes = tuple(range(x.type.rank - count, x.type.rank))
    shape = tuple(e for e in x.type.shape[-count:] if isinstance(e, int))
    gamma, beta = record.vector("gamma"), record.vector("beta")
    if gamma.size and len(shape) != count:
        raise n.unsupported("weights of unknown extents")
    scale = b.constant(floats(n, record, "gamma", shape)) if gamma.size else np.array(1, np.float32)
    plain = not beta.size or not beta.any()
    if record.number("useRMSNorm"):
        y = b(ops.RMSNorm(axes=axes, epsilon=record.real("epsilon")), x, scale)
        return y if plain else b(ops.Add(), y, b.constant(floats(n, record, "beta", shape)))
    offset = b.constant(floats(n, record, "beta", shape)) if beta.size else np.array(0, np.float32)
    return b(ops.LayerNorm(axes=axes, epsilon=record.real("epsilon")), x, scale, offset)


@rule("MatMul", "BatchMatMul")
def matmul(n: Source, b: Builder) -> Value:
    flags = ("transposeA", "transposeB") if n.kind == "MatMul" else ("adjX", "adjY")
    x, y = (
        _turned(b, n.operand(i)) if n.main and n.main.number(flag) else n.operand(i)
        for i, flag in enumerate(flags)
    )
    product = b(ops.MatMul(), x, y)
    return b(ops.Add(), product, n.operand(2)) if n.has(2) else product


def _turned(b: Builder, x: Value) -> Value:
    rank = x.type.rank
    return b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), x) if rank > 1 else x
