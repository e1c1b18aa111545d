"""PyTorch rules for comparisons, logic and bits."""

from __future__ import annotations

import math
from collections.abc import Callable

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.pytorch.elementwise import resulting, together
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

_COMPARISONS: dict[str, Op] = {
    "eq": ops.Equal(),
    "ne": ops.NotEqual(),
    "lt": ops.Less(),
    "le": ops.LessEqual(),
    "gt": ops.Greater(),
    "ge": ops.GreaterEqual(),
    "not_equal": ops.NotEqual(),
    "less": ops.Less(),
    "less_equal": ops.LessEqual(),
    "greater": ops.Greater(),
    "greater_equal": ops.GreaterEqual(),
}


def _comparison(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        left, right = together(n, "self", "other")
        if left.type.dtype == dtypes.BOOL and not isinstance(op, ops.Equal | ops.NotEqual):
            left, right = n.cast(left, dtypes.I32), n.cast(right, dtypes.I32)
        return n.cast(b(op, left, right), n.result().dtype)

    return apply


for _name, _op in _COMPARISONS.items():
    rule(f"aten.{_name}.Tensor", f"aten.{_name}.Scalar")(_comparison(_op))

_LOGIC: dict[str, Op] = {"logical_and": ops.And(), "logical_or": ops.Or(), "logical_xor": ops.Xor()}


def _logical(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        return b(op, *(n.cast(n.value(name), dtypes.BOOL) for name in ("self", "other")))

    return apply


for _name, _op in _LOGIC.items():
    rule(f"aten.{_name}.default")(_logical(_op))

_BITS: dict[str, tuple[Op, Op]] = {
    "bitwise_and": (ops.BitwiseAnd(), ops.And()),
    "bitwise_or": (ops.BitwiseOr(), ops.Or()),
    "bitwise_xor": (ops.BitwiseXor(), ops.Xor()),
    "__and__": (ops.BitwiseAnd(), ops.And()),
    "__or__": (ops.BitwiseOr(), ops.Or()),
    "__xor__": (ops.BitwiseXor(), ops.Xor()),
}


def _bitwise(integers: Op, booleans: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        left, right = resulting(n, "self", "other")
        return b(booleans if left.type.dtype == dtypes.BOOL else integers, left, right)

    return apply


for _name, (_integers, _booleans) in _BITS.items():
    rule(*(f"aten.{_name}.{o}" for o in ("Tensor", "Scalar", "Scalar_Tensor")))(
        _bitwise(_integers, _booleans)
    )


@rule(
    "aten.bitwise_left_shift.Tensor",
    "aten.bitwise_left_shift.Tensor_Scalar",
    "aten.bitwise_right_shift.Tensor",
    "aten.bitwise_right_shift.Tensor_Scalar",
    "aten.__lshift__.Scalar",
    "aten.__rshift__.Scalar",
)
def shift(n: Source, b: Builder) -> Value:
    return b(ops.BitShift(left="left" in n.kind or "lshift" in n.kind), *resulting(n, "self", "other"))


@rule("aten.bitwise_not.default")
def bitwise_not(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return b(ops.Not() if x.type.dtype == dtypes.BOOL else ops.BitwiseNot(), x)


@rule("aten.logical_not.default")
def logical_not(n: Source, b: Builder) -> Value:
    return b(ops.Not(), n.cast(n.value("self"), dtypes.BOOL))


@rule("aten.isclose.default")
def isclose(n: Source, b: Builder) -> Value:
    """``|a - b| <= atol + rtol * |b|``, or equal."""
    left, right = together(n, "self", "other")
    rtol, atol, nan = n.real("rtol", 1e-5), n.real("atol", 1e-8), n.flag("equal_nan")
    if not dtypes.is_float(left.type.dtype):
        left, right = n.cast(left, dtypes.F64), n.cast(right, dtypes.F64)
    gap = b(ops.Abs(), b(ops.Sub(), left, right))
    room = b(ops.Add(), b(ops.Mul(), b(ops.Abs(), right), rtol), atol)
    near = b(ops.And(), b(ops.LessEqual(), gap, room), b(ops.Less(), gap, math.inf))
    found = b(ops.Or(), near, b(ops.Equal(), left, right))
    if not nan:
        return found
    return b(ops.Or(), found, b(ops.And(), b(ops.IsNan(), left), b(ops.IsNan(), right)))


@rule("aten.isnan.default")
def isnan(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return b(ops.IsNan(), x) if dtypes.is_float(x.type.dtype) else _everywhere(n, b, x, value=False)


@rule("aten.isinf.default", "aten.isposinf.default", "aten.isneginf.default")
def isinf(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if not dtypes.is_float(x.type.dtype):
        return _everywhere(n, b, x, value=False)
    op = ops.IsInf(detect_negative="pos" not in n.kind, detect_positive="neg" not in n.kind)
    return b(op, x)


@rule("aten.isfinite.default")
def isfinite(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if not dtypes.is_float(x.type.dtype):
        return _everywhere(n, b, x, value=True)
    return b(ops.Less(), b(ops.Abs(), x), n.scalar(math.inf, x.type.dtype))


def _everywhere(n: Source, b: Builder, x: Value, *, value: bool) -> Value:
    return b(ops.Fill(shape=x.type.shape, value=value, dtype=dtypes.BOOL))


@rule("aten.signbit.default")
def signbit(n: Source, b: Builder) -> Value:
    x = n.value("self")
    if x.type.dtype == dtypes.BOOL:
        return _everywhere(n, b, x, value=False)
    negative = b(ops.Less(), x, 0)
    if not dtypes.is_float(x.type.dtype):
        return negative
    below = b(ops.Less(), b(ops.Reciprocal(), x), 0.0)  # 1 / -0 is -inf
    return b(ops.Or(), negative, b(ops.And(), b(ops.Equal(), x, 0.0), below))
