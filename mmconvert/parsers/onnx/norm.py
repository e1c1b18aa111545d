"""ONNX rules for normalisation."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.parsers.onnx.windows import LAYOUT
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_EPSILON = 1e-5
_INFERENCE = "export the model for inference, not for training"


@rule("BatchNormalization", since=7)
def batch_norm(n: Source, b: Builder) -> Value:
    spatial = n.flag("spatial", True)
    if n.flag("training_mode") or any(n.wants(i) for i in range(1, 5)):
        raise n.unsupported("statistics of the batch, as in training", hint=_INFERENCE)
    n.ignore("momentum")
    x, *others = (n.operand(i) for i in range(5))
    epsilon = n.real("epsilon", _EPSILON)
    if not spatial:
        return _each_position(b, x, others, epsilon)
    op = ops.BatchNorm(epsilon=epsilon, axis=min(1, x.type.rank - 1))
    wide = max((v.type.dtype for v in (x, *others)), key=lambda dtype: dtype.itemsize)
    return cast(b, b(op, *(cast(b, v, wide) for v in (x, *others))), x.type.dtype)


def _each_position(b: Builder, x: Value, weights: list[Value], epsilon: float) -> Value:
    """Batch normalization by statistics of each channel at each position, as there was up to opset 8."""
    scale, bias, mean, variance = weights
    factor = b(ops.Mul(), scale, b(ops.Rsqrt(), b(ops.Add(), variance, epsilon)))
    return b(ops.Add(), b(ops.Mul(), b(ops.Sub(), x, mean), factor), bias)


@rule("InstanceNormalization")
def instance_norm(n: Source, b: Builder) -> Value:
    op = ops.InstanceNorm(epsilon=n.real("epsilon", _EPSILON), layout=LAYOUT)
    return b(op, n.operand(0), n.operand(1), n.operand(2))


@rule("LayerNormalization")
def layer_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    x, scale, bias = n.operand(0), n.operand(1), n.optional(2)
    axes = tuple(range(x.type.axis(n.integer("axis", -1)), x.type.rank))
    op, stash = ops.LayerNorm(axes=axes, epsilon=n.real("epsilon", _EPSILON)), _stash(n)
    if _fits(x, axes, scale) and (bias is None or _fits(x, axes, bias)):
        y = b(op, x, scale, bias)
    else:
        y = b(ops.Mul(), b(op, x), scale)
        y = y if bias is None else b(ops.Add(), y, bias)
    if not n.wants(1) and not n.wants(2):
        return (y,)
    return y, *_statistics(b, cast(b, x, stash), axes, op.epsilon)


def _statistics(b: Builder, x: Value, axes: tuple[int, ...], epsilon: float) -> tuple[Value, Value]:
    """The mean of ``x``, and one over its standard deviation."""
    mean = b(ops.ReduceMean(axes=axes, keepdims=True), x)
    variance = b(ops.ReduceMean(axes=axes, keepdims=True), b(ops.SquaredDifference(), x, mean))
    return mean, b(ops.Rsqrt(), b(ops.Add(), variance, epsilon))


def _stash(n: Source) -> DType:
    """The precision asked for inside; results are computed in that of the operands, which runtimes do too."""
    stash = n.dtype("stash_type", dtypes.F32)
    if not dtypes.is_float(stash):
        raise n.invalid(f"stash_type {dtypes.name(stash)} is no floating-point type")
    return stash


def _fits(x: Value, axes: tuple[int, ...], weight: Value) -> bool:
    """True when ``weight`` has the shape of the normalised axes; ONNX lets it broadcast as well."""
    return weight.type.shape == tuple(x.type.shape[a] for a in axes)


@rule("RMSNormalization")
def rms_norm(n: Source, b: Builder) -> Value:
    x, scale = n.operand(0), n.operand(1)
    axes = tuple(range(x.type.axis(n.integer("axis", -1)), x.type.rank))
    op = ops.RMSNorm(axes=axes, epsilon=n.real("epsilon", _EPSILON))
    _stash(n)
    if _fits(x, axes, scale) and scale.type.dtype == x.type.dtype:
        return b(op, x, scale)
    return b(ops.Mul(), cast(b, b(op, x), scale.type.dtype), scale)


@rule("GroupNormalization", since=18)
def group_norm_18(n: Source, b: Builder) -> Value:
    """One scale and bias for each group."""
    x, groups, epsilon = n.operand(0), n.integer("num_groups"), n.real("epsilon", _EPSILON)
    channels = x.type.shape[1] if x.type.rank > 1 else 0
    if groups < 1:
        raise n.invalid(f"num_groups={groups} must be at least 1")
    size = dims.floordiv(channels, groups)
    scale, bias = (_each(b, n.operand(i), groups, size) for i in (1, 2))
    return b(ops.GroupNorm(groups=groups, epsilon=epsilon, layout=LAYOUT), x, scale, bias)


def _each(b: Builder, weight: Value, groups: int, size: dims.Extent) -> Value:
    """Every element of ``weight`` ``size`` times."""
    column = b(ops.Unsqueeze(axes=(1,)), weight)
    return b(ops.Reshape(shape=(size * groups,)), b(ops.Expand(shape=(groups, size)), column))


@rule("GroupNormalization", since=21)
def group_norm_21(n: Source, b: Builder) -> Value:
    """One scale and bias for each channel."""
    groups, epsilon = n.integer("num_groups"), n.real("epsilon", _EPSILON)
    _stash(n)
    op = ops.GroupNorm(groups=groups, epsilon=epsilon, layout=LAYOUT)
    return b(op, n.operand(0), n.operand(1), n.operand(2))


@rule("LRN")
def lrn(n: Source, b: Builder) -> Value:
    op = ops.LRN(
        size=n.integer("size"),
        alpha=n.real("alpha", 1e-4),
        beta=n.real("beta", 0.75),
        bias=n.real("bias", 1.0),
        axis=1,
    )
    if op.size < 1:
        raise n.invalid(f"size={op.size} must be at least 1")
    return b(op, n.operand(0))


@rule("LpNormalization")
def lp_normalization(n: Source, b: Builder) -> Value:
    x, p = n.operand(0), n.integer("p", 2)
    if p not in (1, 2):
        raise n.invalid(f"p={p} must be 1 or 2")
    return b(ops.LpNormalization(axis=x.type.axis(n.integer("axis", -1)), p=p), x)


@rule("MeanVarianceNormalization")
def mean_variance_normalization(n: Source, b: Builder) -> Value:
    """``(x - mean) / (deviation + 1e-9)``, as the function that defines the operator has it."""
    x = n.operand(0)
    axes = x.type.axes(n.integers("axes", (0, 2, 3)))
    mean = b(ops.ReduceMean(axes=axes, keepdims=True), x)
    variance = b(ops.ReduceMean(axes=axes, keepdims=True), b(ops.SquaredDifference(), x, mean))
    deviation = b(ops.Add(), b(ops.Sqrt(), variance), 1e-9)
    return b(ops.Div(), b(ops.Sub(), x, mean), deviation)
