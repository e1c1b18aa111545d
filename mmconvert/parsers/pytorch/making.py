"""PyTorch rules that make tensors out of numbers, and that convert or copy them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.promotion import Operand
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


def _filled(n: Source, b: Builder, value: Any) -> Value:
    """The result's type, with one number everywhere."""
    type = n.result()
    if isinstance(value, Dim | Value):
        single = n.cast(value, type.dtype) if isinstance(value, Value) else n.scalar(value, type.dtype)
        return b(ops.Expand(shape=type.shape), single) if type.rank else single
    if not dtypes.is_float(type.dtype):
        value = bool(value) if type.dtype == dtypes.BOOL else int(value)
    elif isinstance(value, bool | int):
        value = float(value)
    if type.rank == 0:
        return b.constant(value, type.dtype)
    return b(ops.Fill(shape=type.shape, value=value, dtype=type.dtype))


_SHAPES = ("size", "dtype", "self", "names", "n", "m")


@rule(
    "aten.zeros.default",
    "aten.zeros_like.default",
    "aten.new_zeros.default",
    "aten.zero.default",
    "aten.empty.memory_format",
    "aten.empty_like.default",
    "aten.new_empty.default",
    "aten.empty_strided.default",
    "aten.new_empty_strided.default",
    "aten.empty_permuted.default",
)
def zeros(n: Source, b: Builder) -> Value:
    """What is said to be empty may hold anything, so zeros will do."""
    n.ignore(*_SHAPES, "stride", "physical_layout")
    return _filled(n, b, 0)


@rule("aten.ones.default", "aten.ones_like.default", "aten.new_ones.default")
def ones(n: Source, b: Builder) -> Value:
    n.ignore(*_SHAPES)
    return _filled(n, b, 1)


@rule("aten.full.default", "aten.full_like.default", "aten.new_full.default")
def full(n: Source, b: Builder) -> Value:
    n.ignore(*_SHAPES)
    return _filled(n, b, n.number("fill_value"))


@rule("aten.fill.Scalar", "aten.fill.Tensor")
def fill(n: Source, b: Builder) -> Value:
    n.ignore("self")
    value: Operand = n.value("value") if n.is_tensor("value") else n.number("value")
    return _filled(n, b, value)


@rule("aten.scalar_tensor.default")
def scalar_tensor(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    return n.scalar(n.number("s"), n.result().dtype)


@rule("aten.eye.default", "aten.eye.m")
def eye(n: Source, b: Builder) -> Value:
    n.ignore(*_SHAPES)
    type = n.result()
    rows, columns = type.shape
    if isinstance(rows, int) and isinstance(columns, int):
        return b.constant(np.eye(rows, columns), type.dtype)
    first, second = (_count(n, b, extent) for extent in (rows, columns))
    return b(ops.Cast(to=type.dtype), b(ops.Equal(), b(ops.Unsqueeze(axes=(1,)), first), second))


def _count(n: Source, b: Builder, extent: Any) -> Value:
    """``0, 1, 2, ...`` below an extent."""
    if isinstance(extent, int):
        return b.constant(np.arange(extent), dtypes.I64)
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    return b(ops.Range(size=extent), zero, n.scalar(extent, dtypes.I64), one)


@rule(
    "aten.arange.default",
    "aten.arange.start",
    "aten.arange.start_step",
    "aten.range.step",
    "aten.range.default",
)
def arange(n: Source, b: Builder) -> Value:
    n.ignore("dtype")
    type = n.result()
    start, step = n.number("start", 0), n.number("step", 1)
    n.ignore("end")
    (size,) = type.shape
    if isinstance(size, int) and not isinstance(start, Dim) and not isinstance(step, Dim):
        wide = np.int64 if isinstance(start, int) and isinstance(step, int) else np.float64
        return b.constant((np.asarray(start, wide) + np.arange(size).astype(wide) * wide(step)), type.dtype)
    first, delta = n.scalar(start, type.dtype), n.scalar(step, type.dtype)
    count = n.scalar(size, type.dtype)
    end = b(ops.Add(), first, b(ops.Mul(), count, delta))
    return b(ops.Range(size=size), first, end, delta)


@rule("aten.linspace.default", "aten.logspace.default")
def linspace(n: Source, b: Builder) -> Value:
    n.ignore("dtype", "steps")
    type, start, end = n.result(), n.real("start"), n.real("end")
    (count,) = type.shape
    if not isinstance(count, int):
        raise n.unsupported("with an unknown number of steps")
    places = np.linspace(start, end, count)
    if "logspace" in n.kind:
        places = n.real("base", 10.0) ** places
    return b.constant(places.astype(type.dtype))


# --- copies and conversions ------------------------------------------------------------------------------


@rule(
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.detach.default",
    "aten.detach_copy.default",
    "aten.alias.default",
    "aten.alias_copy.default",
    "aten.lift.default",
    "aten.lift_fresh.default",
    "aten.lift_fresh_copy.default",
    "aten.alpha_dropout.default",
    "aten.feature_dropout.default",
    "aten.feature_alpha_dropout.default",
    "aten.resolve_conj.default",
    "aten.resolve_neg.default",
    "aten.real.default",
    "aten.conj.default",
    "aten._conj.default",
    "aten.conj_physical.default",
    "aten.requires_grad.default",
)
def same(n: Source, b: Builder) -> Value:
    if "dropout" in n.kind:
        _drop_rate(n)
    return _same(n)


@rule("aten.dropout.default", "aten.native_dropout.default")
def dropout(n: Source, b: Builder) -> Value:
    x, rate = _same(n), _drop_rate(n)
    return b(ops.Dropout(rate=rate), x) if 0 < rate < 1 and dtypes.is_float(x.type.dtype) else x


def _same(n: Source) -> Value:
    return n.value("input" if n.given("input") else "self")


def _drop_rate(n: Source) -> float:
    """With which probability elements are dropped while the model is trained."""
    rate = n.real("p", 0.5)
    if n.flag("train") and rate > 0:
        raise n.unsupported("in training mode, which drops elements at random", hint="call eval() first")
    return rate


@rule(
    "aten.to.dtype",
    "aten.to.device",
    "aten.to.dtype_layout",
    "aten.to.other",
    "aten.to.prim_Device",
    "aten.to.prim_dtype",
    "aten._to_copy.default",
    "aten.type_as.default",
    "prims.convert_element_type.default",
)
def to(n: Source, b: Builder) -> Value:
    n.ignore("dtype", "copy", "other", "device")
    name = next(name for name, _ in n.node.arguments)
    return n.cast(n.value(name), n.result().dtype)


@rule("aten.copy.default")
def copy(n: Source, b: Builder) -> Value:
    source, type = n.cast(n.value("src"), n.result().dtype), n.result()
    n.ignore("self")
    return source if source.type.shape == type.shape else b(ops.Expand(shape=type.shape), source)


@rule("aten.item.default", "aten._local_scalar_dense.default")
def item(n: Source, b: Builder) -> None:
    """A number taken out of a tensor: an extent that the data decide."""
    x = n.value("self")
    (name,) = n.node.outputs
    extent = n.context.record.numbers.get(str(name))
    if not isinstance(extent, Dim) or extent.name is None:
        raise n.unsupported(
            "a number taken out of a tensor", hint="keep it a tensor, or export a fixed number"
        )
    flat = n.cast(x if not x.type.rank else b(ops.Reshape(shape=()), x), dtypes.I64)
    n.context.library.places[extent.name] = b(ops.ReadExtents(names=(extent,)), flat), -1


_NOTHING = (
    "aten._assert_scalar.default",
    "aten._assert_async.msg",
    "aten._assert_tensor_metadata.default",
    "aten.sym_constrain_range.default",
    "aten.sym_constrain_range_for_size.default",
    "aten.sym_size.int",
    "aten.sym_numel.default",
    "aten.sym_stride.int",
    "aten.sym_storage_offset.default",
    "aten.sym_is_contiguous.default",
    "aten._print.default",
)
_ARITHMETIC = [
    "add",
    "sub",
    "mul",
    "floordiv",
    "truediv",
    "mod",
    "pow",
    "neg",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "and_",
    "or_",
    "not_",
    "pos",
    "abs",
    "math.ceil",
    "math.floor",
    "math.trunc",
    "math.sqrt",
    "torch.sym_max",
    "torch.sym_min",
    "torch.sym_int",
    "torch.sym_float",
    "torch.sym_not",
    "torch.sym_ite",
    "torch._sym_sqrt",
    "math.sqrt",
]


@rule(*_NOTHING, *dict.fromkeys(_ARITHMETIC))
def nothing(n: Source, b: Builder) -> None:
    """Arithmetic on extents, of which torch noted what it comes to; and checks of it."""
    n.ignore(*(name for name, _ in n.node.arguments))
