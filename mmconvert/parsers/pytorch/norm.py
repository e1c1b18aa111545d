"""PyTorch rules for normalisations."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule("aten.batch_norm.default")
def batch_norm(n: Source, b: Builder) -> Value:
    n.ignore("momentum", "cudnn_enabled")
    return _batch_norm(n, b, training=n.flag("training"))


@rule("aten._native_batch_norm_legit_no_training.default", "aten.cudnn_batch_norm.default")
def batch_norm_no_training(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("momentum", "training", "exponential_average_factor")
    return _batch_norm(n, b, training=False), None, None


@rule("aten.native_batch_norm.default", "aten._native_batch_norm_legit.default")
def native_batch_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("momentum")
    return _batch_norm(n, b, training=n.flag("training")), None, None


@rule("aten._native_batch_norm_legit.no_stats")
def batch_norm_no_stats(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("momentum", "training")
    return _batch_norm(n, b, training=True), None, None


def _batch_norm(n: Source, b: Builder, *, training: bool) -> Value:
    x, eps = n.value("input"), n.real("eps", 1e-5)
    mean, variance = n.optional("running_mean"), n.optional("running_var")
    scale, bias = _affine(n, x, x.type.shape[1])
    if not training and mean is not None and variance is not None:
        return n.cast(
            b(ops.BatchNorm(epsilon=eps, axis=1), _like(n, x, scale), scale, bias, mean, variance),
            x.type.dtype,
        )
    if mean is not None:
        n.context.library.warnings.append(
            f"{n.where}: a batch norm in training mode: its running statistics are not kept up to date"
        )
    axes = tuple(a for a in range(x.type.rank) if a != 1)
    y = b(ops.LayerNorm(axes=axes, epsilon=eps), x)
    shape = (x.type.shape[1], *[1] * (x.type.rank - 2))
    y = b(ops.Mul(), y, b(ops.Reshape(shape=shape), scale))
    return b(ops.Add(), y, b(ops.Reshape(shape=shape), bias))


def _like(n: Source, x: Value, other: Value) -> Value:
    return n.cast(x, other.type.dtype)


def _affine(n: Source, x: Value, channels: Extent) -> tuple[Value, Value]:
    """Scale and shift; 1 and 0 where they are left out."""
    found = []
    for name, neutral in (("weight", 1), ("bias", 0)):
        given = n.optional(name)
        if given is None:
            if not isinstance(channels, int):
                raise n.unsupported("without scale and shift, over an unknown number of channels")
            given = n.builder.constant(np.full(channels, neutral, x.type.dtype))
        found.append(given)
    return found[0], found[1]


@rule("aten.instance_norm.default")
def instance_norm(n: Source, b: Builder) -> Value:
    x = n.value("input")
    n.ignore("momentum", "cudnn_enabled")
    if not n.flag("use_input_stats", default=True):
        return _batch_norm(n, b, training=False)
    n.ignore("running_mean", "running_var")
    scale, bias = _affine(n, x, x.type.shape[1])
    return b(ops.InstanceNorm(epsilon=n.real("eps", 1e-5), layout=Layout.NCHW), x, scale, bias)


@rule("aten.group_norm.default")
def group_norm(n: Source, b: Builder) -> Value:
    n.ignore("cudnn_enabled")
    return _group_norm(n, b, n.integer("num_groups"))


@rule("aten.native_group_norm.default")
def native_group_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    n.ignore("N", "C", "HxW")
    groups = n.integer("group")
    y = _group_norm(n, b, groups)
    return y, *_statistics(n, b, groups)


def _statistics(n: Source, b: Builder, groups: int) -> tuple[Value, Value]:
    """The mean of each group, and one over the deviation."""
    x, eps = n.value("input"), n.real("eps", 1e-5)
    rows = b(
        ops.Reshape(shape=(x.type.shape[0], groups, dims.floordiv(x.type.size, x.type.shape[0] * groups))), x
    )
    middle = b(ops.ReduceMean(axes=(2,), keepdims=True), rows)
    centred = b(ops.Sub(), rows, middle)
    variance = b(ops.ReduceMean(axes=(2,), keepdims=False), b(ops.Mul(), centred, centred))
    return b(ops.Squeeze(axes=(2,)), middle), b(ops.Rsqrt(), b(ops.Add(), variance, eps))


def _group_norm(n: Source, b: Builder, groups: int) -> Value:
    x = n.value("input")
    scale, bias = _affine(n, x, x.type.shape[1])
    return b(ops.GroupNorm(groups=groups, epsilon=n.real("eps", 1e-5), layout=Layout.NCHW), x, scale, bias)


@rule("aten.layer_norm.default")
def layer_norm(n: Source, b: Builder) -> Value:
    n.ignore("cudnn_enable")
    return _layer_norm(n, b)[0]


@rule("aten.native_layer_norm.default")
def native_layer_norm(n: Source, b: Builder) -> tuple[Value, Value, Value]:
    """Beside the result the mean, and one over the deviation."""
    x = n.value("input")
    y, axes, eps = _layer_norm(n, b)
    mean = b(ops.ReduceMean(axes=axes, keepdims=True), x)
    centred = b(ops.Sub(), x, mean)
    variance = b(ops.ReduceMean(axes=axes, keepdims=True), b(ops.Mul(), centred, centred))
    return y, mean, b(ops.Rsqrt(), b(ops.Add(), variance, eps))


def _layer_norm(n: Source, b: Builder) -> tuple[Value, tuple[int, ...], float]:
    x, axes, eps = n.value("input"), _last_axes(n), n.real("eps", 1e-5)
    return b(ops.LayerNorm(axes=axes, epsilon=eps), x, n.optional("weight"), n.optional("bias")), axes, eps


def _last_axes(n: Source) -> tuple[int, ...]:
    rank = n.value("input").type.rank
    return tuple(range(rank - len(n.extents("normalized_shape")), rank))


@rule("aten.rms_norm.default", "aten._fused_rms_norm.default")
def rms_norm(n: Source, b: Builder) -> Value:
    x = n.value("input")
    eps = n.real("eps", float(np.finfo(np.float64 if x.type.dtype == dtypes.F64 else np.float32).eps))
    return b(ops.RMSNorm(axes=_last_axes(n), epsilon=eps), x, n.optional("weight"))
