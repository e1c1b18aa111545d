"""PyTorch rules for normalization."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, number, sequence
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("PyTorch")

_BATCH = {2: 1, 3: 1, 4: 2, 5: 3}
"""How many axes the batch norm for a value of so many axes is called by."""


@rule(ops.BatchNorm)
def batch_norm(node: Node[ops.BatchNorm], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    roles = ("weight", "bias", "running_mean", "running_var")
    values = dict(zip(roles, (node.operand(i) for i in range(1, 5)), strict=True))
    constant = all(v.constant is not None for v in values.values())
    rank = x.type.rank
    if not constant or rank not in _BATCH or not out.layers.is_module(dict(values)):
        out.require(op.axis == 1, "torch normalizes axis 1")
        weight, bias, mean, variance = (out.read(v) for v in values.values())
        epsilon = number(op.epsilon)
        return call("F.batch_norm", out.name(x), mean, variance, weight, bias, eps=epsilon)
    state = {role: v.constant for role, v in values.items() if v.constant is not None}
    state["num_batches_tracked"] = Tensor.of(np.zeros((), np.int64))
    channels = state["weight"].size
    made = call(f"nn.BatchNorm{_BATCH[rank]}d", str(channels), eps=_epsilon(op.epsilon), dtype=_dtype(out, x))
    layer = out.layers.layer(node, made, state, list(values.values()))
    if op.axis == 1:
        return f"{layer}({out.read(x)})"
    return f"{layer}({out.operand(x)}.movedim({op.axis}, 1)).movedim(1, {op.axis})"


@rule(ops.LayerNorm)
def layer_norm(node: Node[ops.LayerNorm], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    shape = _last(out, x, op.axes)
    scale, bias = node.optional(1), node.optional(2)
    text = sequence([str(e) for e in shape]) if len(shape) > 1 else str(shape[0])
    weights = {"weight": scale, "bias": bias}
    given = [v for v in (scale, bias) if v is not None]
    layered = all(v.constant is not None for v in given) and (scale is not None or bias is None)
    if not layered or not given or not out.layers.is_module(weights):
        named = {k: out.read(v) for k, v in weights.items() if v is not None}
        shape_text = sequence([str(e) for e in shape])
        return call("F.layer_norm", out.read(x), shape_text, **named, eps=number(op.epsilon))
    state = {role: v.constant for role, v in weights.items() if v is not None and v.constant is not None}
    made = call(
        "nn.LayerNorm",
        text,
        eps=_epsilon(op.epsilon),
        bias="False" if bias is None else None,
        dtype=_dtype(out, x),
    )
    return f"{out.layers.layer(node, made, state, [scale, bias])}({out.read(x)})"


@rule(ops.RMSNorm)
def rms_norm(node: Node[ops.RMSNorm], out: Writer) -> str:
    op, x, scale = node.op, node.operand(0), node.optional(1)
    shape = _last(out, x, op.axes)
    text = sequence([str(e) for e in shape]) if len(shape) > 1 else str(shape[0])
    if scale is None or scale.constant is None or not out.layers.is_module({"weight": scale}):
        weight = None if scale is None else out.read(scale)
        shape_text = sequence([str(e) for e in shape])
        return call("F.rms_norm", out.read(x), shape_text, weight=weight, eps=number(op.epsilon))
    made = call("nn.RMSNorm", text, eps=number(op.epsilon), dtype=_dtype(out, x))
    return f"{out.layers.layer(node, made, {'weight': scale.constant}, [scale])}({out.read(x)})"


@rule(ops.InstanceNorm)
def instance_norm(node: Node[ops.InstanceNorm], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    out.require(op.layout is Layout.NCHW, "torch has channels first")
    picture = x.type.shape[2:]
    known = all(isinstance(e, int) for e in picture)
    out.require(not known or math.prod(int(str(e)) for e in picture) > 1, "torch normalizes several elements")
    return _channels(node, out, f"nn.InstanceNorm{max(len(picture), 1)}d", "F.instance_norm", affine="True")


@rule(ops.GroupNorm)
def group_norm(node: Node[ops.GroupNorm], out: Writer) -> str:
    out.require(node.op.layout is Layout.NCHW, "torch has channels first")
    return _channels(node, out, "nn.GroupNorm", "F.group_norm", groups=str(node.op.groups))


def _channels(
    node: Node[ops.InstanceNorm] | Node[ops.GroupNorm],
    out: Writer,
    layer: str,
    function: str,
    groups: str = "",
    affine: str | None = None,
) -> str:
    x, weights = node.operand(0), {"weight": node.operand(1), "bias": node.operand(2)}
    lead = [groups] if groups else []
    ready = all(v.constant is not None for v in weights.values()) and not layer.endswith(("4d", "5d"))
    if not ready or not out.layers.is_module(dict(weights)):
        named = {k: out.read(v) for k, v in weights.items()}
        return call(function, out.name(x), *lead, **named, eps=number(node.op.epsilon))
    state = {role: v.constant for role, v in weights.items() if v.constant is not None}
    options = {"eps": _epsilon(node.op.epsilon), "affine": affine, "dtype": _dtype(out, x)}
    made = call(layer, *lead, str(state["weight"].size), **options)
    return f"{out.layers.layer(node, made, state, list(weights.values()))}({out.read(x)})"


@rule(ops.LRN)
def lrn(node: Node[ops.LRN], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    out.require(x.type.rank > 2, "torch normalizes pictures")
    out.require(op.size % 2 == 1, "torch's window of even size lies otherwise")
    numbers = (str(op.size), number(op.alpha), number(op.beta), number(op.bias))
    if op.axis == 1:
        return call("F.local_response_norm", out.read(x), *numbers)
    moved = call("F.local_response_norm", f"{out.operand(x)}.movedim({op.axis}, 1)", *numbers)
    return f"{moved}.movedim(1, {op.axis})"


@rule(ops.L2Normalization)
def l2_normalization(node: Node[ops.L2Normalization], out: Writer) -> str:
    op = node.op
    out.require(op.epsilon > 0 and bool(op.axes), "torch needs an epsilon")
    axes = str(op.axes[0]) if len(op.axes) == 1 else sequence([str(a) for a in op.axes])
    return call("F.normalize", out.read(node.operand(0)), dim=axes, eps=number(math.sqrt(op.epsilon)))


def _last(out: Writer, x: Value, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The extents of ``axes``, which are the last ones."""
    rank = x.type.rank
    out.require(axes == tuple(range(rank - len(axes), rank)) and bool(axes), "torch normalizes the last axes")
    shape = tuple(e for e in (x.type.shape[a] for a in axes) if isinstance(e, int))
    out.require(len(shape) == len(axes), "torch normalizes over known extents")
    return shape


def _epsilon(epsilon: float) -> str | None:
    short = number(epsilon) if len(number(epsilon)) < 10 else number(epsilon, dtypes.F32)
    return None if abs(epsilon - 1e-5) < 1e-12 else short


def _dtype(out: Writer, x: Value) -> str | None:
    return None if x.type.dtype == dtypes.F32 else out.dtype(x.type.dtype)
