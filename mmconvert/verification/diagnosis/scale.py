"""A factor, or an addend: a wrong scale or zero point, or a normalisation that is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from mmconvert.ir.types import Array
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect

_ENOUGH = 4
"""How many numbers each number that is fitted has to explain."""


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """The result times a factor, plus an addend, or both; for all of it and then for each channel."""
    expected, actual = suspect.expected.astype(np.float64), suspect.actual.astype(np.float64)
    if not (np.all(np.isfinite(expected)) and np.all(np.isfinite(actual))) or expected.size < _ENOUGH:
        return
    for axes in _groups(expected):
        where = "" if len(axes) == expected.ndim else f" along axis {_axis(axes, expected.ndim)}"
        factor, addend = _factor(expected, actual, axes), _addend(expected, actual, axes)
        yield Hypothesis(f"scaled by {_number(factor)}{where}", partial(_times, expected, factor))
        yield Hypothesis(f"with {_number(addend)} added{where}", partial(_plus, expected, addend))
        middle, aim = expected.mean(axes, keepdims=True), actual.mean(axes, keepdims=True)
        both = _factor(expected - middle, actual - aim, axes)
        rest = aim - both * middle
        text = f"scaled by {_number(both)}, with {_number(rest)} added{where}"
        yield Hypothesis(text, partial(_plus, expected * both, rest))


def _groups(array: Array) -> Iterator[tuple[int, ...]]:
    """The axes over which one factor holds: all, then all but one."""
    every = tuple(range(array.ndim))
    yield every
    for axis in every:
        if array.size >= _ENOUGH * array.shape[axis] and array.shape[axis] > 1:
            yield tuple(a for a in every if a != axis)


def _axis(axes: tuple[int, ...], rank: int) -> int:
    return next(axis for axis in range(rank) if axis not in axes)


def _factor(expected: Array, actual: Array, axes: tuple[int, ...]) -> Array:
    square = np.sum(expected**2, axes, keepdims=True)
    product = np.sum(expected * actual, axes, keepdims=True)
    return np.asarray(np.divide(product, square, out=np.ones_like(square), where=square > 0))


def _addend(expected: Array, actual: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.mean(actual - expected, axes, keepdims=True))


def _times(expected: Array, factor: Array) -> Array:
    return expected * factor


def _plus(expected: Array, addend: Array) -> Array:
    return expected + addend


def _number(array: Array) -> str:
    return f"{array.item():.4g}" if array.size == 1 else "another number each"
