"""How two constants stand to each other."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.ir.types import Array
from mmconvert.tensors import Tensor

ROUNDINGS = 16
"""So many roundings may lie between weights that two programs folded from the same numbers."""

AXES = 5
"""Weights with more axes are not tried under permutations."""


def relation(first: Tensor, second: Tensor) -> str:
    """What is different, in words; empty where the constants are equal up to rounding."""
    a, b = first.numpy(), second.numpy()
    if a.shape == b.shape and _equal(a, b):
        return "" if a.dtype == b.dtype else f"{dtypes.name(a.dtype)} became {dtypes.name(b.dtype)}"
    if a.size != b.size:
        return f"{list(a.shape)} became {list(b.shape)}"
    moved = _permutation(a, b)
    if moved is not None:
        return f"equal under permute({','.join(map(str, moved))})"
    if _equal(a.reshape(-1), b.reshape(-1)):
        return "" if _units(a) == _units(b) else f"equal, {list(a.shape)} became {list(b.shape)}"
    if a.shape != b.shape:
        return f"{list(a.shape)} became {list(b.shape)}, with other numbers"
    return _distance(a, b)


def _units(array: Array) -> list[int]:
    return [extent for extent in array.shape if extent > 1]


def _permutation(a: Array, b: Array) -> tuple[int, ...] | None:
    if a.ndim != b.ndim or not 1 < a.ndim <= AXES:
        return None
    for order in permutations(range(a.ndim)):
        moved = a.transpose(order)
        if moved.shape == b.shape and _equal(moved, b):
            return order
    return None


def _equal(a: Array, b: Array) -> bool:
    if np.array_equal(a, b):
        return True
    if not (dtypes.is_float(a.dtype) and dtypes.is_float(b.dtype)) or a.dtype != b.dtype:
        return False
    with np.errstate(all="ignore"):
        x, y = a.astype(np.float64), b.astype(np.float64)
        info: Any = ml_dtypes.finfo
        scale, eps = np.max(np.abs(x), initial=0.0), float(info(a.dtype).eps)
        return bool(np.max(np.abs(x - y), initial=0.0) <= ROUNDINGS * eps * scale)


def _distance(a: Array, b: Array) -> str:
    with np.errstate(all="ignore"):
        x, y = a.astype(np.float64), b.astype(np.float64)
        largest = float(np.max(np.abs(x - y), initial=0.0))
        norm = float(np.linalg.norm(x)) or 1.0
        share = float(np.mean(x != y))
        relative = float(np.linalg.norm(x - y)) / norm
    return f"{share:.1%} of the numbers differ, by at most {largest:.3g} (relative L2 {relative:.2e})"
