"""torch's rules for the element type of a computation over operands of several."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Value

Operand = Value | bool | int | float | complex | Dim


def common(operands: Iterable[Operand]) -> DType:
    """The element type that operands are brought to.

    Tensors with axes come first, then those without, then numbers; the later ones count only where they are
    of a higher category (bool, integer, float, complex).
    """
    ranked: list[DType | None] = [None, None, None]
    for operand in operands:
        place, dtype = _place(operand)
        known = ranked[place]
        ranked[place] = dtype if known is None else joined(known, dtype)
    found: DType | None = None
    for dtype_or_none in ranked:
        if dtype_or_none is not None and (found is None or category(dtype_or_none) > category(found)):
            found = dtype_or_none
    assert found is not None, "there is an operand"
    return found


def _place(operand: Operand) -> tuple[int, DType]:
    if isinstance(operand, Value):
        return (0 if operand.type.rank else 1), operand.type.dtype
    if isinstance(operand, bool):
        return 2, dtypes.BOOL
    if isinstance(operand, int | Dim):
        return 2, dtypes.I64
    return 2, dtypes.BY_NAME["c64"] if isinstance(operand, complex) else dtypes.F32


def category(dtype: DType) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex numbers."""
    if dtype == dtypes.BOOL:
        return 0
    return 1 if dtypes.is_integer(dtype) else 2 if dtypes.is_float(dtype) else 3


def joined(a: DType, b: DType) -> DType:
    """The element type that holds both, where a higher category swallows a lower one."""
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return a if a == b else np.promote_types(a, b)
