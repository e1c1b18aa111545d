"""Layers that put several tensors together."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Add,
    And,
    Concat,
    Fill,
    Identity,
    L2Normalization,
    MatMul,
    Max,
    Min,
    Mul,
    Or,
    Reshape,
    Squeeze,
    Sub,
    Transpose,
    Unsqueeze,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import common_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_ELEMENTWISE: dict[str, Op] = {
    "Add": Add(),
    "Subtract": Sub(),
    "Multiply": Mul(),
    "Average": Add(),
    "Maximum": Max(),
    "Minimum": Min(),
}


@rule(*_ELEMENTWISE)
def merge(layer: KerasLayer, b: Builder) -> Value:
    values = _aligned(layer, b)
    layer.mask = _merged_mask(layer, b)
    if layer.kind == "Multiply" and layer.version >= 3:
        return _masked_product(layer, b, values)
    if layer.kind == "Subtract" and len(values) != 2:
        raise layer.invalid("Subtract takes two tensors")
    y = values[0]
    for value in values[1:]:
        y = b(_ELEMENTWISE[layer.kind], y, value)
    if layer.kind == "Average":
        return b(Mul(), y, 1 / len(values))
    return b(Identity(), y) if len(values) == 1 else y


def _masked_product(layer: KerasLayer, b: Builder, values: list[Value]) -> Value:
    """A factor that is masked out counts as 1, and a product without factors as 0."""
    y: Value | None = None
    for value, mask in zip(values, layer.masks, strict=True):
        if mask is not None:
            seen = _over_features(layer, b, mask, value)
            value = b(Where(), seen, value, b.constant(1.0, value.type.dtype))
        y = value if y is None else b(Mul(), y, value)
    assert y is not None
    if layer.mask is not None:
        y = b(Where(), _over_features(layer, b, layer.mask, y), y, b.constant(0.0, y.type.dtype))
    return b(Identity(), y) if len(values) == 1 else y


def _over_features(layer: KerasLayer, b: Builder, mask: Value, x: Value) -> Value:
    return b(Unsqueeze(axes=(x.type.rank - 1,)), layer.cast(mask, dtypes.BOOL))


def _operands(layer: KerasLayer) -> list[Value]:
    if not layer.inputs:
        raise layer.invalid("the layer is called on nothing")
    dtype = common_type(layer.inputs)
    return [layer.cast(value, dtype) for value in layer.inputs]


def _aligned(layer: KerasLayer, b: Builder) -> list[Value]:
    """The operands with one rank: those with fewer axes get new ones after the batch."""
    values = _operands(layer)
    rank = max(value.type.rank for value in values)
    return [
        value
        if value.type.rank == rank
        else b(Unsqueeze(axes=tuple(range(1, 1 + rank - value.type.rank))), value)
        for value in values
    ]


@rule("Concatenate")
def concatenate(layer: KerasLayer, b: Builder) -> Value:
    values = _operands(layer)
    axis = layer.axis(values[0])
    layer.mask = _joined_mask(layer, b, axis)
    return b(Concat(axis=axis), *values)


def _merged_mask(layer: KerasLayer, b: Builder) -> Value | None:
    """Where Keras 3 sees some operand, if all are masked, and Keras 2 all that are masked."""
    masks = [mask for mask in layer.masks if mask is not None]
    if not masks or (layer.version >= 3 and len(masks) < len(layer.masks)):
        return None
    mask = layer.cast(masks[0], dtypes.BOOL)
    for other in masks[1:]:
        mask = b(Or() if layer.version >= 3 else And(), mask, layer.cast(other, dtypes.BOOL))
    return mask


def _joined_mask(layer: KerasLayer, b: Builder, axis: int) -> Value | None:
    """The masks one after the other, or where some operand is seen when the features are joined."""
    if all(mask is None for mask in layer.masks):
        return None
    rank = layer.inputs[0].type.rank
    parts = []
    for value, mask in zip(layer.inputs, layer.masks, strict=True):
        if mask is None:
            parts.append(b(Fill(shape=value.type.shape[:-1], value=True, dtype=dtypes.BOOL)))
        elif mask.type.rank == rank - 1:
            parts.append(layer.cast(mask, dtypes.BOOL))
        else:
            raise layer.refuse(f"a mask of rank {mask.type.rank} beside a tensor of rank {rank}")
    if axis < rank - 1:
        return b(Concat(axis=axis), *parts)
    seen = parts[0]
    for part in parts[1:]:
        seen = b(Or(), seen, part)
    return seen


@rule("Dot")
def dot_2(layer: KerasLayer, b: Builder) -> Value:
    return _dot(layer, b, epsilon=1e-12)


@rule("Dot", since=3)
def dot(layer: KerasLayer, b: Builder) -> Value:
    # Keras 3 bounds the norm by 1e-7, Keras 2 its square by 1e-12.
    return _dot(layer, b, epsilon=1e-14)


def _dot(layer: KerasLayer, b: Builder, epsilon: float) -> Value:
    """The sum of products along an axis of each; the other axes of the second follow those of the first."""
    values = _operands(layer)
    if len(values) != 2 or min(value.type.rank for value in values) < 2:
        raise layer.invalid("Dot takes two tensors with a batch axis")
    x, y = values
    axes = layer.integers("axes", 2)
    along_x, along_y = (value.type.axis(axis) for value, axis in zip(values, axes, strict=True))
    if 0 in (along_x, along_y):
        raise layer.invalid("Dot cannot be along the batch")
    if layer.flag("normalize", False):
        x = b(L2Normalization(axes=(along_x,), epsilon=epsilon), x)
        y = b(L2Normalization(axes=(along_y,), epsilon=epsilon), y)
    left, rest_x = _as_matrix(b, x, along_x, last=True)
    right, rest_y = _as_matrix(b, y, along_y, last=False)
    product = b(MatMul(), left, right)
    if not rest_x and not rest_y:
        return b(Squeeze(axes=(1,)), product)
    return b(Reshape(shape=(x.type.shape[0], *rest_x, *rest_y)), product)


def _as_matrix(b: Builder, x: Value, axis: int, *, last: bool) -> tuple[Value, Sequence[dims.Extent]]:
    """``x`` as a batch of matrices, with ``axis`` as columns or rows; and the extents of its other axes."""
    others = [a for a in range(1, x.type.rank) if a != axis]
    perm = (0, *others, axis) if last else (0, axis, *others)
    moved = x if perm == tuple(range(x.type.rank)) else b(Transpose(perm=perm), x)
    rest = tuple(x.type.shape[a] for a in others)
    joined = dims.product(rest)
    shape = (
        (x.type.shape[0], joined, x.type.shape[axis])
        if last
        else (x.type.shape[0], x.type.shape[axis], joined)
    )
    return (moved if moved.type.shape == shape else b(Reshape(shape=shape), moved)), rest
