"""ONNX rules for values that come from nowhere: constants, ranges and masks; and Dropout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value, is_op
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("Constant")
def constant(n: Source, b: Builder) -> Value:
    tensor = n.tensor("value")
    if tensor is not None:
        return b.constant(tensor)
    data: Any
    if n.given("value_float") or n.given("value_floats"):
        data = n.real("value_float") if n.given("value_float") else n.reals("value_floats")
        return b.constant(np.array(data, np.float32))
    if n.given("value_int") or n.given("value_ints"):
        data = n.integer("value_int") if n.given("value_int") else n.integers("value_ints")
        return b.constant(np.array(data, np.int64))
    if n.given("sparse_value"):
        return b.constant(n.sparse_tensor("sparse_value"))
    for name, what in {
        "value_string": "a string",
        "value_strings": "strings",
    }.items():
        if n.given(name):
            n.ignore(name)
            raise n.unsupported(f"of {what}")
    raise n.invalid("it has no value")


@rule("ConstantOfShape")
def constant_of_shape(n: Source, b: Builder) -> Value:
    wanted, value, dtype = n.extents(0, "a shape"), n.tensor("value"), dtypes.F32
    if any(isinstance(extent, int) and extent < 0 for extent in wanted):
        raise n.invalid(f"an extent is negative: {list(wanted)}")
    number: bool | int | float = 0.0
    if value is not None:
        if value.size != 1 or value.dtype.kind == "c":
            raise n.invalid(f"its value must be one number, not {list(value.shape)}")
        dtype, number = value.dtype, _number(value.numpy(), value.dtype)
    return b(ops.Fill(shape=wanted, value=number, dtype=dtype))


def _number(array: Any, dtype: DType) -> bool | int | float:
    element = array.reshape(-1)[0]
    if dtype == dtypes.BOOL:
        return bool(element)
    return int(element) if dtypes.is_integer(dtype) else float(element)


@rule("Range")
def range_(n: Source, b: Builder) -> Value:
    n.ignore("stash_type")  # the precision of the running sum; we multiply instead
    bounds = [_scalar(n, b, index) for index in range(3)]
    return b(ops.Range(size=_count(n)), *bounds)


def _scalar(n: Source, b: Builder, index: int) -> Value:
    """Operand ``index`` as a scalar; some exporters give it one axis."""
    x = n.operand(index)
    return x if x.type.rank == 0 else b(ops.Reshape(shape=()), x)


def _count(n: Source) -> Extent:
    if dtypes.is_float(n.operand(0).type.dtype):
        if (count := _whole_count(n)) is not None:
            return count
        start, limit, delta = (float(n.scalar(i, "a bound")) for i in range(3))
        steps = (limit - start) / delta if delta else math.nan
        if not math.isfinite(steps):
            raise n.invalid(f"there is no range from {start} to {limit} by {delta}")
        return max(math.ceil(steps), 0)
    first, last, step = n.extent(0, "a bound"), n.extent(1, "a bound"), n.whole(2, "a step")
    if step == 0:
        raise n.invalid("its step is 0")
    return _steps(first, last, step)


def _steps(first: Extent, last: Extent, step: int) -> Extent:
    span = last - first if step > 0 else first - last
    count = dims.ceildiv(span, abs(step))
    return max(count, 0) if isinstance(count, int) else count


def _whole_count(n: Source) -> Extent | None:
    """The count between bounds in floats that are extents; None when they are something else."""
    first, last, step = (_whole_extent(n, index) for index in range(3))
    if first is None or last is None or not isinstance(step, int) or step == 0:
        return None
    return _steps(first, last, step)


def _whole_extent(n: Source, index: int) -> Extent | None:
    """Operand ``index`` when it is a whole number, or an extent that was cast to floats."""
    value, known = n.operand(index), n.known(index)
    if known is not None:
        number = float(known.reshape(-1)[0]) if known.size == 1 else math.nan
        return int(number) if number.is_integer() else None
    producer = value.producer
    extents = producer.operand(0).extents if is_op(producer, ops.Cast) else None
    return extents[0] if extents is not None and len(extents) == 1 else None


@rule("OneHot")
def one_hot(n: Source, b: Builder) -> Value:
    indices, values = n.operand(0), n.operand(2)
    depth = n.extent(1, "a depth") if dtypes.is_integer(n.operand(1).type.dtype) else n.whole(1, "a depth")
    if not dtypes.is_integer(indices.type.dtype):
        indices = cast(b, indices, dtypes.I64)
    axis = indices.type.with_shape((*indices.type.shape, 1)).axis(n.integer("axis", -1))
    off, on = (b(ops.Gather(axis=0), values, np.array(i, np.int64)) for i in (0, 1))
    return b(ops.OneHot(depth=depth, axis=axis), indices, off, on)


@rule("EyeLike")
def eye_like(n: Source, b: Builder) -> Value:
    x, k = n.operand(0), n.integer("k", 0)
    dtype = n.dtype("dtype", x.type.dtype)
    ones = b(ops.Fill(shape=x.type.require_rank(2).shape, value=1, dtype=dtype))
    return b(ops.Trilu(k=k, upper=False), b(ops.Trilu(k=k, upper=True), ones))


@rule("Trilu")
def trilu(n: Source, b: Builder) -> Value:
    k = n.whole(1, "a diagonal") if n.has(1) else 0
    return b(ops.Trilu(k=k, upper=n.flag("upper", True)), n.operand(0))


@rule("NonZero")
def non_zero(n: Source, b: Builder) -> Value:
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    return b(ops.NonZero(count=count), n.operand(0))


@rule("Dropout", since=7)
def dropout(n: Source, b: Builder) -> tuple[Value, ...]:
    """Nothing is dropped outside of training; the mask then keeps everything."""
    x = n.operand(0)
    rate = n.real("ratio", 0.5)
    n.ignore("seed")
    if n.has(1):
        given = n.operand(1)
        rate = float(n.scalar(1, "ratio")) if given.constant is not None else 0.5
    if n.has(2) and bool(n.scalar(2, "training_mode")):
        raise n.unsupported("in training mode", hint="export the model for inference")
    return kept(n, b, dtypes.BOOL if n.version >= 10 else x.type.dtype, rate)


def kept(n: Source, b: Builder, mask: DType, rate: float) -> tuple[Value, ...]:
    """All elements of the operand, and the mask that says so."""
    x = n.operand(0)
    same = b(ops.Dropout(rate=rate) if 0 < rate < 1 else ops.Identity(), x)
    if not n.wants(1):
        return (same,)
    one: bool | float = True if mask == dtypes.BOOL else 1.0
    return same, b(ops.Fill(shape=x.type.shape, value=one, dtype=mask))
