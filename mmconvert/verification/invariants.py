"""What must hold of an output whatever the numbers: read off the graph, and checked in the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.types import Array
from mmconvert.verification import compare, quanta
from mmconvert.verification.saturation import is_approximate, origin
from mmconvert.verification.verdict import Invariant, OutputVerdict

_STILL = (ops.Identity,)


Runs = Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]]
"""The truth and what the target gave, for each input."""


def invariants(graph: Graph, runs: Runs, outputs: Sequence[OutputVerdict]) -> list[Invariant]:
    """What holds of the outputs of ``graph``, and whether the target keeps to it.

    Args:
        graph: the source.
        runs: its outputs in float64, and those of the target.
        outputs: how the target did, which says what its errors may be.
    """
    found = []
    for value, verdict in zip(graph.outputs, outputs, strict=True):
        pairs = [(truth[verdict.name], actual[verdict.name]) for truth, actual in runs]
        pairs = [(truth, actual) for truth, actual in pairs if truth.shape == actual.shape and truth.size]
        if pairs:
            rules = _rules(value, pairs, verdict)
            found += [Invariant(verdict.name, rule, held) for rule, held in rules]
    return found


def _rules(
    value: Value, pairs: Sequence[tuple[Array, Array]], verdict: OutputVerdict
) -> Iterator[tuple[str, bool]]:
    if not dtypes.is_float(value.type.dtype):
        if not quanta.quantum(value):
            yield "integers are equal", verdict.passed
        return
    finite = all(np.all(np.isfinite(a[np.isfinite(t)])) for t, a in pairs)
    yield "finite where the source is", finite
    if is_approximate(value):
        yield "within 0 and 1", all(bool(np.all((a >= 0) & (a <= 1))) for _, a in pairs)
    node = origin(value, _STILL).producer
    if is_op(node, ops.Softmax) and value.type.rank:
        axis, slack = node.op.axis, compare.floor(value.type.dtype)
        sums = (np.sum(a.astype(np.float64), axis) for _, a in pairs)
        yield "sums to one", all(bool(np.all(np.abs(s - 1) <= slack)) for s in sums)
        near = 2 * verdict.budget.maximum
        yield "the largest is the same", all(_agrees(t, a, axis, near) for t, a in pairs)


def _agrees(truth: Array, actual: Array, axis: int, near: float) -> bool:
    """Whether what is largest in ``actual`` is so in ``truth``, or as good as."""
    chosen = np.take_along_axis(truth, np.argmax(actual, axis, keepdims=True), axis)
    largest = np.max(truth, axis, keepdims=True)
    return bool(np.all(chosen >= largest - near * np.max(largest)))
