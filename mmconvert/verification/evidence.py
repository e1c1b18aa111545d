"""What a report shows beside a verdict, as plain data; ``examine.py`` gathers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmconvert.verification.neighbourhood import Neighbourhood

STEP = 0.25
"""The width of a bin in decades."""

LOWEST, HIGHEST = -12.0, 4.0
"""Decades of the first bin and the last, which take what lies beyond."""


@dataclass(slots=True)
class Histogram:
    """How far the elements of one output are from the truth, over its scale, on all inputs together.

    Attributes:
        output: its name.
        first: the decade where the first bin begins; each is ``STEP`` wide.
        target, source: how many elements of the target, and of the source's float32 run, are in each bin.
        equal, source_equal: how many are exactly the truth, and so in no bin.
        incomparable: how many elements of the target are NaN or infinite where the truth is not, or the other
            way round.
        elements: how many there are.
    """

    output: str
    first: float = LOWEST
    target: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    equal: int = 0
    source_equal: int = 0
    incomparable: int = 0
    elements: int = 0

    def to_json(self) -> dict[str, Any]:
        """The histogram as plain data."""
        names = ("output", "first", "target", "source", "equal", "source_equal", "incomparable", "elements")
        return {"step": STEP, **{name: getattr(self, name) for name in names}}


@dataclass(slots=True)
class Evidence:
    """What to look at.

    Attributes:
        histograms: one for each output of floats.
        operators: how many operators the source has.
        hidden: why the inner values are those of the file read back, and not of the runtime; empty where they
            are the runtime's.
        source, target: the worst operator's neighbourhood in both; None where it was not found there.
    """

    histograms: list[Histogram] = field(default_factory=list)
    operators: int = 0
    hidden: str = ""
    source: Neighbourhood | None = None
    target: Neighbourhood | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as plain data."""
        return {
            "operators": self.operators,
            "hidden": self.hidden,
            "histograms": [histogram.to_json() for histogram in self.histograms],
            "source": None if self.source is None else self.source.to_json(),
            "target": None if self.target is None else self.target.to_json(),
        }
