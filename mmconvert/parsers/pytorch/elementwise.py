"""PyTorch rules for arithmetic, comparisons and logic, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.pytorch.promotion import Operand, common
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


def operand(n: Source, name: str) -> Operand:
    """An argument that is a tensor or a number."""
    found: Operand = n.value(name) if n.is_tensor(name) else n.number(name)
    return found


def as_value(n: Source, x: Operand, dtype: DType) -> Value:
    """An operand as a value of this element type."""
    return n.cast(x, dtype) if isinstance(x, Value) else n.scalar(x, dtype)


def together(n: Source, *names: str) -> list[Value]:
    """Arguments brought to the element type that torch computes them in."""
    found = [operand(n, name) for name in names]
    dtype = common(found)
    return [as_value(n, x, dtype) for x in found]


def resulting(n: Source, *names: str) -> list[Value]:
    """Arguments brought to the element type of the result."""
    dtype = n.result().dtype
    return [as_value(n, operand(n, name), dtype) for name in names]


# --- functions of one tensor -----------------------------------------------------------------------------

_FLOATING: dict[str, Op] = {
    "exp": ops.Exp(),
    "log": ops.Log(),
    "sqrt": ops.Sqrt(),
    "rsqrt": ops.Rsqrt(),
    "reciprocal": ops.Reciprocal(),
    "sin": ops.Sin(),
    "cos": ops.Cos(),
    "tan": ops.Tan(),
    "asin": ops.Asin(),
    "acos": ops.Acos(),
    "atan": ops.Atan(),
    "sinh": ops.Sinh(),
    "cosh": ops.Cosh(),
    "tanh": ops.Tanh(),
    "asinh": ops.Asinh(),
    "acosh": ops.Acosh(),
    "atanh": ops.Atanh(),
    "arcsin": ops.Asin(),
    "arccos": ops.Acos(),
    "arctan": ops.Atan(),
    "arcsinh": ops.Asinh(),
    "arccosh": ops.Acosh(),
    "arctanh": ops.Atanh(),
    "erf": ops.Erf(),
    "special_erf": ops.Erf(),
    "log1p": ops.Log1p(),
    "special_log1p": ops.Log1p(),
    "expm1": ops.Expm1(),
    "special_expm1": ops.Expm1(),
    "sigmoid": ops.Sigmoid(),
    "special_expit": ops.Sigmoid(),
}
"""Functions whose result is floating point whatever goes in."""


def _floating(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        return b(op, n.cast(n.value("self"), n.result().dtype))

    return apply


for _name, _op in _FLOATING.items():
    rule(f"aten.{_name}.default")(_floating(_op))

_WHOLE: dict[str, Op] = {
    "floor": ops.Floor(),
    "ceil": ops.Ceil(),
    "trunc": ops.Trunc(),
    "fix": ops.Trunc(),
    "round": ops.Round(),
}


def _rounding(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        x = n.value("self")
        return b(op, x) if dtypes.is_float(x.type.dtype) else x

    return apply


for _name, _op in _WHOLE.items():
    rule(f"aten.{_name}.default")(_rounding(_op))


@rule("aten.round.decimals")
def round_decimals(n: Source, b: Builder) -> Value:
    x, digits = n.value("self"), n.integer("decimals", 0)
    if not dtypes.is_float(x.type.dtype) or digits == 0:
        return b(ops.Round(), x) if dtypes.is_float(x.type.dtype) else x
    factor = float(10 ** abs(digits))
    first, last = (ops.Mul(), ops.Div()) if digits > 0 else (ops.Div(), ops.Mul())
    return b(last, b(ops.Round(), b(first, x, factor)), factor)


@rule("aten.abs.default", "aten.absolute.default")
def absolute(n: Source, b: Builder) -> Value:
    return b(ops.Abs(), n.value("self"))


@rule("aten.neg.default", "aten.negative.default")
def negative(n: Source, b: Builder) -> Value:
    return b(ops.Neg(), n.value("self"))


@rule("aten.positive.default")
def positive(n: Source, b: Builder) -> Value:
    return n.value("self")


@rule("aten.sign.default", "aten.sgn.default")
def sign(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return x if x.type.dtype == dtypes.BOOL else b(ops.Sign(), x)


@rule("aten.square.default")
def square(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Mul(), x, x)


@rule("aten.frac.default")
def frac(n: Source, b: Builder) -> Value:
    x = n.value("self")
    return b(ops.Sub(), x, b(ops.Trunc(), x))


@rule("aten.exp2.default", "aten.special_exp2.default")
def exp2(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Pow(), n.scalar(2.0, x.type.dtype), x)


@rule("aten.log2.default")
def log2(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Mul(), b(ops.Log(), x), 1 / math.log(2))


@rule("aten.log10.default")
def log10(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Mul(), b(ops.Log(), x), 1 / math.log(10))


@rule("aten.erfc.default", "aten.special_erfc.default")
def erfc(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Sub(), n.scalar(1.0, x.type.dtype), b(ops.Erf(), x))


@rule("aten.deg2rad.default", "aten.rad2deg.default")
def degrees(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return b(ops.Mul(), x, math.pi / 180 if "deg2rad" in n.kind else 180 / math.pi)


@rule("aten.logit.default", "aten.special_logit.default")
def logit(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    if n.given("eps"):
        eps = n.real("eps")
        x = b(ops.Clip(low=eps, high=1 - eps), x)
    return b(ops.Log(), b(ops.Div(), x, b(ops.Sub(), n.scalar(1.0, x.type.dtype), x)))


@rule("aten.sinc.default", "aten.special_sinc.default")
def sinc(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    one = n.scalar(1.0, x.type.dtype)
    at_zero = b(ops.Equal(), x, 0.0)
    angle = b(ops.Mul(), b(ops.Where(), at_zero, one, x), math.pi)
    return b(ops.Where(), at_zero, one, b(ops.Div(), b(ops.Sin(), angle), angle))


@rule("aten.nan_to_num.default")
def nan_to_num(n: Source, b: Builder) -> Value:
    x = n.value("self")
    dtype = x.type.dtype
    if not dtypes.is_float(dtype):
        n.ignore("nan", "posinf", "neginf")
        return x
    limits = np.finfo(dtype) if dtype.kind == "f" else None
    largest = float(limits.max) if limits is not None else 3.3895313892515355e38
    high, low = n.real("posinf", largest), n.real("neginf", -largest)
    y = b(ops.Where(), b(ops.IsNan(), x), n.scalar(n.real("nan", 0.0), dtype), x)
    y = b(ops.Where(), b(ops.Equal(), x, math.inf), n.scalar(high, dtype), y)
    return b(ops.Where(), b(ops.Equal(), x, -math.inf), n.scalar(low, dtype), y)


# --- functions of two ------------------------------------------------------------------------------------


@rule("aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def add(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    alpha = n.number("alpha", 1)
    if left.type.dtype == dtypes.BOOL:
        return b(ops.Or(), left, right)
    if alpha != 1:
        right = b(ops.Mul(), right, n.scalar(alpha, right.type.dtype))
    return b(ops.Sub() if ".sub" in n.kind else ops.Add(), left, right)


@rule("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    alpha = n.number("alpha", 1)
    if alpha != 1:
        left = b(ops.Mul(), left, n.scalar(alpha, left.type.dtype))
    return b(ops.Sub(), right, left)


@rule("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def mul(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    return b(ops.And() if left.type.dtype == dtypes.BOOL else ops.Mul(), left, right)


@rule("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def div(n: Source, b: Builder) -> Value:
    return b(ops.Div(), *resulting(n, "self", "other"))


@rule("aten.div.Tensor_mode", "aten.div.Scalar_mode", "aten.divide.Tensor_mode")
def div_mode(n: Source, b: Builder) -> Value:
    mode = n.text("rounding_mode")
    left, right = resulting(n, "self", "other")
    if mode == "floor":
        return b(ops.FloorDiv(), left, right)
    quotient = b(ops.Div(), left, right)
    truncates = mode == "trunc" and dtypes.is_float(quotient.type.dtype)
    return b(ops.Trunc(), quotient) if truncates else quotient


_BINARY: dict[str, Op] = {
    "floor_divide": ops.FloorDiv(),
    "remainder": ops.Mod(),
    "fmod": ops.Fmod(),
    "maximum": ops.Max(),
    "minimum": ops.Min(),
    "atan2": ops.Atan2(),
    "arctan2": ops.Atan2(),
}
_OVERLOADS = ("default", "Tensor", "Scalar", "Scalar_Tensor", "Tensor_Scalar", "Tensor_Tensor", "other")


def _binary(op: Op) -> Callable[[Source, Builder], Value]:
    def apply(n: Source, b: Builder) -> Value:
        left, right = resulting(n, "self", "other")
        if left.type.dtype == dtypes.BOOL:
            return b(ops.Or() if isinstance(op, ops.Max) else ops.And(), left, right)
        return b(op, left, right)

    return apply


rule("aten.max.other")(_binary(ops.Max()))
rule("aten.min.other")(_binary(ops.Min()))
for _name, _op in _BINARY.items():
    rule(*(f"aten.{_name}.{overload}" for overload in _OVERLOADS))(_binary(_op))


@rule("aten.fmax.default", "aten.fmin.default")
def fmax(n: Source, b: Builder) -> Value:
    """The larger one, and where one is not a number the other."""
    left, right = resulting(n, "self", "other")
    best = b(ops.Max() if "fmax" in n.kind else ops.Min(), left, right)
    if not dtypes.is_float(left.type.dtype):
        return best
    best = b(ops.Where(), b(ops.IsNan(), left), right, best)
    return b(ops.Where(), b(ops.IsNan(), right), left, best)


@rule("aten.pow.Tensor_Tensor", "aten.pow.Tensor_Scalar", "aten.pow.Scalar", "aten.float_power.Tensor_Tensor")
def power(n: Source, b: Builder) -> Value:
    exponent = operand(n, "exponent")
    left, right = resulting(n, "self", "exponent")
    if exponent == 1 and not isinstance(exponent, Value):
        return left
    if exponent == 0.5 and not isinstance(exponent, Value):
        return b(ops.Sqrt(), left)
    return b(ops.Pow(), left, right)


@rule("aten.hypot.default")
def hypot(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    return b(ops.Sqrt(), b(ops.Add(), b(ops.Mul(), left, left), b(ops.Mul(), right, right)))


@rule("aten.copysign.Tensor", "aten.copysign.Scalar")
def copysign(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    magnitude = b(ops.Abs(), left)
    below = b(ops.Or(), b(ops.Less(), right, 0.0), b(ops.Equal(), b(ops.Reciprocal(), right), -math.inf))
    return b(ops.Where(), below, b(ops.Neg(), magnitude), magnitude)


@rule("aten.heaviside.default")
def heaviside(n: Source, b: Builder) -> Value:
    x, at_zero = resulting(n, "self", "values")
    step = b(ops.Cast(to=x.type.dtype), b(ops.Greater(), x, 0))
    return b(ops.Where(), b(ops.Equal(), x, 0), at_zero, step)


@rule(
    "aten.xlogy.Tensor",
    "aten.xlogy.Scalar_Self",
    "aten.xlogy.Scalar_Other",
    "aten.special_xlog1py.default",
    "aten.special_xlogy.default",
)
def xlogy(n: Source, b: Builder) -> Value:
    x, y = resulting(n, "self", "other")
    product = b(ops.Mul(), x, b(ops.Log1p() if "xlog1py" in n.kind else ops.Log(), y))
    zero = n.scalar(0.0, x.type.dtype)
    return b(ops.Where(), b(ops.And(), b(ops.Equal(), x, 0.0), b(ops.Equal(), y, y)), zero, product)


@rule("aten.logaddexp.default", "aten.logaddexp2.default")
def logaddexp(n: Source, b: Builder) -> Value:
    left, right = resulting(n, "self", "other")
    base = math.log(2) if "exp2" in n.kind else 1.0
    best = b(ops.Max(), left, right)
    gap = b(ops.Abs(), b(ops.Sub(), left, right))
    tail = b(ops.Log1p(), b(ops.Exp(), b(ops.Mul(), gap, -base)))
    total = b(ops.Add(), best, b(ops.Mul(), tail, 1 / base))
    return b(ops.Where(), b(ops.Equal(), left, right), b(ops.Add(), left, math.log(2) / base), total)


@rule("aten.angle.default")
def angle(n: Source, b: Builder) -> Value:
    """Of a real number: 0, or pi below 0."""
    (x,) = resulting(n, "self")
    zero = n.scalar(0.0, x.type.dtype)
    y = b(ops.Where(), b(ops.Less(), x, 0.0), n.scalar(math.pi, x.type.dtype), zero)
    return b(ops.Where(), b(ops.IsNan(), x), x, y)


# --- functions of several --------------------------------------------------------------------------------


@rule("aten.addcmul.default", "aten.addcdiv.default")
def addcmul(n: Source, b: Builder) -> Value:
    x, first, second = resulting(n, "self", "tensor1", "tensor2")
    part = b(ops.Mul() if "addcmul" in n.kind else ops.Div(), first, second)
    factor = n.number("value", 1)
    return b(ops.Add(), x, part if factor == 1 else b(ops.Mul(), part, n.scalar(factor, part.type.dtype)))


@rule("aten.lerp.Tensor", "aten.lerp.Scalar")
def lerp(n: Source, b: Builder) -> Value:
    start, end, weight = resulting(n, "self", "end", "weight")
    return b(ops.Add(), start, b(ops.Mul(), weight, b(ops.Sub(), end, start)))


@rule("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def where(n: Source, b: Builder) -> Value:
    condition = n.cast(n.value("condition"), dtypes.BOOL)
    return b(ops.Where(), condition, *resulting(n, "self", "other"))


@rule("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(n: Source, b: Builder) -> Value:
    x, mask = n.value("self"), n.cast(n.value("mask"), dtypes.BOOL)
    filling = operand(n, "value")
    return b(ops.Where(), mask, as_value(n, filling, x.type.dtype), x)


@rule("aten.clamp.default", "aten.clip.default", "aten.clamp_min.default", "aten.clamp_max.default")
def clamp(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    low, high = (n.number(name) if n.given(name) else None for name in ("min", "max"))
    if isinstance(low, Dim) or isinstance(high, Dim):
        return _clamp_by(n, b, x, low, high)
    return b(ops.Clip(low=_bound(low), high=_bound(high)), x)


def _bound(value: float | None) -> float | None:
    return None if value is None else float(value)


@rule("aten.clamp.Tensor", "aten.clip.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max.Tensor")
def clamp_tensor(n: Source, b: Builder) -> Value:
    (x,) = resulting(n, "self")
    return _clamp_by(n, b, x, n.optional("min"), n.optional("max"))


def _clamp_by(n: Source, b: Builder, x: Value, low: Operand | None, high: Operand | None) -> Value:
    if low is not None:
        x = b(ops.Max(), x, as_value(n, low, x.type.dtype))
    return x if high is None else b(ops.Min(), x, as_value(n, high, x.type.dtype))
