"""PyTorch rules that rank elements."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


def _ranked(n: Source, b: Builder, k: Extent | None, *, largest: bool) -> tuple[Value, Value]:
    x = n.value("self")
    if not x.type.rank:
        n.ignore("dim")
        return x, b.constant(0, dtypes.I64)
    axis = x.type.axis(n.integer("dim", -1))
    op = ops.TopK(k=x.type.shape[axis] if k is None else k, axis=axis, largest=largest)
    if x.type.dtype != dtypes.BOOL:
        values, indices = b.multi(op, x)
        return values, indices
    values, indices = b.multi(op, b(ops.Cast(to=dtypes.I32), x))
    return b(ops.Cast(to=dtypes.BOOL), values), indices


@rule("aten.topk.default")
def topk(n: Source, b: Builder) -> tuple[Value, Value]:
    n.ignore("sorted")
    return _ranked(n, b, n.extent("k"), largest=n.flag("largest", default=True))


@rule("aten.msort.default")
def msort(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if not x.type.rank:
        return x
    return b.multi(ops.TopK(k=x.type.shape[0], axis=0, largest=False), x)[0]


@rule("aten.sort.default", "aten.sort.stable")
def sort(n: Source, b: Builder) -> tuple[Value, Value]:
    n.ignore("stable")
    return _ranked(n, b, None, largest=n.flag("descending"))


@rule("aten.argsort.default", "aten.argsort.stable")
def argsort(n: Source, b: Builder) -> Value:
    n.ignore("stable")
    return _ranked(n, b, None, largest=n.flag("descending"))[1]


@rule("aten.kthvalue.default")
def kthvalue(n: Source, b: Builder) -> tuple[Value, ...]:
    x, k = n.value("self"), n.integer("k")
    if not x.type.rank:
        n.ignore("dim", "keepdim")
        return x, b.constant(0, dtypes.I64)
    axis = x.type.axis(n.integer("dim", -1))
    keepdims = n.flag("keepdim")
    found = b.multi(ops.TopK(k=k, axis=axis, largest=False), x)
    return tuple(_picked(b, part, axis, k - 1, keepdims=keepdims) for part in found)


@rule("aten.median.default", "aten.median.dim")
def median(n: Source, b: Builder) -> tuple[Value, ...]:
    """The lower one of the two in the middle."""
    x = n.value("self")
    if not x.type.rank:
        n.ignore("dim", "keepdim")
        return x, b.constant(0, dtypes.I64)
    keepdims = n.flag("keepdim")
    if n.kind.endswith("default"):
        x, axis = b(ops.Reshape(shape=(x.type.size,)), x), 0
    else:
        axis = x.type.axis(n.integer("dim"))
    extent = x.type.shape[axis]
    if not isinstance(extent, int):
        raise n.unsupported("along an axis of unknown extent")
    k = (extent + 1) // 2
    found = b.multi(ops.TopK(k=k, axis=axis, largest=False), x)
    return tuple(_picked(b, part, axis, k - 1, keepdims=keepdims) for part in found)


def _picked(b: Builder, x: Value, axis: int, place: int, *, keepdims: bool) -> Value:
    part = b(ops.Slice(axes=(axis,), starts=(place,), sizes=(1,), steps=(1,)), x)
    return part if keepdims else b(ops.Squeeze(axes=(axis,)), part)


@rule("aten._unique2.default", "aten.unique_consecutive.default", "aten.unique_dim.default")
def unique(n: Source, b: Builder) -> tuple[Value, ...]:
    if "consecutive" in n.kind:
        raise n.unsupported("unique_consecutive")
    x = n.value("self")
    n.ignore("return_inverse", "return_counts", "sorted")
    axis = x.type.axis(n.integer("dim")) if n.given("dim") else None
    count = n.result().shape[axis or 0]
    whole = x if x.type.rank else b(ops.Reshape(shape=(1,)), x)
    values, _, which, counts = b.multi(ops.Unique(count=count, axis=axis), whole)
    shape = x.type.shape if axis is None else (x.type.shape[axis],)
    asked = [n.wants(i) and 0 not in n.result(i).shape for i in range(3)]
    found = values, b(ops.Reshape(shape=shape), which), counts
    nothing = b.constant(np.empty(0, np.int64))
    return tuple(v if wanted else nothing for v, wanted in zip(found, asked, strict=True))
