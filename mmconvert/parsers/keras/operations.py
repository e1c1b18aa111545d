"""Operations: functions of `keras.ops` that a functional model was built with, recorded beside its layers.

Their tensors are arguments of the call, what else they take is in the config.
"""

from __future__ import annotations

from collections.abc import Callable

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    And,
    ArgMax,
    ArgMin,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cast,
    Ceil,
    Clip,
    Cos,
    Cosh,
    CumProd,
    CumSum,
    Div,
    Equal,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDiv,
    Greater,
    GreaterEqual,
    Identity,
    IsInf,
    IsNan,
    Less,
    LessEqual,
    Log,
    Log1p,
    MatMul,
    Max,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    NotEqual,
    Or,
    Pow,
    Reciprocal,
    ReduceAll,
    ReduceAny,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    SquaredDifference,
    Sub,
    Tan,
    Tanh,
    Trunc,
    Where,
    Xor,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import floating, operands
from mmconvert.parsers.keras.source import element_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_FLOATING: dict[str, Op] = {
    "Arccos": Acos(),
    "Arccosh": Acosh(),
    "Arcsin": Asin(),
    "Arcsinh": Asinh(),
    "Arctan": Atan(),
    "Arctanh": Atanh(),
    "Cos": Cos(),
    "Cosh": Cosh(),
    "Erf": Erf(),
    "Exp": Exp(),
    "Expm1": Expm1(),
    "Log": Log(),
    "Log1p": Log1p(),
    "Reciprocal": Reciprocal(),
    "Rsqrt": Rsqrt(),
    "Sin": Sin(),
    "Sinh": Sinh(),
    "Sqrt": Sqrt(),
    "Tan": Tan(),
    "Tanh": Tanh(),
}
_NUMERIC: dict[str, Op] = {"Absolute": Abs(), "Negative": Neg(), "Sign": Sign(), "Square": Square()}
_ROUNDING: dict[str, Op] = {"Ceil": Ceil(), "Floor": Floor(), "Trunc": Trunc()}
_BINARY: dict[str, Op] = {
    "Add": Add(),
    "Subtract": Sub(),
    "Multiply": Mul(),
    "Maximum": Max(),
    "Minimum": Min(),
    "Power": Pow(),
    "Mod": Mod(),
    "FloorDivide": FloorDiv(),
    "Equal": Equal(),
    "NotEqual": NotEqual(),
    "Greater": Greater(),
    "GreaterEqual": GreaterEqual(),
    "Less": Less(),
    "LessEqual": LessEqual(),
}
_LOGICAL: dict[str, Op] = {"LogicalAnd": And(), "LogicalOr": Or(), "LogicalXor": Xor()}


@rule(*(f"ops.{name}" for name in _FLOATING))
def floating_unary(layer: KerasLayer, b: Builder) -> Value:
    return b(_FLOATING[layer.kind], floating(b, layer.tensor(0, "x")))


@rule(*(f"ops.{name}" for name in (*_NUMERIC, *_ROUNDING)))
def unary(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    if layer.kind in _NUMERIC:
        return b(_NUMERIC[layer.kind], x)
    return b(_ROUNDING[layer.kind], floating(b, x))


@rule("ops.Round")
def round_operation(layer: KerasLayer, b: Builder) -> Value:
    if layer.integer("decimals", 0) != 0:
        raise layer.refuse("rounding to decimals")
    return b(Round(), layer.tensor(0, "x"))


@rule("ops.Isnan")
def is_nan(layer: KerasLayer, b: Builder) -> Value:
    return b(IsNan(), layer.tensor(0, "x"))


@rule("ops.Isinf")
def is_inf(layer: KerasLayer, b: Builder) -> Value:
    return b(IsInf(), layer.tensor(0, "x"))


@rule(*(f"ops.{name}" for name in _BINARY))
def binary(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    return b(_BINARY[layer.kind], left, right)


@rule("ops.Divide", "ops.TrueDivide")
def divide(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    return b(Div(), floating(b, left), floating(b, right))


@rule(*(f"ops.{name}" for name in _LOGICAL))
def logical(layer: KerasLayer, b: Builder) -> Value:
    left, right = (layer.cast(layer.tensor(i, f"x{i + 1}"), dtypes.BOOL) for i in range(2))
    return b(_LOGICAL[layer.kind], left, right)


@rule("ops.LogicalNot")
def logical_not(layer: KerasLayer, b: Builder) -> Value:
    return b(Not(), layer.cast(layer.tensor(0, "x"), dtypes.BOOL))


@rule("ops.Where")
def where(layer: KerasLayer, b: Builder) -> Value:
    condition = layer.cast(layer.tensor(0, "condition"), dtypes.BOOL)
    left, right = operands(b, layer.operand(1, "x1"), layer.operand(2, "x2"))
    return b(Where(), condition, left, right)


@rule("ops.Clip")
def clip(layer: KerasLayer, b: Builder) -> Value:
    low, high = layer.operand(1, "x_min"), layer.operand(2, "x_max")
    x, least, most = operands(b, layer.tensor(0, "x"), low, high)
    if isinstance(low, int | float) and isinstance(high, int | float):
        return b(Clip(low=float(low), high=float(high)), x)
    return b(Min(), b(Max(), x, least), most)


@rule("ops.Matmul")
def matmul(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    return b(MatMul(), left, right)


@rule("ops.Cast")
def cast(layer: KerasLayer, b: Builder) -> Value:
    x, dtype = layer.tensor(0, "x"), element_type(layer.setting("dtype"), layer.place)
    return b(Identity(), x) if x.type.dtype == dtype else b(Cast(to=dtype), x)


@rule("ops.StopGradient", "ops.Copy")
def copy(layer: KerasLayer, b: Builder) -> Value:
    return b(Identity(), layer.tensor(0, "x"))


# --- along axes --------------------------------------------------------------------------------------

_REDUCTIONS: dict[str, Callable[..., Op]] = {
    "Max": ReduceMax,
    "Amax": ReduceMax,
    "Min": ReduceMin,
    "Amin": ReduceMin,
    "Sum": ReduceSum,
    "Prod": ReduceProd,
    "Mean": ReduceMean,
    "Logsumexp": ReduceLogSumExp,
    "All": ReduceAll,
    "Any": ReduceAny,
}


def reduced(layer: KerasLayer, x: Value) -> tuple[tuple[int, ...], bool]:
    """The axes of a reduction, all of them where none is given, and whether they stay."""
    axes = tuple(range(x.type.rank)) if layer.setting("axis", None) is None else layer.axes(x)
    return axes, layer.flag("keepdims", False)


@rule(*(f"ops.{name}" for name in _REDUCTIONS))
def reduction(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes, keepdims = reduced(layer, x)
    if layer.kind in ("All", "Any"):
        x = layer.cast(x, dtypes.BOOL)
    elif layer.kind in ("Mean", "Logsumexp"):
        x = floating(b, x)
    if layer.setting("initial", None) is not None:
        raise layer.refuse("an initial value")
    return b(_REDUCTIONS[layer.kind](axes=axes, keepdims=keepdims), x)


@rule("ops.Var", "ops.Std")
def spread(layer: KerasLayer, b: Builder) -> Value:
    x = floating(b, layer.tensor(0, "x"))
    axes, keepdims = reduced(layer, x)
    center = b(ReduceMean(axes=axes, keepdims=True), x)
    variance = b(ReduceMean(axes=axes, keepdims=keepdims), b(SquaredDifference(), x, center))
    return variance if layer.kind == "Var" else b(Sqrt(), variance)


@rule("ops.Argmax", "ops.Argmin")
def arg_reduction(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    if layer.setting("axis", None) is None:
        raise layer.refuse("an index into all elements", "give an axis")
    cls = ArgMax if layer.kind == "Argmax" else ArgMin
    op = cls(axis=layer.axis(x), keepdims=layer.flag("keepdims", False))
    return b(Cast(to=dtypes.I32), b(op, x))


@rule("ops.Cumsum", "ops.Cumprod")
def cumulation(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    layer.ignore("dtype")
    if layer.setting("axis", None) is None:
        raise layer.refuse("cumulation over all elements", "give an axis")
    return b((CumSum if layer.kind == "Cumsum" else CumProd)(axis=layer.axis(x)), x)
