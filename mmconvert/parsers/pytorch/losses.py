"""PyTorch rules for distances, losses, and bags of embeddings."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.elementwise import resulting
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


def _all(x: Value) -> tuple[int, ...]:
    return tuple(range(x.type.rank))


def reduced(n: Source, b: Builder, x: Value) -> Value:
    """A loss as its argument ``reduction`` says: 0 as it is, 1 the mean, 2 the sum."""
    match n.integer("reduction", 1):
        case 0:
            return x
        case 1:
            return b(ops.ReduceMean(axes=_all(x), keepdims=False), x)
        case _:
            return b(ops.ReduceSum(axes=_all(x), keepdims=False), x)


@rule("aten.margin_ranking_loss.default")
def margin_ranking(n: Source, b: Builder) -> Value:
    first, second, target = resulting(n, "input1", "input2", "target")
    gap = b(ops.Mul(), b(ops.Neg(), target), b(ops.Sub(), first, second))
    return reduced(n, b, b(ops.Relu(), b(ops.Add(), gap, n.real("margin", 0.0))))


@rule("aten.hinge_embedding_loss.default")
def hinge_embedding(n: Source, b: Builder) -> Value:
    x, target = resulting(n, "self", "target")
    zero, margin = n.scalar(0.0, x.type.dtype), n.scalar(n.real("margin", 1.0), x.type.dtype)
    far = b(ops.Where(), b(ops.Equal(), target, 1.0), zero, b(ops.Relu(), b(ops.Sub(), margin, x)))
    near = b(ops.Where(), b(ops.Equal(), target, -1.0), zero, x)
    return reduced(n, b, b(ops.Add(), far, near))


@rule("aten.nll_loss.default", "aten.nll_loss_nd.default", "aten.nll_loss2d.default")
def nll_loss(n: Source, b: Builder) -> Value:
    return _nll(n, b)[0]


@rule("aten.nll_loss_forward.default", "aten.nll_loss2d_forward.default")
def nll_loss_forward(n: Source, b: Builder) -> tuple[Value, Value]:
    return _nll(n, b)


def _nll(n: Source, b: Builder) -> tuple[Value, Value]:
    """The loss, and the weight of all targets together."""
    x, target = n.value("self"), n.value("target")
    axis = 0 if x.type.rank == 1 else 1
    kept = b(ops.NotEqual(), target, n.integer("ignore_index", -100))
    place = b(ops.Where(), kept, target, n.scalar(0, target.type.dtype))
    found = b(ops.GatherElements(axis=axis), x, b(ops.Unsqueeze(axes=(axis,)), place))
    loss = b(ops.Neg(), b(ops.Squeeze(axes=(axis,)), found))
    weight, zero = n.optional("weight"), n.scalar(0.0, x.type.dtype)
    shares = n.scalar(1.0, x.type.dtype) if weight is None else b(ops.Gather(axis=0), weight, place)
    shares = b(ops.Where(), kept, shares, zero)
    loss = b(ops.Where(), kept, b(ops.Mul(), loss, shares), zero)
    whole = b(ops.ReduceSum(axes=_all(shares), keepdims=False), shares)
    reduction = n.integer("reduction", 1)
    if reduction == 0:
        return loss, whole
    total = b(ops.ReduceSum(axes=_all(loss), keepdims=False), loss)
    return (b(ops.Div(), total, whole) if reduction == 1 else total), whole


@rule("aten.cdist.default", "aten._cdist_forward.default", "aten._euclidean_dist.default")
def cdist(n: Source, b: Builder) -> Value:
    n.ignore("compute_mode")
    first, second = n.value("x1"), n.value("x2")
    order = n.real("p", 2.0)
    left = b(ops.Unsqueeze(axes=(first.type.rank - 1,)), first)
    right = b(ops.Unsqueeze(axes=(second.type.rank - 2,)), second)
    gap = b(ops.Abs(), b(ops.Sub(), left, right))
    axes = (gap.type.rank - 1,)
    if order == 2:
        return b(ops.ReduceL2(axes=axes, keepdims=False), gap)
    if math.isinf(order):
        return b(ops.ReduceMax(axes=axes, keepdims=False), gap)
    if order == 0:
        return b(
            ops.ReduceSum(axes=axes, keepdims=False), n.cast(b(ops.NotEqual(), gap, 0.0), gap.type.dtype)
        )
    total = b(ops.ReduceSum(axes=axes, keepdims=False), b(ops.Pow(), gap, order))
    return b(ops.Pow(), total, 1 / order)


@rule(
    "aten.embedding_bag.default", "aten.embedding_bag.padding_idx", "aten._embedding_bag_forward_only.default"
)
def embedding_bag(n: Source, b: Builder) -> tuple[Value | None, ...]:
    """Rows of a table, added up (0), averaged (1) or the largest taken (2) for each bag."""
    n.ignore("scale_grad_by_freq", "sparse")
    table, index, starts = n.value("weight"), n.value("indices"), n.value("offsets")
    if n.flag("include_last_offset"):
        count = n.result().shape[0]
        starts = b(ops.Slice(axes=(0,), starts=(0,), sizes=(count,), steps=(1,)), starts)
    size = index.type.size
    if not isinstance(size, int):
        raise n.unsupported("over an unknown number of indices")
    places = np.arange(size, dtype=np.int64)
    begun = b(ops.LessEqual(), n.cast(b(ops.Unsqueeze(axes=(1,)), starts), dtypes.I64), places)
    number = b(ops.ReduceSum(axes=(0,), keepdims=True), b(ops.Cast(to=dtypes.I64), begun))
    bag = np.arange(1, _bags(n) + 1).reshape(-1, 1)
    inside = b(ops.Equal(), number, bag)
    padding = n.integer("padding_idx", -1)
    if padding >= 0:
        inside = b(ops.And(), inside, b(ops.NotEqual(), index, padding))
    rows, mode = b(ops.Gather(axis=0), table, index), n.integer("mode", 0)
    weights = n.optional("per_sample_weights")
    if mode == 2:
        wide = b(ops.Unsqueeze(axes=(2,)), inside)
        most = b(ops.Where(), wide, rows, np.asarray(-math.inf, rows.type.dtype))
        best = b(ops.ReduceMax(axes=(1,), keepdims=False), most)
        return (
            b(ops.Where(), b(ops.Equal(), best, -math.inf), n.scalar(0.0, best.type.dtype), best),
            None,
            None,
            None,
        )
    shares = b(ops.Cast(to=rows.type.dtype), inside)
    counts = b(ops.ReduceSum(axes=(1,), keepdims=True), shares)
    if weights is not None:
        shares = b(ops.Mul(), shares, weights)
    total = b(ops.MatMul(), shares, rows)
    if mode == 1:
        total = b(ops.Div(), total, b(ops.Max(), counts, 1.0))
    return total, None, None, None


def _bags(n: Source) -> int:
    count = n.result().shape[0]
    if not isinstance(count, int):
        raise n.unsupported("over an unknown number of bags")
    return count
