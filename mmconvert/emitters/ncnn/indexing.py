"""NCNN rules for picking elements by position."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.elementwise import ABS, ADD, SIGN, SUB, inverted
from mmconvert.emitters.ncnn.shape import crop
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, Shape
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")

LONGEST = 4096
"""Computed positions pick from no more elements than this: each costs a product with all of them."""

PIECES = 16
"""Into so many pieces a value is cut to pick from it; beyond, a product with ones and zeros is quicker."""

_SAME = (ops.Reshape, ops.Squeeze, ops.Unsqueeze, ops.Identity)


@rule(ops.Gather)
def gather(node: Node[ops.Gather], out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    axis = node.op.axis % x.type.rank
    if indices.constant is not None:
        _fixed(node, axis, out)
    elif x.constant is not None and axis == 0 and is_lookup(indices):
        _lookup(node, x.constant, out)
    else:
        _chosen(node, axis, out)


def _fixed(node: Node[ops.Gather], axis: int, out: Writer) -> None:
    x, indices = node.operand(0), node.operand(1)
    assert indices.constant is not None
    shape = x.type.shape
    (extent,) = known(shape[axis : axis + 1], "the extent that is picked from")
    places = _inside(indices.constant.numpy().reshape(-1), (extent,))
    _pick(node, (dims.product(shape[:axis]), extent, dims.product(shape[axis + 1 :])), places, out)


def _inside(places: Array, extents: tuple[int, ...]) -> Array:
    """Positions along ``extents``, the last axis of ``places`` where there are several, counted from 0."""
    places, limits = places.astype(np.int64), np.array(extents)
    if np.any((places < -limits) | (places >= limits)):
        raise UnsupportedError("a position lies outside of what is picked from")
    return np.asarray(places % limits)


@rule(ops.GatherND)
def gather_nd(node: Node[ops.GatherND], out: Writer) -> None:
    """Constant positions along the first axes are positions along one axis."""
    x, indices = node.operand(0), node.operand(1)
    if indices.constant is None or node.op.batch_dims:
        raise UnsupportedError("NCNN picks elements one by one at constant positions only")
    depth = indices.constant.shape[-1]
    extents = known(x.type.shape[:depth], "the extents that are picked from")
    places = _inside(indices.constant.numpy().reshape(-1, depth), extents)
    lines = np.ravel_multi_index(tuple(places.T), extents)
    _pick(node, (1, math.prod(extents), dims.product(x.type.shape[depth:])), lines, out)


def _pick(node: Node[Op], extents: tuple[Extent, int, Extent], places: Array, out: Writer) -> None:
    """Places along the middle one of three axes."""
    x, (before, extent, after) = node.operand(0), extents
    runs = _runs(places)
    if len(runs) > PIECES:
        matrix = (places[:, None] == np.arange(extent)).astype(np.float32)
        line = out.blob(x, (before, extent, after))
        made = _picked(out, matrix, line, (before, len(places), after))
        out.place(node.output, made)
        return
    lead: Shape = () if before == 1 else (before,)
    line, at = out.blob(x, (*lead, extent, after)), len(lead)
    parts = [crop(line, line.shape, [(at, start, size)], out)[0] for start, size in runs]
    made = parts[0]
    if len(parts) > 1:
        made = out.layer("Concat", parts, (*lead, len(places), after), axis=at)
    out.place(node.output, made)


def _picked(out: Writer, matrix: Array, line: Blob, shape: Shape) -> Blob:
    """A product with ones and zeros, which is exact for finite numbers."""
    return out.layer("MatMul", (out.numbers(matrix, (1, *matrix.shape)), line), shape)


def _runs(places: Array) -> list[tuple[int, int]]:
    """Positions as (start, how many in a row)."""
    runs: list[tuple[int, int]] = []
    for place in places.tolist():
        if runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs


def _lookup(node: Node[ops.Gather], table: Tensor, out: Writer) -> None:
    """Rows of a table; the positions are integers as such."""
    indices = node.operand(1)
    words, *rest = table.shape
    size = dims.numbers((dims.product(tuple(rest)),))[0]
    count = dims.product(indices.type.shape)
    made = out.layer(
        "Embed",
        (out.blob(indices, (count,)),),
        (count, size),
        weights=(table.reshape((words, size)),),
        num_output=size,
        input_dim=words,
        bias_term=0,
        weight_data_size=table.size,
    )
    out.place(node.output, made)


def _chosen(node: Node[ops.Gather], axis: int, out: Writer) -> None:
    """Elements at positions that are float32: a product with ones where a position is that of an element."""
    x, indices, shape = node.operand(0), node.operand(1), node.operand(0).type.shape
    extent = shape[axis]
    if not isinstance(extent, int) or extent > LONGEST:
        raise UnsupportedError(
            f"NCNN picks at computed positions from at most {LONGEST} elements, not {extent}"
        )
    before, after = dims.product(shape[:axis]), dims.product(shape[axis + 1 :])
    count = dims.product(indices.type.shape)
    column = out.blob(indices, (count, 1))
    hit: Blob | None = None
    for first in (0, -extent):  # negative ones count from the end
        places = out.numbers(np.arange(first, first + extent), (1, extent))
        apart = out.binary(SUB, column, places, (count, extent))
        found = inverted(out.unary(ABS, out.unary(SIGN, apart)), out)
        hit = found if hit is None else out.binary(ADD, hit, found, found.shape)
    assert hit is not None
    lead: Shape = () if before == 1 else (before,)
    chosen = out.view(hit, (*(1 for _ in lead), count, extent))
    line = out.blob(x, (*lead, extent, after))
    out.place(node.output, out.layer("MatMul", (chosen, line), (*lead, count, after)))


def is_lookup(indices: Value) -> bool:
    """Whether positions come from an input that is used for nothing but to look rows up in tables.

    Such an input holds integers as such, all others hold float32.
    """
    value = indices
    while value.producer is not None and _keeps(value.producer):
        value = value.producer.operand(0)
    return value.producer is None and value.constant is None and _looks_up(value)


def _keeps(node: Node[Op]) -> bool:
    if isinstance(node.op, ops.Cast):
        return dtypes.is_integer(node.op.to) and dtypes.is_integer(node.operand(0).type.dtype)
    return isinstance(node.op, _SAME)


def _looks_up(value: Value) -> bool:
    for node, index in value.uses:
        if isinstance(node.op, ops.Gather):
            table = node.operand(0)
            if index != 1 or table.constant is None or node.op.axis % table.type.rank != 0:
                return False
        elif not (_keeps(node) and _looks_up(node.output)):
            return False
    return bool(value.uses)
