"""The right operator over operands of which one is in another order."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.verification.diagnosis.arrangement import orders
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """Each value that the segment reads, reordered."""
    for index, (value, given) in enumerate(suspect.segment.given.items()):
        for text, array in orders(given):
            run = varied(suspect.segment, Variant(given={value: array}))
            yield Hypothesis(f"with the operand {value.name or index} {text}", run)
