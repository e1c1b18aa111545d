"""Extents as values: the arithmetic that a symbol stands for, written into the graph."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv
from mmconvert.ir.graph import Value

Places = dict[str, tuple[Value, int]]
"""For each symbol a value that has it in the extent of an axis; axis -1: it is the value's only element."""


def value(b: Builder, extent: Extent, places: Places) -> Value | None:
    """``extent`` as an i64 scalar; None when one of its symbols is at no place.

    Args:
        b: writes the arithmetic.
        extent: a number or an expression.
        places: where symbols are read.
    """
    if not isinstance(extent, Dim):
        return b.constant(extent, dtypes.I64)
    total: Value | None = None
    for monomial, coefficient in extent.terms:
        term: Value | None = None
        for atom in monomial:
            factor = _atom(b, atom, places)
            if factor is None:
                return None
            term = factor if term is None else b(ops.Mul(), term, factor)
        if term is None:
            term = b.constant(coefficient, dtypes.I64)
        elif coefficient != 1:
            term = b(ops.Mul(), term, np.array(coefficient, np.int64))
        total = term if total is None else b(ops.Add(), total, term)
    return total


def _atom(b: Builder, atom: Atom, places: Places) -> Value | None:
    if isinstance(atom, str):
        return _symbol(b, atom, places)
    pair = (atom.numerator, atom.denominator) if isinstance(atom, FloorDiv) else (atom.left, atom.right)
    left, right = (value(b, part, places) for part in pair)
    if left is None or right is None:
        return None
    return _quotient(b, left, right) if isinstance(atom, FloorDiv) else b(ops.Max(), left, right)


def _quotient(b: Builder, above: Value, below: Value) -> Value:
    """In i32, into which extents fit: not every target divides i64."""
    narrow = [b(ops.Cast(to=dtypes.I32), part) for part in (above, below)]
    return b(ops.Cast(to=dtypes.I64), b(ops.FloorDiv(), *narrow))


def _symbol(b: Builder, name: str, places: Places) -> Value | None:
    if name not in places:
        return None
    x, axis = places[name]
    if axis < 0:
        return x
    found = b(ops.Gather(axis=0), b(ops.Shape(), x), np.array(axis, np.int64))
    extent = x.type.shape[axis]
    line = extent.line if isinstance(extent, Dim) else None
    if line is None or line[1:] == (1, 0):
        return found
    _, factor, offset = line
    found = b(ops.Sub(), found, np.array(offset, np.int64)) if offset else found
    return found if factor == 1 else _quotient(b, found, b.constant(factor, dtypes.I64))
