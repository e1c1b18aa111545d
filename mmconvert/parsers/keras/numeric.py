"""Operations of `keras.ops` that are composed of a few others, element by element or along axes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Abs,
    Add,
    And,
    Atan2,
    BitShift,
    BitwiseAnd,
    BitwiseNot,
    BitwiseOr,
    BitwiseXor,
    Cast,
    Clip,
    Div,
    Equal,
    Erf,
    Exp,
    Fill,
    Fmod,
    GreaterEqual,
    Identity,
    IsInf,
    IsNan,
    L2Normalization,
    Less,
    Log,
    Max,
    Min,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pow,
    ReduceL1,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Sign,
    Sin,
    Softplus,
    Sqrt,
    Square,
    Sub,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.operations import reduced
from mmconvert.parsers.keras.promotion import floating, operands
from mmconvert.parsers.keras.source import element_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_SCALED: dict[str, tuple[type[Op], float]] = {
    "Log2": (Log, 1 / math.log(2)),
    "Log10": (Log, 1 / math.log(10)),
}
_FACTORS = {"Deg2rad": math.pi / 180, "Rad2deg": 180 / math.pi}


@rule(*(f"ops.{name}" for name in _SCALED))
def scaled_logarithm(layer: KerasLayer, b: Builder) -> Value:
    cls, factor = _SCALED[layer.kind]
    return b(Mul(), b(cls(), floating(b, layer.tensor(0, "x"))), factor)


@rule(*(f"ops.{name}" for name in _FACTORS))
def angle(layer: KerasLayer, b: Builder) -> Value:
    return b(Mul(), floating(b, layer.tensor(0, "x")), _FACTORS[layer.kind])


@rule("ops.Abs", "ops.Fabs")
def absolute(layer: KerasLayer, b: Builder) -> Value:
    return b(Abs(), layer.tensor(0, "x"))


@rule("ops.Exp2")
def exp2(layer: KerasLayer, b: Builder) -> Value:
    return b(Exp(), b(Mul(), floating(b, layer.tensor(0, "x")), math.log(2)))


@rule("ops.Cbrt")
def cube_root(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    return b(Mul(), b(Sign(), x), b(Pow(), b(Abs(), x), 1 / 3))


@rule("ops.Erfc")
def erfc(layer: KerasLayer, b: Builder) -> Value:
    return b(Sub(), 1.0, b(Erf(), floating(b, layer.tensor(0, "x"))))


@rule("ops.Sinc")
def sinc(layer: KerasLayer, b: Builder) -> Value:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = b(Mul(), floating(b, layer.tensor(0, "x")), math.pi)
    zero, one = b(Equal(), x, 0.0), b.constant(1.0, x.type.dtype)
    return b(Where(), zero, one, b(Div(), b(Sin(), x), b(Where(), zero, one, x)))


@rule("ops.Isfinite")
def is_finite(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Not(), b(Or(), b(IsNan(), x), b(IsInf(), x)))


@rule("ops.Angle")
def angle_of_real(layer: KerasLayer, b: Builder) -> Value:
    """pi for numbers below 0."""
    x = floating(b, layer.tensor(0, "x"))
    zero, half = (b.constant(number, x.type.dtype) for number in (0.0, math.pi))
    return b(Where(), b(Less(), x, zero), half, zero)


@rule("ops.Imag")
def imaginary(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Fill(shape=x.type.shape, value=0.0, dtype=x.type.dtype))


@rule("ops.Signbit")
def sign_bit(layer: KerasLayer, b: Builder) -> Value:
    """True for -0 as well, whose reciprocal is negative."""
    x = layer.tensor(0, "x")
    if x.type.dtype == dtypes.BOOL:
        return b(Fill(shape=x.type.shape, value=False, dtype=dtypes.BOOL))
    below = b(Less(), x, b.constant(0, x.type.dtype))
    if not dtypes.is_float(x.type.dtype):
        return below
    return b(Or(), below, b(Equal(), b(Div(), 1.0, x), -math.inf))


@rule("ops.LeftShift", "ops.BitwiseLeftShift", "ops.RightShift", "ops.BitwiseRightShift")
def shift(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x"), layer.operand(1, "y"))
    return b(BitShift(left=layer.kind.endswith("LeftShift")), left, right)


@rule("ops.Isposinf", "ops.Isneginf")
def is_signed_infinity(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Equal(), x, math.inf if layer.kind == "Isposinf" else -math.inf)


@rule("ops.NanToNum")
def nan_to_num(layer: KerasLayer, b: Builder) -> Value:
    x = layer.floats(layer.tensor(0, "x"))
    high, low = (
        None if layer.setting(key, None) is None else layer.number(key) for key in ("posinf", "neginf")
    )
    return finite(b, x, layer.number("nan", 0.0), high, low)


def finite(b: Builder, x: Value, nan: float, high: float | None = None, low: float | None = None) -> Value:
    """``x`` with numbers for NaN and infinities, which are the largest of the type where none are given."""
    info = np.finfo(np.float32) if x.type.dtype.itemsize == 4 else np.finfo(x.type.dtype)
    y = b(Where(), b(IsNan(), x), b.constant(nan, x.type.dtype), x)
    for given, limit, infinity in ((high, info.max, math.inf), (low, info.min, -math.inf)):
        value = float(limit) if given is None else given
        y = b(Where(), b(Equal(), y, infinity), b.constant(value, x.type.dtype), y)
    return y


_PAIRS: dict[str, Callable[[Builder, Value, Value], Value]] = {
    "Arctan2": lambda b, x, y: b(Atan2(), floating(b, x), floating(b, y)),
    "Fmax": lambda b, x, y: b(Where(), b(IsNan(), x), y, b(Where(), b(IsNan(), y), x, b(Max(), x, y))),
    "Fmin": lambda b, x, y: b(Where(), b(IsNan(), x), y, b(Where(), b(IsNan(), y), x, b(Min(), x, y))),
    "Fmod": lambda b, x, y: b(Fmod(), x, y),
    "Hypot": lambda b, x, y: b(Sqrt(), b(Add(), b(Square(), floating(b, x)), b(Square(), floating(b, y)))),
    "Logaddexp": lambda b, x, y: b(Add(), b(Max(), x, y), _rest(b, x, y)),
    "Heaviside": lambda b, x, y: b(
        Where(), b(Equal(), x, 0.0), y, b(Cast(to=x.type.dtype), b(GreaterEqual(), x, 0.0))
    ),
    "Logaddexp2": lambda b, x, y: b(
        Add(),
        b(Max(), x, y),
        b(Mul(), _rest(b, *(b(Mul(), v, math.log(2)) for v in (x, y))), 1 / math.log(2)),
    ),
    "Ldexp": lambda b, x, y: b(Mul(), floating(b, x), b(Exp(), b(Mul(), floating(b, y), math.log(2)))),
    "DivideNoNan": lambda b, x, y: _divide_no_nan(b, floating(b, x), floating(b, y)),
}


def _rest(b: Builder, x: Value, y: Value) -> Value:
    """log(1 + exp(-|x - y|))."""
    return b(Softplus(), b(Neg(), b(Abs(), b(Sub(), x, y))))


def _divide_no_nan(b: Builder, x: Value, y: Value) -> Value:
    zero, one = b(Equal(), y, 0.0), b.constant(1.0, x.type.dtype)
    return b(Where(), zero, b.constant(0.0, x.type.dtype), b(Div(), x, b(Where(), zero, one, y)))


@rule(*(f"ops.{name}" for name in _PAIRS))
def pair(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    return _PAIRS[layer.kind](b, left, right)


_BITS: dict[str, Op] = {"BitwiseAnd": BitwiseAnd(), "BitwiseOr": BitwiseOr(), "BitwiseXor": BitwiseXor()}


@rule(*(f"ops.{name}" for name in _BITS))
def bits(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x"), layer.operand(1, "y"))
    return b(_BITS[layer.kind], left, right)


@rule("ops.BitwiseNot", "ops.BitwiseInvert")
def bitwise_not(layer: KerasLayer, b: Builder) -> Value:
    return b(BitwiseNot(), layer.tensor(0, "x"))


@rule("ops.Isclose")
def is_close(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    if layer.flag("equal_nan", False):
        raise layer.refuse("equal_nan")
    rtol, atol = (float(layer.argument(i, n, d)) for i, n, d in ((2, "rtol", 1e-5), (3, "atol", 1e-8)))
    bound = b(Add(), b(Mul(), b(Abs(), right), rtol), atol)
    return b(Or(), b(Less(), b(Abs(), b(Sub(), left, right)), bound), b(Equal(), left, right))


@rule("ops.SaturateCast")
def saturate_cast(layer: KerasLayer, b: Builder) -> Value:
    x, dtype = layer.tensor(0, "x"), element_type(layer.setting("dtype"), layer.place)
    if dtypes.is_integer(dtype) and dtype.itemsize < 4:
        info = np.iinfo(dtype)
        x = b(Clip(low=float(info.min), high=float(info.max)), x)
    elif dtype != x.type.dtype:
        raise layer.refuse(f"saturating to {dtypes.name(dtype)}")
    return b(Cast(to=dtype), x)


@rule("ops.ConvertToTensor", "ops.Array", "ops.Real", "ops.Conj", "ops.Conjugate")
def convert(layer: KerasLayer, b: Builder) -> Value:
    x, dtype = layer.tensor(0, "x"), layer.setting("dtype", None)
    layer.ignore("sparse", "ragged")
    return b(Identity(), x if dtype is None else layer.cast(x, element_type(dtype, layer.place)))


# --- along axes ----------------------------------------------------------------------------------------


@rule("ops.Ptp")
def spread(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes, keepdims = reduced(layer, x)
    return b(
        Sub(), b(ReduceMax(axes=axes, keepdims=keepdims), x), b(ReduceMin(axes=axes, keepdims=keepdims), x)
    )


@rule("ops.CountNonzero")
def count_nonzero(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes, _ = reduced(layer, x)
    return b(ReduceSum(axes=axes, keepdims=False), b(Cast(to=dtypes.I32), b(NotEqual(), x, 0)))


@rule("ops.Average")
def average(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    axes, _ = reduced(layer, x)
    weights = layer.argument(1, "weights")
    if weights is None:
        return b(ReduceMean(axes=axes, keepdims=False), x)
    x, w = operands(b, x, layer.operand(1, "weights"))
    if w.type.rank != x.type.rank:
        raise layer.refuse("weights of another rank", "give them the shape of the tensor")
    total = ReduceSum(axes=axes, keepdims=False)
    return b(Div(), b(total, b(Mul(), x, w)), b(total, w))


@rule("ops.Moments")
def moments(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    x = floating(b, layer.tensor(0, "x"))
    if layer.flag("synchronized", False):
        layer.ignore("synchronized")
    axes, keepdims = layer.axes(x, "axes"), layer.flag("keepdims", False)
    center = b(ReduceMean(axes=axes, keepdims=True), x)
    mean = center if keepdims else b(ReduceMean(axes=axes, keepdims=False), x)
    return mean, b(ReduceMean(axes=axes, keepdims=keepdims), b(Square(), b(Sub(), x, center)))


@rule("ops.Norm")
def norm(layer: KerasLayer, b: Builder) -> Value:
    """Norms of vectors, and the Frobenius norm."""
    x = floating(b, layer.tensor(0, "x"))
    axes, keepdims = reduced(layer, x)
    order = layer.setting("ord", None)
    if order is None or (order in (2, "euclidean") and len(axes) == 1) or order == "fro":
        return b(ReduceL2(axes=axes, keepdims=keepdims), x)
    if order == 1 and len(axes) == 1:
        return b(ReduceL1(axes=axes, keepdims=keepdims), x)
    raise layer.refuse(f"ord = {order!r} over {len(axes)} axes")


@rule("ops.Normalize")
def normalize(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    if layer.integer("order", 2) != 2:
        raise layer.refuse("an order that is not 2")
    epsilon = 1e-7 if layer.setting("epsilon", None) is None else layer.number("epsilon")
    return b(L2Normalization(axes=layer.axes(x), epsilon=epsilon), x)


@rule("ops.Isreal")
def is_real(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Or(), b(Equal(), x, x), b(NotEqual(), x, x))


@rule("ops.AllClose")
def all_close(layer: KerasLayer, b: Builder) -> Value:
    raise layer.refuse("a comparison of whole tensors", "use isclose and all")


@rule("ops.Select")
def select(layer: KerasLayer, b: Builder) -> Value:
    """The first choice whose condition holds."""
    conditions, choices = layer.argument(0, "condlist"), layer.argument(1, "choicelist")
    if not isinstance(conditions, list) or not isinstance(choices, list) or len(conditions) != len(choices):
        raise layer.invalid("a condition for each choice is needed")
    *values, y = operands(b, *choices, layer.argument(2, "default", 0))
    for condition, value in reversed(list(zip(conditions, values, strict=True))):
        if not isinstance(condition, Value):
            raise layer.invalid("a condition is not a tensor")
        y = b(Where(), b(And(), *[layer.cast(condition, dtypes.BOOL)] * 2), value, y)
    return y
