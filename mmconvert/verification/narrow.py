"""The verdict on a target whose weights were rounded to fewer bits: two questions, and a measure of the loss.

What was rounded is a lowered graph. Before its weights were rounded it has to compute what the source does;
with the rounded weights it is the reference for the file, by the same rule. What the rounding itself does
to the outputs is no matter of right and wrong, and is told in decibels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.verification import compare
from mmconvert.verification.judge import Progress, Reference, judge, observe
from mmconvert.verification.sides import UNMOVED, Side, interpreted
from mmconvert.verification.verdict import Verdict


def judge_narrow(
    source: Reference,
    exact: Graph,
    rounded: Graph,
    target: Side,
    *,
    k: float = compare.K,
    progress: Progress = lambda _: None,
    tolerance: float | None = None,
) -> Verdict:
    """The verdict on ``target``, which is ``rounded`` as a file.

    Args:
        source: the source and what it computes.
        exact: the lowered graph with the source's weights.
        rounded: the same with the weights that the file has.
        target: what is judged.
        k: how many times the error of a float32 run the target may have.
        progress: is told what runs.
        tolerance: what its error may be instead; see ``judge``.

    Returns:
        The verdict against ``rounded``, with ``Verdict.losses``; where the lowered graph is not equivalent to
        the source, that verdict.
    """
    moved = target.permutations
    before = judge(source, replace(interpreted(exact), permutations=moved), k=k, progress=progress)
    if not before.passed:
        before.notes.append("already the graph that the file was made from, before its weights were rounded")
        return before
    feeds = [moved.feed(observation.feed) for observation in source.observations]
    reference = observe(rounded, feeds, progress=progress)
    reference.observations[:] = [
        replace(after, unrounded=unrounded)
        for after, unrounded in zip(reference.observations, source.observations, strict=True)
    ]
    unmoved = replace(target, permutations=UNMOVED)
    verdict = judge(reference, unmoved, k=k, progress=progress, tolerance=tolerance)
    verdict.notes[:0] = before.notes
    for name in rounded.output_names:
        pairs = [
            (moved.output(name, o.unrounded.truth[name]), o.truth[name])
            for o in reference.observations
            if o.unrounded is not None
        ]
        ratio = sqnr(pairs)
        if ratio is not None:
            verdict.losses[name] = ratio
    return verdict


def sqnr(pairs: list[tuple[Array, Array]]) -> float | None:
    """The ratio of signal to noise of rounding, in decibels: ``10 log10(sum(a**2) / sum((a - b)**2))``.

    Args:
        pairs: true and rounded arrays of one output.

    Returns:
        Infinity where nothing changed; None for integers, and for outputs of other shapes or that are not
        finite, where there is no such ratio.
    """
    signal = noise = 0.0
    for a, b in pairs:
        if not np.issubdtype(a.dtype, np.inexact) or a.shape != b.shape:
            return None
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(b)):
            return None
        signal += float(np.sum(np.abs(a[finite]) ** 2))
        noise += float(np.sum(np.abs(a[finite] - b[finite]) ** 2))
    if not signal:
        return None
    return float(10 * np.log10(signal / noise)) if noise else float("inf")
