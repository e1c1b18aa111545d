"""The right numbers in another order: axes permuted, channels reversed, everything shifted by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np

from mmconvert.ir.types import Array
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect

MOST_AXES = 5


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """The result with its axes permuted, reversed or shifted."""
    for text, array in orders(suspect.expected):
        yield Hypothesis(text, partial(_whole, array))
    for axis, extent in enumerate(suspect.expected.shape):
        if extent > 2:
            for by in (1, -1):
                yield Hypothesis(f"shifted by {by} along axis {axis}", partial(_shifted, suspect, axis, by))


def orders(array: Array) -> Iterator[tuple[str, Array]]:
    """The array with its axes permuted and read in the old shape, or reversed along an axis, or in halves."""
    rank = array.ndim
    if 1 < rank <= MOST_AXES:
        for perm in itertools.permutations(range(rank)):
            if perm != tuple(range(rank)):
                text = f"under permute({','.join(map(str, perm))})"
                yield text, array.transpose(perm).reshape(array.shape)
    for axis, extent in enumerate(array.shape):
        if extent > 1:
            yield f"reversed along axis {axis}", np.flip(array, axis)
        if extent > 2 and extent % 2 == 0:
            yield f"with the halves of axis {axis} swapped", np.roll(array, extent // 2, axis)


def _whole(array: Array) -> Array:
    return array


def _shifted(suspect: Suspect, axis: int, by: int) -> Array:
    """Shifted by one; what comes in at the border is not known, and is taken to be right."""
    moved = np.roll(suspect.expected, by, axis)
    border = [slice(None)] * moved.ndim
    border[axis] = slice(0, 1) if by > 0 else slice(-1, None)
    moved[tuple(border)] = suspect.actual[tuple(border)]
    return moved
