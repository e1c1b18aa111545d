"""Runs truth, source and target on the same inputs and applies the acceptance rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError, UsageError
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Array, DType
from mmconvert.verification import compare, quanta
from mmconvert.verification.compare import Error
from mmconvert.verification.inputs import Feed
from mmconvert.verification.insight import insights
from mmconvert.verification.invariants import invariants
from mmconvert.verification.localize import first_divergence
from mmconvert.verification.roundings import Trials
from mmconvert.verification.saturation import excuse, is_approximate, logarithm, saturates
from mmconvert.verification.sides import Side, interpreted
from mmconvert.verification.verdict import OutputVerdict, Verdict

Progress = Callable[[str], None]
"""Is told what is being done, in a few words, whenever that changes."""

HOPELESS = 1e4
"""An error that is this many times over its budget does not come of rounding, however often one rounds."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the source computes from one input.

    Attributes:
        feed: the input.
        truth: the outputs in float64.
        own: the outputs of the interpreter in float32.
        witness: the outputs of the source's own framework, where it was asked.
        unrounded: the same before the weights were rounded, where they were: what float32 arithmetic does to
            the one it may do to the other.
        trials: the outputs in float32 where every operation rounds otherwise.
    """

    feed: Feed
    truth: Mapping[str, Array]
    own: Mapping[str, Array]
    witness: Mapping[str, Array] | None = None
    unrounded: Observation | None = None
    trials: Iterable[Mapping[str, Array]] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A source and what it computes, against which targets are judged.

    Attributes:
        graph: the source as it was read.
        source: what computed its float32 outputs.
        observations: what it computed, one for each input.
        notes: what a reader should know.
    """

    graph: Graph
    source: str
    observations: list[Observation]
    notes: list[str]


def observe(
    graph: Graph, feeds: Sequence[Feed], witness: Side | None = None, progress: Progress = lambda _: None
) -> Reference:
    """Runs the source on every input, in float64 and in float32.

    Args:
        graph: the source as it was read; its float64 run is the truth.
        feeds: the inputs to try.
        witness: the source in its own framework. Inputs that it does not take are left out, with a note.
        progress: is told what runs.

    Raises:
        UsageError: an input does not fit, or the framework takes none of them.
        InvalidModelError: the source cannot run.
    """
    truth_side, own_side = interpreted(graph, "float64"), interpreted(graph)
    reference = Reference(graph, (witness or own_side).description, [], [])
    refused: UsageError | None = None
    for feed in feeds:
        progress("running the source in float64")
        truth = truth_side.run(feed)
        progress("running the source in float32")
        own, seen = own_side.run(feed), None
        if witness is not None:
            progress(f"running the source in {witness.description}")
            try:
                seen = run_as(witness, feed, truth, reference.notes)
            except UsageError as error:
                refused = error
                continue
        reference.observations.append(Observation(feed, truth, own, seen, trials=Trials(graph, feed)))
    if refused is not None:
        if not reference.observations:
            raise refused
        tried = f"{len(reference.observations)} of {len(feeds)} inputs were tried"
        reference.notes.append(f"{tried}, the source does not take the others: {refused.message}")
    return reference


def judge(
    reference: Reference,
    target: Side,
    *,
    k: float = compare.K,
    progress: Progress = lambda _: None,
    localize: bool = True,
    tolerance: float | None = None,
) -> Verdict:
    """The verdict on ``target``.

    Where the source's own framework was asked as well, that has to agree with the truth, too: what is wrong
    may be how mmconvert read the file. Its error then counts as the source's own, beside the interpreter's.

    Args:
        reference: what the target should compute.
        target: what is judged.
        k: how many times the source's error the target may have.
        progress: is told what runs.
        localize: whether to look for the first wrong operator of a target that is not equivalent.
        tolerance: what the error of floats may be, in place of the budget that follows from the source's.

    Raises:
        UsageError: the tolerance is no positive number.
    """
    require_tolerance(tolerance)
    graph, observations = reference.graph, reference.observations
    ends = list(zip(graph.output_names, graph.outputs, strict=True))
    verdict = Verdict(target.level, reference.source, target.description, inputs=len(observations))
    verdict.notes += reference.notes
    verdict.tolerance = tolerance
    if tolerance is not None:
        verdict.notes.append(f"the tolerance {tolerance:g} was given: the derived budgets were not applied")
    witnessed = [
        [_score(o, v, n, o.witness[n], k) for n, v in ends] for o in observations if o.witness is not None
    ]
    verdict.source_outputs = _summarise(witnessed)
    scores: list[list[OutputVerdict]] = []
    runs: list[tuple[Mapping[str, Array], Mapping[str, Array]]] = []
    try:
        for o in observations:
            progress(f"running the target in {target.description}")
            actual = run_as(target, o.feed, o.truth, verdict.notes)
            runs.append((o.truth, actual))
            trusted = verdict.source_agrees
            scored = [_score(o, v, n, actual[n], k, trusted=trusted) for n, v in ends]
            scores.append([tolerated(s, v, tolerance) for s, (_, v) in zip(scored, ends, strict=True)])
    except (InvalidModelError, UnsupportedError, UsageError) as error:
        verdict.failure = str(error)
    verdict.outputs = _summarise(scores)
    verdict.invariants = invariants(graph, runs, verdict.outputs) if scores else []
    verdict.notes += insights(graph, [o.truth for o in observations], verdict.outputs)
    verdict.notes += [f"the output {i.output!r}: not {i.rule}" for i in verdict.invariants if not i.held]
    if localize and not verdict.failure and any(not o.passed and o.is_wrong for o in verdict.outputs):
        progress("looking for the first operator that is wrong")
        worst = max(range(len(scores)), key=lambda i: max(_severity(o) for o in scores[i]))
        _localize(verdict, graph, target, observations[worst].feed, k)
    return verdict


def require_tolerance(tolerance: float | None) -> None:
    """Makes sure that a tolerance, where there is one, is a positive number.

    Raises:
        UsageError: it is not.
    """
    if tolerance is not None and not 0 < tolerance < float("inf"):
        raise UsageError(f"a tolerance is a positive number, not {tolerance:g}")


def tolerated(score: OutputVerdict, value: Value, tolerance: float | None) -> OutputVerdict:
    """An output held to the user's tolerance; integers still have to be equal."""
    if tolerance is None or not compare.is_inexact(value.type.dtype):
        return score
    given = Error(tolerance, tolerance)
    return replace(score, budget=given, derived=score.budget, passed=score.error.within(given))


def _localize(verdict: Verdict, graph: Graph, target: Side, feed: Feed, k: float) -> None:
    try:
        actual = target.intermediates(fed(feed, target, []))
    except MMConvertError as error:
        verdict.notes.append(f"the first wrong operator was not looked for: {error.message}")
        return
    verdict.first_divergence = first_divergence(graph, feed, actual, k)


def _score(
    observation: Observation, value: Value, name: str, actual: Array, k: float, *, trusted: bool = False
) -> OutputVerdict:
    """One output on one input; ``trusted`` lets the error of the source's framework count as its own.

    What is over the budget of one float32 run may be within that of several.
    """
    witness = observation.witness if trusted else None
    runs = [observation.own[name], *([witness[name]] if witness is not None else [])]
    score = _judged(observation, value, name, actual, runs, k)
    if score.passed or (score.error.is_finite and _over(score) > HOPELESS):
        return score
    for trial in observation.trials:
        runs.append(trial[name])
        score = _judged(observation, value, name, actual, runs, k)
        if score.passed:
            break
    return score


def score_value(value: Value, actual: Array, truth: Array, own: Array, k: float) -> OutputVerdict:
    """An inner value beside one run of the source, by the rule for outputs."""
    name = value.name
    return _judged(Observation({}, {name: truth}, {name: own}), value, name, actual, [own], k)


def _judged(
    observation: Observation, value: Value, name: str, actual: Array, runs: Sequence[Array], k: float
) -> OutputVerdict:
    """One output beside several runs of the source, of which the first is its own."""
    truth, own = observation.truth[name], runs[0]
    if own.shape != truth.shape:  # rounding decided how many elements there are
        truth = own
    runs = [run for run in runs if run.shape == truth.shape]
    if not compare.is_inexact(
        own.dtype
    ):  # where it decides between integers, each run is as good as the first
        own = next((run for run in runs if compare.measure(actual, truth, run).is_finite), own)
    twin = observation.unrounded
    pair = (own, truth) if twin is None else (twin.own[name], twin.truth[name])
    score = _compare(name, actual, truth, own, runs, pair, k)
    unit = quanta.quantum(value)
    alike = actual.shape == truth.shape and dtypes.is_float(actual.dtype) == dtypes.is_float(own.dtype)
    if unit and alike:
        on_grid = _on_grid(score, actual, truth, own, runs, unit, k)
        return score if score.passed and on_grid.passed else on_grid
    if not score.passed and is_approximate(value):
        excused = [excuse(run, truth) for run in runs]
        return _compare(name, excuse(actual, truth), truth, own, excused, pair, k, own.dtype)
    if not score.passed or not saturates(value):
        return score
    a, t, o, *p = (logarithm(array, own.dtype) for array in (actual, truth, own, *pair))
    logs = [logarithm(run, own.dtype) for run in runs]
    return max(score, _compare(name, a, t, o, logs, (p[0], p[1]), k, own.dtype), key=_over)


def _on_grid(
    exact: OutputVerdict,
    actual: Array,
    truth: Array,
    own: Array,
    runs: Sequence[Array],
    unit: float,
    k: float,
) -> OutputVerdict:
    """Judges values on a grid, each of which may be one unit away; what floats may differ by comes on top.

    As many may be as rounding explains, or ``k`` times as many as are in the runs of the source.
    """
    near, allowed = quanta.nearest(actual, truth, own), quanta.one(truth, unit)
    allowed = allowed.plus(exact.budget) if exact.budget.is_finite else allowed
    error = compare.measure(actual.astype(np.float64), near)
    errors = (compare.measure(run.astype(np.float64), quanta.nearest(run, truth, own)) for run in runs)
    share = quanta.moved(actual, near, unit)
    usual = max(quanta.moved(run.astype(np.float64), truth, unit) for run in runs)
    passed = error.within(allowed) and not quanta.is_too_many(share, actual.size, k * usual)
    return OutputVerdict(exact.name, error, reduce(Error.worst, errors), allowed, passed, share)


def _compare(
    name: str,
    actual: Array,
    truth: Array,
    own: Array,
    runs: Sequence[Array],
    twin: tuple[Array, Array],
    k: float,
    dtype: DType | None = None,
) -> OutputVerdict:
    """One output as it is, or some function of it.

    Args:
        name: the output's.
        actual, truth, own: what is judged, and what the source computes.
        runs: what the source computes, in several ways; those whose error can be measured count.
        twin: the float32 outputs and their truth whose error counts as well.
        k: how many times the source's error the target may have.
        dtype: that of the output, where the arrays are something else than the output itself.
    """
    errors = [compare.measure(own, truth, own), *(compare.measure(run, truth, own) for run in runs)]
    errors.append(compare.measure(twin[0], twin[1], twin[0]))
    own_error = reduce(Error.worst, (e for e in errors[1:] if e.is_finite), errors[0])
    allowed = compare.budget(own_error, dtype or own.dtype, k)
    error = compare.measure(actual, truth, own)
    return OutputVerdict(name, error, own_error, allowed, error.within(allowed))


def _summarise(scores: Sequence[Sequence[OutputVerdict]]) -> list[OutputVerdict]:
    """For each output the input on which it came closest to its budget, or went furthest over it."""
    return [max(_with_shared_budget(outputs), key=_severity) for outputs in zip(*scores, strict=True)]


def _with_shared_budget(outputs: Sequence[OutputVerdict]) -> list[OutputVerdict]:
    """One output on each input, held to the largest of the budgets.

    One float32 run may happen to come close to the truth; what rounding can do to an output shows better in
    several. A budget that is a quantum, or none, holds for its own input alone.
    """
    if any(o.derived or o.moved or not o.budget.is_finite for o in outputs):
        return list(outputs)
    source = reduce(Error.worst, (o.source_error for o in outputs))
    budget = reduce(Error.worst, (o.budget for o in outputs))
    return [replace(o, source_error=source, budget=budget, passed=o.error.within(budget)) for o in outputs]


def _over(output: OutputVerdict) -> float:
    return output.error.over(output.budget)


def _severity(output: OutputVerdict) -> tuple[bool, float]:
    """Orders outputs; one may fail within its budget, when too many of its values are off by one unit."""
    return not output.passed, _over(output)


def run_as(side: Side, feed: Feed, truth: Mapping[str, Array], notes: list[str]) -> Mapping[str, Array]:
    """The outputs of ``side`` under the names of the truth."""
    results = side.run(fed(feed, side, notes))
    if set(results) == set(truth):
        return results
    return dict(zip(truth, _matched("outputs", truth, results, side, notes), strict=True))


def fed(feed: Feed, side: Side, notes: list[str]) -> Feed:
    """``feed`` under the names that the side has for its inputs, matched in order when they differ."""
    names = side.runnable.inputs
    if set(names) == set(feed):
        return feed
    _matched("inputs", feed, dict.fromkeys(names), side, notes)
    return dict(zip(names, feed.values(), strict=True))


def _matched(
    ends: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], side: Side, notes: list[str]
) -> list[Any]:
    """Says that inputs or outputs were matched in order.

    Raises:
        UsageError: their numbers differ, so there is no telling which is which.
    """
    if len(ours) != len(theirs):
        raise UsageError(
            f"the source has {len(ours)} {ends} ({', '.join(ours)}), "
            f"and {side.description} has {len(theirs)} ({', '.join(theirs)})"
        )
    pairs = ", ".join(f"{a} = {b}" for a, b in zip(ours, theirs, strict=True))
    note = f"{ends} of {side.description} matched in order: {pairs}"
    if note not in notes:
        notes.append(note)
    return list(theirs.values())
