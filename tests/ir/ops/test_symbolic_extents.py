"""What inference says of symbolic extents is, with numbers in their place, what it says of the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from mmconvert.ir import dims
from mmconvert.ir.dims import Dim
from mmconvert.ir.types import TensorType
from tests.cases import FAMILIES
from tests.cases.case import Case, Data
from tests.ir.ops.rows import infer, operands

NAMED = ("conv", "pool", "shape", "indexing", "pad", "resize")
CASES = [
    c
    for family in NAMED
    for c in FAMILIES[family]
    if any(isinstance(i, Data) and not i.constant for i in c.inputs)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_symbols_stand_for_any_extent(case: Case) -> None:
    arrays = operands(case)
    bindings: dict[str, int] = {}
    types: list[Any] = [None if a is None else TensorType(a.dtype, a.shape) for a in arrays]
    types[0] = symbolic(types[0], bindings)
    found = case.op.infer(*types)
    for ours, known in zip(
        found if isinstance(found, tuple) else (found,), infer(case.op, arrays), strict=True
    ):
        assert tuple(dims.substitute(e, bindings) for e in ours.shape) == known.shape


def symbolic(type: TensorType, bindings: dict[str, int]) -> TensorType:
    """``type`` with a symbol for every extent; ``bindings`` gets their numbers."""
    bindings |= {f"d{axis}": extent for axis, extent in enumerate(type.static_shape)}
    return type.with_shape(tuple(Dim.symbol(f"d{axis}") for axis in range(type.rank)))
