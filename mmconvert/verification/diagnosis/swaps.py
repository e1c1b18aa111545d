"""Two operands of an operator the other way round."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """The first two operands of each operator swapped."""
    for node in suspect.segment.nodes:
        first = node.inputs[:2]
        if len(first) == 2 and first[0] is not None and first[1] is not None:
            swapped = Variant(operands={node: (first[1], first[0], *node.inputs[2:])})
            yield Hypothesis("with its operands swapped", varied(suspect.segment, swapped), node)
