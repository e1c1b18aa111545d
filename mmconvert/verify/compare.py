"""The acceptance rule: an error is judged against the error that float32 itself makes.

Errors are measured against ``truth``, the float64 run, in two ways: the largest absolute difference over the
scale (largest magnitude) of the output, and the relative L2 norm. A target is equivalent when both of its
errors are at most ``k`` times the source's own plus a floor for the element type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.types import Array

K = 4.0
"""How many times the source's own float32 error a target may have."""

ROUNDINGS = 32
"""The floor in units of rounding: what a few reordered sums and another exp() cost, whatever the source did."""


@dataclass(frozen=True, slots=True)
class Error:
    """How far one output is from the truth.

    Attributes:
        maximum: largest absolute difference over the largest magnitude of the truth.
        l2: norm of the difference over the norm of the truth.
    """

    maximum: float
    l2: float

    def within(self, budget: Error) -> bool:
        """True when both errors are at most those of ``budget``; NaN is not."""
        return self.maximum <= budget.maximum and self.l2 <= budget.l2

    def worst(self, other: Error) -> Error:
        """The larger of each."""
        return Error(max(self.maximum, other.maximum), max(self.l2, other.l2))


def floor(dtype: DType) -> float:
    """The error that an output of ``dtype`` may have even when the source run happens to be exact."""
    if dtype == dtypes.BF16:
        return ROUNDINGS * 2.0**-8
    return ROUNDINGS * float(np.finfo(dtype).eps) if dtypes.is_float(dtype) else 0.0


def budget(source: Error, dtype: DType, k: float = K) -> Error:
    """The error that a target may have: ``k * source + floor``."""
    return Error(k * source.maximum + floor(dtype), k * source.l2 + floor(dtype))


def measure(actual: Array, truth: Array) -> Error:
    """The error of ``actual``; infinite when the shape differs, or NaN and infinities are elsewhere.

    Integers and booleans are exact: any difference is an infinite error.
    """
    if actual.shape != truth.shape:
        return Error(np.inf, np.inf)
    if not (dtypes.is_float(truth.dtype) or np.iscomplexobj(truth)):
        return Error(0.0, 0.0) if np.array_equal(actual, truth) else Error(np.inf, np.inf)
    wide = np.complex128 if np.iscomplexobj(truth) else np.float64
    a, t = actual.astype(wide), truth.astype(wide)
    finite = np.isfinite(t)
    if not np.array_equal(np.isfinite(a), finite) or not _same_specials(a[~finite], t[~finite]):
        return Error(np.inf, np.inf)
    a, t = a[finite], t[finite]
    if t.size == 0:
        return Error(0.0, 0.0)
    difference = np.abs(a - t)
    scale = float(np.max(np.abs(t)))
    norm = float(np.linalg.norm(t))
    largest, l2 = float(np.max(difference)), float(np.linalg.norm(difference))
    return Error(largest / scale, l2 / norm) if scale > 0 and norm > 0 else Error(largest, l2)


def _same_specials(a: Array, t: Array) -> bool:
    return bool(np.array_equal(np.isnan(a), np.isnan(t)) and np.array_equal(a[~np.isnan(a)], t[~np.isnan(t)]))
