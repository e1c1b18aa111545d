"""What there is to look at beside a verdict: differences, layers, and the surroundings of the worst operator.

A verdict comes of a few numbers for each output. A report shows what they are made of, also for a target that
is equivalent; it costs one more run of source and target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmconvert.errors import MMConvertError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification import compare
from mmconvert.verification.blame import Chain
from mmconvert.verification.evidence import HIGHEST, LOWEST, STEP, Evidence, Histogram
from mmconvert.verification.fault import LayerError
from mmconvert.verification.inputs import Feed
from mmconvert.verification.inside import Inside, look_inside
from mmconvert.verification.judge import Progress, fed, observe, run_as
from mmconvert.verification.matching import Match
from mmconvert.verification.neighbourhood import around
from mmconvert.verification.shown import Shown, shown_by_graph, shown_by_runtime
from mmconvert.verification.sides import Side
from mmconvert.verification.verdict import Verdict

INNER = " (inner)"
"""What the name of an inner value gets where an output has that name."""


def gather(
    verdict: Verdict, chain: Chain, feeds: Sequence[Feed], k: float, progress: Progress = lambda _: None
) -> None:
    """Puts ``Verdict.evidence`` and ``Verdict.layers`` into a verdict, whichever way it came out.

    Args:
        verdict: what was found at the ends, and who is to blame.
        chain: what lies between; its ``source`` is what the target was judged against.
        feeds: the inputs that were tried.
        k: how many times the source's own float32 error the target may have.
        progress: is told what is done.
    """
    if not verdict.was_run or not feeds:
        return
    progress("looking at every layer")
    evidence = verdict.evidence = Evidence(operators=len(chain.source))
    feed = feeds[0]
    if not verdict.failure:
        evidence.histograms, feed = _histograms(chain.source, chain.target, feeds)
    try:
        written = None if chain.read is None else chain.read()
    except MMConvertError:  # told already, where it matters
        written = None
    shown = _shown(evidence, chain, written, feed)
    if not shown:
        return
    try:
        inside = look_inside(chain.source, feed, shown, k=k, moved=True)
    except MMConvertError as error:
        evidence.hidden = f"the inner values were not compared: {error.message}"
        return
    if verdict.passed:  # what is not recognised where the ends agree was not found, and is not wrong
        inside = replace(inside, layers=[layer for layer in inside.layers if layer.is_right])
    verdict.layers = inside.layers or verdict.layers
    _surroundings(verdict, evidence, chain.source, written, inside)


def _shown(evidence: Evidence, chain: Chain, written: Graph | None, feed: Feed) -> list[Shown]:
    """The inner values of the target; where its runtime hides them, those of the file read back."""
    target = chain.target
    try:
        given = fed(feed, target, [])
        inner, ends = target.intermediates(given), target.runnable.run(target.permutations.feed(given))
        names = chain.source.output_names
        if set(ends) != set(names):
            ends = dict(zip(names, ends.values(), strict=True))
        return shown_by_runtime(_apart(inner, ends), written)
    except MMConvertError as error:
        evidence.hidden = error.message
    if written is None:
        return []
    try:
        own = {value.name: None for value in written.inputs}
        moved = target.permutations.feed(feed)
        values = moved if set(own) == set(moved) else dict(zip(own, moved.values(), strict=False))
        return shown_by_graph(written, values, "float32")
    except MMConvertError:
        return []


def _apart(inner: Mapping[str, Array], ends: Mapping[str, Array]) -> dict[str, Array]:
    """Inner values and outputs together: a format may have a tensor with the name of another one's output."""
    found = {}
    for name, array in inner.items():
        is_end = name not in ends or np.array_equal(
            array, ends[name], equal_nan=np.issubdtype(array.dtype, np.inexact)
        )
        found[name if is_end else name + INNER] = array
    return found | dict(ends)


# --- differences at the ends -----------------------------------------------------------------------------


def _histograms(graph: Graph, target: Side, feeds: Sequence[Feed]) -> tuple[list[Histogram], Feed]:
    """A histogram for each output of floats, and the input on which the target is furthest off."""
    histograms = {name: Histogram(name) for name in graph.output_names}
    bins = {name: np.zeros((2, round((HIGHEST - LOWEST) / STEP)), np.int64) for name in histograms}
    worst = (-1.0, feeds[0])
    for feed in feeds:
        observation = observe(graph, [feed]).observations[0]
        actual = run_as(target, feed, observation.truth, [])
        for name, histogram in histograms.items():
            truth, own, seen = observation.truth[name], observation.own[name], actual[name]
            error = compare.measure(seen, truth, own)
            worst = max(worst, (error.maximum, feed), key=lambda entry: entry[0])
            if compare.is_inexact(truth.dtype) and seen.shape == truth.shape == own.shape:
                _count(histogram, bins[name], truth, own, seen)
    found = []
    for name, histogram in histograms.items():
        used = np.flatnonzero(bins[name].any(axis=0))
        if used.size:
            kept = bins[name][:, used[0] : used[-1] + 1]
            histogram.first = LOWEST + STEP * int(used[0])
            histogram.target, histogram.source = kept[0].tolist(), kept[1].tolist()
        if histogram.elements:
            found.append(histogram)
    return found, worst[1]


def _count(histogram: Histogram, bins: Array, truth: Array, own: Array, seen: Array) -> None:
    kind = np.complex128 if np.iscomplexobj(truth) else np.float64
    t = truth.astype(kind).reshape(-1)
    scale = float(np.max(np.abs(t[np.isfinite(t)]), initial=0.0)) or 1.0
    histogram.elements += t.size
    for row, array in enumerate((seen, own)):
        a = array.astype(kind).reshape(-1)
        comparable = np.isfinite(a) & np.isfinite(t)
        distance = np.abs(a[comparable] - t[comparable]) / scale
        away = distance[distance > 0]
        decades = np.clip(np.log10(away), LOWEST, HIGHEST - STEP / 2)
        bins[row] += np.histogram(decades, bins.shape[1], (LOWEST, HIGHEST))[0]
        if row:
            histogram.source_equal += distance.size - away.size
        else:
            same = np.isnan(a) & np.isnan(t) | (a == t)
            histogram.incomparable += int(np.sum(~comparable & ~same))
            histogram.equal += distance.size - away.size


# --- the worst operator ----------------------------------------------------------------------------------


def _surroundings(
    verdict: Verdict, evidence: Evidence, source: Graph, written: Graph | None, inside: Inside
) -> None:
    """Finds the worst operator in both graphs."""
    layers = _by_value(inside.matches, inside.layers)
    centre = _worst(verdict, source, layers)
    if centre is None:
        return
    evidence.source = around(source, centre, layers)
    if written is None:
        return
    named = {layer.value: layer for layer in inside.layers}
    ends = zip(written.output_names, written.outputs, strict=True)
    inner = {v.name: v for node in written for v in node.outputs if v.name}
    values = inner | {name + INNER: value for name, value in inner.items()} | dict(ends)
    theirs = {value: named[name] for name, value in values.items() if name in named}
    counterpart = _counterpart(centre, inside.matches, values)
    if counterpart is not None:
        evidence.target = around(written, counterpart, theirs)


def _by_value(matches: Mapping[Value, Match], layers: Sequence[LayerError]) -> dict[Value, LayerError]:
    found = {(layer.place, layer.value): layer for layer in layers}
    keys = {
        value: (value.producer.place, match.shown.name)
        for value, match in matches.items()
        if value.producer is not None
    }
    return {value: found[key] for value, key in keys.items() if key in found}


def _worst(verdict: Verdict, source: Graph, layers: Mapping[Value, LayerError]) -> Node[Op] | None:
    """What the first fault names, else what is furthest over its budget, or nearest to it."""
    for fault in verdict.faults:
        named = [node for node in source if fault.place and node.place == fault.place]
        if named:
            return next((node for node in named if node.op.name == fault.operator), named[-1])
    if not layers:
        return None
    return max(layers, key=lambda value: _rank(layers[value])).producer


def _rank(layer: LayerError) -> tuple[bool, float]:
    """Orders layers: those with an error of their own first, then by how much of the budget is used up."""
    own = layer.is_at_fault
    share = (layer.local if own and layer.local is not None else layer.error).over(layer.budget)
    return own, share if np.isfinite(share) else float("inf")


def _counterpart(
    centre: Node[Op], matches: Mapping[Value, Match], values: Mapping[str, Value]
) -> Node[Op] | None:
    """The node of the target that makes what ``centre`` does, or the next value that the target has."""
    waiting, seen = [centre], {centre}
    while waiting:
        node = waiting.pop(0)
        for value in node.outputs:
            name = matches[value].shown.name if value in matches else ""
            found = values.get(name)
            if found is not None and found.producer is not None:
                return found.producer
        following = [user for value in node.outputs for user in value.users if user not in seen]
        seen.update(following)
        waiting += following
    return None
