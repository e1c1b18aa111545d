"""The acceptance rule: an error is judged against the error that float32 itself makes.

Errors are measured against ``truth``, the float64 run, in two ways: the largest absolute difference over the
scale (largest magnitude) of the output, and the relative L2 norm. A target is equivalent when both of its
errors are at most ``k`` times the source's own plus a floor for the element type::

    e_target  <=  k * e_source  +  floor(dtype)

Integers and booleans must be equal. Where rounding alone decides what the source itself gives (an argmax
over a near tie, an exp() that overflows in float32 and not in float64), the source's result is as good as the
truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.types import Array

K = 4.0
"""How many times the source's own float32 error a target may have."""

ROUNDINGS = 32
"""The floor in units of rounding: what a few reordered sums and another exp() cost."""

NARROW_ROUNDINGS = 4
"""The same for 16 bits and less, where runtimes compute in float32 and round at the end."""

LARGE, GAP = 1e6, 1e4
"""Elements above the first, and the second times as large as all others, are no numbers but marks."""

FLOAT64 = 2.0**-36
"""The floor of float64 outputs: their truth has the same rounding as they have."""


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
        """True when both errors are at most those of ``budget``; NaN and infinity never are."""
        return self.maximum <= budget.maximum and self.l2 <= budget.l2 and self.is_finite

    def over(self, budget: Error) -> float:
        """How many times the budget this error is, for the worse of its two numbers."""
        pairs = ((self.maximum, budget.maximum), (self.l2, budget.l2))
        return max(error / allowed if allowed > 0 else error for error, allowed in pairs)

    def worst(self, other: Error) -> Error:
        """The larger of each."""
        return Error(max(self.maximum, other.maximum), max(self.l2, other.l2))

    def plus(self, other: Error) -> Error:
        """The sum of each."""
        return Error(self.maximum + other.maximum, self.l2 + other.l2)

    def to_json(self) -> dict[str, float | str]:
        """Both numbers, infinite ones as the string "inf"."""
        pairs = (("maximum", self.maximum), ("l2", self.l2))
        return {name: value if abs(value) < float("inf") else str(value) for name, value in pairs}

    @property
    def is_finite(self) -> bool:
        """False for what cannot be measured: another shape, another integer, NaN in another place."""
        return bool(np.isfinite(self.maximum) and np.isfinite(self.l2))


NONE = Error(0.0, 0.0)
UNLIKE = Error(float("inf"), float("inf"))


def floor(dtype: DType) -> float:
    """The error that an output of ``dtype`` may have even when the source run happens to be exact."""
    if dtype == dtypes.F64 or dtype == np.complex128:
        return FLOAT64
    if not is_inexact(dtype):
        return 0.0
    info: Any = ml_dtypes.finfo if dtypes.is_float(dtype) else np.finfo
    return float(ROUNDINGS if dtype.itemsize >= 4 else NARROW_ROUNDINGS) * float(info(dtype).eps)


def budget(source: Error, dtype: DType, k: float = K) -> Error:
    """The error that a target may have: ``k * source + floor``."""
    return Error(k * source.maximum + floor(dtype), k * source.l2 + floor(dtype))


def measure(actual: Array, truth: Array, own: Array | None = None) -> Error:
    """The error of ``actual``; infinite when the shape differs, or when what must be equal is not.

    Args:
        actual: what is judged.
        truth: the float64 run.
        own: the source's float32 run. Where it is another integer than the truth, or another of NaN and the
            infinities, ``actual`` may be as it is.
    """
    if actual.shape != truth.shape:
        return UNLIKE
    if not is_inexact(truth.dtype):
        # Not element types: a format may have another width of integer.
        equal = (actual == truth) | (actual == own if own is not None else False)
        return NONE if bool(np.all(equal)) and not is_inexact(actual.dtype) else UNLIKE
    if not is_inexact(actual.dtype):
        return UNLIKE
    wide = np.complex128 if np.iscomplexobj(truth) else np.float64
    a, t = actual.astype(wide).reshape(-1), truth.astype(wide).reshape(-1)
    if own is not None and own.shape == truth.shape:
        excused = _same_special(a, own.astype(wide).reshape(-1))
        a, t = a[~excused], t[~excused]
    finite = np.isfinite(t)
    if not np.array_equal(np.isfinite(a), finite) or not np.all(_same_special(a[~finite], t[~finite])):
        return UNLIKE
    return _distance(a[finite], t[finite])


def is_inexact(dtype: DType) -> bool:
    """True for what is rounded; false for what has to be equal."""
    return dtypes.is_float(dtype) or np.issubdtype(dtype, np.complexfloating)


def _same_special(a: Array, b: Array) -> Array:
    """Where both are NaN, or both the same infinity."""
    return np.asarray((np.isnan(a) & np.isnan(b)) | (~np.isfinite(a) & (a == b)))


def _distance(a: Array, t: Array) -> Error:
    """Both errors of finite numbers.

    A mask of -1e9 among scores around 1 would set the scale of all of them, and no error in the scores would
    show: such elements are measured apart from the others.
    """
    magnitude = np.abs(t)
    large = magnitude >= LARGE
    rest = np.max(magnitude[~large], initial=0.0)
    if np.any(large) and not np.all(large) and np.min(magnitude[large]) >= GAP * rest:
        return _relative(a[large], t[large]).worst(_relative(a[~large], t[~large]))
    return _relative(a, t)


def _relative(a: Array, t: Array) -> Error:
    if t.size == 0:
        return NONE
    difference = np.abs(a - t)
    scale, largest = float(np.max(np.abs(t))), float(np.max(difference))
    if scale == 0.0 or largest == 0.0:
        return Error(largest, float(np.linalg.norm(difference)))
    # Divided by the scale first: squares of large numbers overflow.
    return Error(largest / scale, float(np.linalg.norm(difference / scale) / np.linalg.norm(t / scale)))
