"""How each operator behaves when the axes of what it reads or writes come in another order.

A permutation ``perm`` makes new axis ``j`` out of old axis ``perm[j]``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from mmconvert.ir.graph import Node, is_op
from mmconvert.ir.op import Elementwise, Op
from mmconvert.ir.ops import (
    LRN,
    BatchNorm,
    Concat,
    Dequantize,
    DynamicQuantize,
    Expand,
    Gather,
    L2Normalization,
    LayerNorm,
    LpNormalization,
    Pad,
    Quantize,
    Reshape,
    Resize,
    Reverse,
    RMSNorm,
    Slice,
    Split,
    Squeeze,
    Tile,
    TopK,
    Unsqueeze,
)
from mmconvert.ir.ops.reduce import Reduce
from mmconvert.ir.ops.scan import Cumulative
from mmconvert.ir.ops.softmax import AlongAxis
from mmconvert.ir.ops.sorting import ArgExtremum
from mmconvert.ir.types import Shape
from mmconvert.passes.simplify import moves_only_units
from mmconvert.rules import Rules

Perm: TypeAlias = tuple[int, ...]
Permuted = Callable[[Node[Op], Perm], Op | None]
"""The operator that does the same to operands permuted by ``perm`` and gives permuted results, or None."""

rule: Rules[type[Op]] = Rules("layout")
"""A rule for a family's base class holds for the whole family."""


def permuted(node: Node[Op], perm: Perm) -> Op | None:
    """The operator for permuted operands and results; None when the operator is tied to its order of axes."""
    for cls in type(node.op).__mro__:
        if issubclass(cls, Op) and (function := rule.find(cls)) is not None:
            return cast(Permuted, function)(node, perm)
    return None


def data_operands(node: Node[Op]) -> tuple[int, ...]:
    """The operands whose axes are the axes of the result; others (a scale, indices) have their own."""
    everything = isinstance(node.op, Elementwise | Concat)
    return tuple(range(len(node.inputs))) if everything else (0,)


def absorbs(node: Node[Op], perm: Perm) -> Op | None:
    """The operator that gives the *same* result over a permuted first operand, or None."""
    type = node.operand(0).type
    if is_op(node, Reshape, Squeeze):
        return Reshape(shape=node.output.type.shape) if moves_only_units(type, perm) else None
    if isinstance(node.op, Reduce | ArgExtremum) and not node.op.keepdims:
        axes = node.op.axes if isinstance(node.op, Reduce) else (node.op.axis,)
        kept = [p for p in perm if p not in axes and type.shape[p] != 1]
        return _moved(node.op, perm) if kept == sorted(kept) else None
    return None


def produces(node: Node[Op], perm: Perm) -> Op | None:
    """The operator that gives a permuted result over the *same* operand, or None."""
    if is_op(node, Reshape, Unsqueeze) and moves_only_units(node.output.type, perm):
        return Reshape(shape=permute(node.output.type.shape, perm))
    return None


def permute(shape: Shape, perm: Perm) -> Shape:
    """The extents in the new order."""
    return tuple(shape[p] for p in perm)


def _position(axis: int, perm: Perm) -> int:
    return perm.index(axis)


def _moved(op: Op, perm: Perm) -> Op:
    """The operator with ``axis`` or ``axes`` counted in the new order."""
    if hasattr(op, "axis"):
        return cast(Op, dataclasses.replace(cast(Any, op), axis=_position(op.axis, perm)))
    axes = tuple(sorted(_position(a, perm) for a in cast(Any, op).axes))
    return cast(Op, dataclasses.replace(cast(Any, op), axes=axes))


@rule(Elementwise)  # type: ignore[type-abstract]
def elementwise(node: Node[Op], perm: Perm) -> Op | None:
    return node.op


@rule(AlongAxis, Cumulative)  # type: ignore[type-abstract]
@rule(TopK, Concat, Split, BatchNorm, LRN, LpNormalization, L2Normalization)
def along_axis(node: Node[Op], perm: Perm) -> Op | None:
    return _moved(node.op, perm)


@rule(Reduce, ArgExtremum)  # type: ignore[type-abstract]
def reduction(node: Node[Op], perm: Perm) -> Op | None:
    return _moved(node.op, perm) if cast(Any, node.op).keepdims else None


@rule(LayerNorm, RMSNorm)
def normalization(node: Node[Op], perm: Perm) -> Op | None:
    # A scale has the normalized axes in their old order, which only one axis cannot notice. And formats can
    # normalize the last axes only: to move them forward costs more arithmetic than a Transpose costs bytes.
    axes = cast(Any, node.op).axes
    last = all(perm[-1 - i] in axes for i in range(len(axes)))
    return _moved(node.op, perm) if last and (len(axes) == 1 or len(node.inputs) == 1) else None


@rule(Reverse)
def reverse(node: Node[Reverse], perm: Perm) -> Op | None:
    return _moved(node.op, perm)


@rule(Slice, Resize)
def aligned_axes(node: Node[Op], perm: Perm) -> Op | None:
    """``axes`` stay aligned with the other fields, so they are renumbered and not sorted."""
    op = cast(Any, node.op)
    return cast(Op, dataclasses.replace(op, axes=tuple(_position(a, perm) for a in op.axes)))


@rule(Pad)
def pad(node: Node[Pad], perm: Perm) -> Op | None:
    return dataclasses.replace(node.op, pads=tuple(node.op.pads[p] for p in perm))


@rule(Tile)
def tile(node: Node[Tile], perm: Perm) -> Op | None:
    return Tile(repeats=tuple(node.op.repeats[p] for p in perm))


@rule(Expand)
def expand(node: Node[Expand], perm: Perm) -> Op | None:
    same_rank = node.operand(0).type.rank == len(perm)
    return Expand(shape=permute(node.op.shape, perm)) if same_rank else None


@rule(Quantize, Dequantize)
def scaled(node: Node[Quantize | Dequantize], perm: Perm) -> Op | None:
    if node.operand(1).type.rank == 0 and not (is_op(node, Quantize) and len(node.op.guard_bits) > 1):
        return node.op
    return None if node.op.block else _moved(node.op, perm)


@rule(DynamicQuantize)
def dynamic(node: Node[DynamicQuantize], perm: Perm) -> Op | None:
    return node.op if node.op.axis is None else _moved(node.op, perm)


@rule(Gather)
def gather(node: Node[Gather], perm: Perm) -> Op | None:
    return _moved(node.op, perm) if node.operand(1).type.rank == 1 else None
