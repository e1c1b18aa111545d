"""Elementwise arithmetic over object arrays of extents, where it is not NumPy's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.types import Array


def combine(function: Callable[..., Any], contents: Sequence[Array | None]) -> Array | None:
    """``function`` over broadcast ``contents``; None when a content or one of the results is unknown.

    Args:
        function: takes one element of each content, returns an extent, a bool, or None for "unknown".
        contents: object arrays of extents, or None.
    """
    known = [c for c in contents if c is not None]
    if len(known) < len(contents):
        return None
    arrays = np.broadcast_arrays(*known)
    results = [function(*elements) for elements in zip(*(a.flat for a in arrays), strict=True)]
    if any(r is None for r in results):
        return None
    return np.array(results, dtype=object).reshape(arrays[0].shape)


def is_natural(extent: Extent) -> bool:
    """True when ``extent`` is surely not negative: no symbol, each at least 0, is subtracted."""
    if isinstance(extent, Dim):
        return all(coefficient >= 0 for _, coefficient in extent.terms)
    return extent >= 0


def order(a: Extent, b: Extent) -> int | None:
    """-1, 0 or 1 as ``a`` is below, equal to or above ``b`` whatever the symbols stand for; else None."""
    difference = a - b
    if isinstance(difference, Dim):
        # Symbols are at least 0, so n + 1 is above 0 and -n - 1 below.
        sign = 1 if is_natural(difference) else -1
        constant = sign * dict(difference.terms).get((), 0)
        return sign if is_natural(difference * sign) and constant > 0 else None
    return (difference > 0) - (difference < 0)


def truncated_quotient(a: Extent, b: Extent) -> Extent | None:
    """``a / b`` rounded towards zero, where the signs are known; an unknown extent is taken as natural."""
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return dims.floordiv(a, b) if _leads(a) and _leads(b) else None


def floored_quotient(a: Extent, b: Extent) -> Extent | None:
    """``floor(a / b)``."""
    return dims.floordiv(a, b) if b != 0 else None


def greater(a: Extent, b: Extent) -> Extent | None:
    """``max(a, b)``, where it is known or both are natural."""
    found = order(a, b)
    if found is not None:
        return a if found >= 0 else b
    return dims.maximum(a, b) if is_natural(a) and is_natural(b) else None


def smaller(a: Extent, b: Extent) -> Extent | None:
    """``min(a, b)``, where it is known or both are natural."""
    found = greater(a, b)
    return None if found is None else a + b - found


def _leads(extent: Extent) -> bool:
    # h - 3 is the extent of something that exists, hence natural, although 3 is subtracted.
    if isinstance(extent, Dim):
        return all(coefficient > 0 for monomial, coefficient in extent.terms if monomial)
    return extent >= 0
