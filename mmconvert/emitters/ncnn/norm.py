"""NCNN rules for normalisation."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")


def parameter(value: Value | None, size: int, neutral: float, times: int = 1) -> Tensor:
    """A constant parameter as a vector, repeated ``times`` times; the neutral number where there is none.

    Raises:
        UnsupportedError: it is not constant.
    """
    if value is None:
        return Tensor.of(np.full(size * times, neutral, np.float32))
    if value.constant is None:
        raise UnsupportedError("NCNN's parameters of normalisation are constant")
    vector = value.constant.cast(dtypes.F32).reshape((size,))
    return vector if times == 1 else vector.map(lambda a: np.tile(a, times), shape=(size * times,))


def _channels(value: Value, layout: Layout) -> int:
    if layout is not Layout.NCHW:
        raise UnsupportedError("NCNN has the channels first")
    channels = value.type.shape[1]
    if not isinstance(channels, int):
        raise UnsupportedError("NCNN needs to know the number of channels")
    return channels


@rule(ops.BatchNorm)
def batch_norm(node: Node[ops.BatchNorm], out: Writer) -> None:
    x, scale, bias, mean, variance = (node.operand(i) for i in range(5))
    shape, axis = x.type.shape, node.op.axis % x.type.rank
    channels, before = shape[axis], dims.product(shape[:axis])
    if before != 1 or not isinstance(channels, int):
        raise UnsupportedError("NCNN normalises along the first axis after a batch of 1")
    source = out.blob(x, (channels, dims.product(shape[axis + 1 :])))
    vectors = [parameter(v, channels, 0.0) for v in (scale, mean, variance, bias)]
    made = out.layer(
        "BatchNorm", (source,), source.shape, weights=vectors, channels=channels, eps=float(node.op.epsilon)
    )
    out.place(node.output, made)


@rule(ops.LayerNorm, ops.RMSNorm)
def layer_norm(node: Node[ops.LayerNorm] | Node[ops.RMSNorm], out: Writer) -> None:
    x = node.operand(0)
    shape, axes = x.type.shape, node.op.axes
    first = x.type.rank - len(axes)
    if tuple(a % x.type.rank for a in axes) != tuple(range(first, x.type.rank)):
        raise UnsupportedError("NCNN normalises over the last axes")
    size = dims.product(shape[first:])
    if not isinstance(size, int):
        raise UnsupportedError("NCNN needs to know the extents that are normalised over")
    source = out.blob(x, (dims.product(shape[:first]), size))
    operands = (
        [node.optional(1), node.optional(2)] if isinstance(node.op, ops.LayerNorm) else [node.optional(1)]
    )
    affine = any(v is not None for v in operands)
    vectors = [parameter(v, size, 1.0 - i) for i, v in enumerate(operands)] if affine else []
    made = out.layer(
        type(node.op).__name__,
        (source,),
        source.shape,
        weights=vectors,
        affine_size=size,
        eps=float(node.op.epsilon),
        affine=int(affine),
    )
    out.place(node.output, made)


@rule(ops.GroupNorm)
def group_norm(node: Node[ops.GroupNorm], out: Writer) -> None:
    """Each picture of a batch has groups of its own, so a batch is a picture of more groups."""
    x = node.operand(0)
    channels, batch = _channels(x, node.op.layout), x.type.shape[0]
    if not isinstance(batch, int):
        raise UnsupportedError(f"NCNN has no batch axis, and the batch is {batch}")
    source = out.blob(x, (batch * channels, dims.product(x.type.shape[2:])))
    made = out.layer(
        "GroupNorm",
        (source,),
        source.shape,
        weights=[parameter(node.operand(i), channels, 0.0, batch) for i in (1, 2)],
        group=node.op.groups * batch,
        channels=channels * batch,
        eps=float(node.op.epsilon),
    )
    out.place(node.output, made)


@rule(ops.InstanceNorm)
def instance_norm(node: Node[ops.InstanceNorm], out: Writer) -> None:
    x = node.operand(0)
    channels, batch = _channels(x, node.op.layout), x.type.shape[0]
    if not isinstance(batch, int):
        raise UnsupportedError(f"NCNN has no batch axis, and the batch is {batch}")
    source = out.blob(x, (batch * channels, 1, dims.product(x.type.shape[2:])))
    made = out.layer(
        "InstanceNorm",
        (source,),
        source.shape,
        weights=[parameter(node.operand(i), channels, 0.0, batch) for i in (1, 2)],
        channels=channels * batch,
        eps=float(node.op.epsilon),
    )
    out.place(node.output, made)


@rule(ops.LRN)
def lrn(node: Node[ops.LRN], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    axis, shape = op.axis % x.type.rank, x.type.shape
    if op.size % 2 == 0:
        raise UnsupportedError("NCNN normalises over an odd number of channels")
    others = tuple(a for a in range(x.type.rank) if a != axis)
    turned = out.permute(out.raw(x), shape, (axis, *others))
    rest = tuple(shape[a] for a in others)
    source = out.view(turned, (shape[axis], 1, dims.product(rest)))
    made = out.layer(
        "LRN",
        (source,),
        source.shape,
        local_size=op.size,
        alpha=float(op.alpha),
        beta=float(op.beta),
        bias=float(op.bias),
    )
    back = tuple((axis, *others).index(a) for a in range(x.type.rank))
    out.place(node.output, out.permute(made, (shape[axis], *rest), back))
