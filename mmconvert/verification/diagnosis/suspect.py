"""What is to be explained, and what an explanation is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification import compare, quanta
from mmconvert.verification.compare import Error
from mmconvert.verification.segment import Segment, Variant


@dataclass(frozen=True, slots=True)
class Suspect:
    """A value that is wrong although what it was computed from is known.

    Attributes:
        segment: what should compute it.
        actual: what it is.
        expected: what it should be, in float64.
        budget: how far two arrays may be apart that are the same.
    """

    segment: Segment
    actual: Array
    expected: Array
    budget: Error

    def matches(self, candidate: Array | None) -> bool:
        """Whether the wrong value is ``candidate``, and that is not what it should be."""
        if candidate is None or candidate.shape != self.actual.shape or not candidate.size:
            return False
        if not compare.is_inexact(self.actual.dtype) or not self.budget.is_finite:
            return self._agrees(candidate) and not self._agrees(self.expected)
        error = compare.measure(self.actual, candidate)
        # What changes nothing explains nothing, even where much is allowed.
        return error.within(self.budget) and 2 * error.l2 < compare.measure(self.actual, self.expected).l2

    def _agrees(self, candidate: Array) -> bool:
        """For integers: equal, but for some that were rounded to the other side."""
        with np.errstate(all="ignore"):
            apart = np.abs(self.actual.astype(np.float64) - candidate.astype(np.float64))
        share = float(np.mean(apart > 0))
        return float(np.max(apart)) <= 1 and not quanta.is_too_many(share, apart.size)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A way in which the value may have gone wrong.

    Attributes:
        text: it in words, after "matches".
        make: computes what the value would be then; None where that cannot be.
        node: the operator that would be wrong; None for the one that makes the value.
    """

    text: str
    make: Callable[[], Array | None]
    node: Node[Op] | None = None


def varied(segment: Segment, variant: Variant) -> Callable[[], Array | None]:
    """Runs a variant of a segment when asked to."""
    return lambda: segment.run(variant)
