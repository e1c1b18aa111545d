"""What a wrong value is instead: what usually goes wrong is tried, one family of hypotheses in each file.

The numbers that the operator got are known, so each hypothesis is a computation, right or wrong: "matches
under permute(0,2,3,1)", "matches with epsilon=0.001", "matches with the gates in the order 0,2,1,3".
"""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.verification import compare
from mmconvert.verification.diagnosis import (
    activations,
    arrangement,
    attributes,
    operands,
    recurrent,
    scale,
    swaps,
    weights,
    windows,
)
from mmconvert.verification.diagnosis.suspect import Suspect

__all__ = ["Diagnosis", "Suspect", "diagnose"]

FAMILIES = (attributes, windows, recurrent, swaps, weights, activations, arrangement, operands, scale)
"""In the order in which they are tried: what says more comes first, and what fits more comes last."""

MOST_ELEMENTS = 1 << 22
"""Larger values are not explained: each hypothesis is a run of the operator."""

LEAST_INTEGERS = 16
"""A few integers, or truth values, are soon explained by anything."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found: in words, and the operator that is wrong where the hypothesis names one."""

    text: str
    node: Node[Op] | None


def diagnose(suspect: Suspect) -> Diagnosis | None:
    """The first hypothesis that gives exactly what was computed; None when there is none."""
    actual = suspect.actual
    if actual.size > MOST_ELEMENTS or actual.shape != suspect.expected.shape:
        return None
    if actual.size < LEAST_INTEGERS and not compare.is_inexact(actual.dtype):
        return None
    for family in FAMILIES:
        for hypothesis in family.hypotheses(suspect):
            if suspect.matches(hypothesis.make()):
                return Diagnosis(f"matches {hypothesis.text}", hypothesis.node)
    return None
