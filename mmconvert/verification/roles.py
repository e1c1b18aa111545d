"""What an input of a graph is for, as far as the operators that read it tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op, operands

MOVES = (
    ops.Cast,
    ops.Clip,
    ops.Concat,
    ops.Dropout,
    ops.Expand,
    ops.Gather,
    ops.Identity,
    ops.Reshape,
    ops.Slice,
    ops.Split,
    ops.Squeeze,
    ops.Tile,
    ops.Transpose,
    ops.Unsqueeze,
)
"""Operators that hand numbers on as they are."""

PIXELS = (1 / 300, 1 / 100)
"""A factor between these takes what is between 0 and 255 to about 1: 1/255, 1/127.5, 1/128."""

TIME = 0
"""The axis of the steps in what recurrent layers read."""

Kind = Literal["index", "mask", "length", "range", "number"]


@dataclass(frozen=True, slots=True)
class Role:
    """What an input is for.

    Attributes:
        kind: it indexes a table, says what counts, says how long sequences are, or is a number: between 0 and
            ``high`` ("range"), or any.
        high: an index is below this, a length is at most this.
    """

    kind: Kind
    high: int = 0


def role_of(value: Value) -> Role:
    """What ``value``, an input, is for.

    Token ids index a table, itself or moved about. A mask is boolean, or made so, or integers called so.
    Pixels are floats that are first multiplied by 1/255 or the like; what a logarithm or a root is taken of
    is not negative.
    """
    dtype, reads = value.type.dtype, list(_reads(value, set()))
    rows = [count for node, index in reads if (count := _rows(node, index))]
    if rows:
        return Role("index", min(rows))
    lengths = [count for node, index in reads if (count := _longest(node, index))]
    if lengths:
        return Role("length", min(lengths))
    named = dtypes.is_integer(dtype) and "mask" in value.name.lower()
    if dtype == dtypes.BOOL or named or any(_is_mask(node, index) for node, index in reads):
        return Role("mask")
    if dtypes.is_float(dtype):
        if any(_scales_pixels(node, value) for node, _ in reads):
            return Role("range", 255)
        if any(isinstance(node.op, ops.Log | ops.Sqrt) for node, _ in reads):
            return Role("range", 1)
    return Role("number")


def _reads(value: Value, seen: set[Node[Op]]) -> Iterator[tuple[Node[Op], int]]:
    """The operators that read ``value``, itself or moved about, each with the number of the operand."""
    for node, index in value.uses:
        yield node, index
        if isinstance(node.op, MOVES) and index == 0 and node not in seen:
            seen.add(node)
            for output in node.outputs:
                yield from _reads(output, seen)
        elif isinstance(node.op, ops.Concat) and node not in seen:
            seen.add(node)
            yield from _reads(node.output, seen)


def _rows(node: Node[Op], index: int) -> int:
    """The number of rows of the table that is indexed; 0 for none."""
    if index == 1 and isinstance(node.op, ops.Gather | ops.GatherElements):
        return _known(node.operand(0).type.shape[node.op.axis])
    if index == 0 and isinstance(node.op, ops.OneHot):
        return _known(node.op.depth)
    return 0


def _known(extent: Extent) -> int:
    return max(extent, 1) if isinstance(extent, int) else 1


def _longest(node: Node[Op], index: int) -> int:
    """The length of sequences of which the operand says how much counts; 0 where it says no such thing."""
    declared = operands(type(node.op))
    if index >= len(declared) or declared[index].name != "lengths":
        return 0
    time = node.op.time_axis if isinstance(node.op, ops.ReverseSequence) else TIME
    return _known(node.operand(0).type.shape[time])


def _is_mask(node: Node[Op], index: int) -> bool:
    op = node.op
    return (isinstance(op, ops.Where) and index == 0) or (isinstance(op, ops.Cast) and op.to == dtypes.BOOL)


def _scales_pixels(node: Node[Op], value: Value) -> bool:
    """Whether an image is brought from 0..255 to about 1 here."""
    if value.type.rank < 3 or not isinstance(node.op, ops.Mul | ops.Div):
        return False
    constant = next((v.constant for v in node.inputs if v is not None and v.constant is not None), None)
    if constant is None or constant.size > 4:
        return False
    if isinstance(node.op, ops.Div) and node.operand(1).constant is None:
        return False
    factors = constant.numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        factors = 1 / factors if isinstance(node.op, ops.Div) else factors
    return bool(np.all((PIXELS[0] <= factors) & (factors <= PIXELS[1])))
