"""Runs truth, source and target on the same inputs and applies the acceptance rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mmconvert.errors import UsageError
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.verify import compare
from mmconvert.verify.compare import Error
from mmconvert.verify.inputs import Feed
from mmconvert.verify.localize import first_divergence
from mmconvert.verify.sides import Side, interpreted
from mmconvert.verify.verdict import OutputVerdict, Verdict

Progress = Callable[[str], None]


def judge(
    graph: Graph,
    target: Side | None,
    feeds: Sequence[Feed],
    *,
    source: Side | None = None,
    k: float = compare.K,
    progress: Progress = lambda _: None,
) -> Verdict:
    """The verdict on ``target`` for the function that ``graph`` is.

    Args:
        graph: the parsed source; its float64 run is the truth.
        target: what is judged; None gives a verdict that says "not executed".
        feeds: the inputs to try.
        source: what gives the source's float32 outputs; the interpreter by default.
        k: how many times the source's error the target may have.
        progress: is told what runs.
    """
    if target is None:
        return Verdict("not executed", notes=["the target's runtime is not installed, and the format has no reader"])
    truth_side = interpreted(graph, "float64")
    source = source or interpreted(graph)
    collected: dict[str, list[tuple[Error, Error, Error]]] = {n: [] for n in graph.output_names}
    notes: list[str] = []
    for feed in feeds:
        progress("the float64 truth")
        truth = truth_side.run(feed)
        progress(source.description)
        own = _renamed(source.run(feed), truth, notes, source.description)
        progress(target.description)
        actual = _renamed(target.run(_fed(feed, target)), truth, notes, target.description)
        for value, name in zip(graph.outputs, graph.output_names, strict=True):
            own_error = compare.measure(own[name], truth[name])
            target_error = compare.measure(actual[name], truth[name])
            collected[name].append((target_error, own_error, compare.budget(own_error, value.type.dtype, k)))
    outputs = [_output(name, errors) for name, errors in collected.items()]
    verdict = Verdict(target.level, source.description, target.description, outputs, len(feeds), notes=notes)
    if not verdict.passed:
        verdict.first_divergence = first_divergence(graph, target, feeds[0], k)
    return verdict


def _output(name: str, errors: Sequence[tuple[Error, Error, Error]]) -> OutputVerdict:
    """The input on which the target came closest to, or went furthest over, its budget."""
    passed = all(error.within(allowed) for error, _, allowed in errors)
    error, own, allowed = max(errors, key=lambda e: max(_over(e[0].maximum, e[2].maximum), _over(e[0].l2, e[2].l2)))
    return OutputVerdict(name, error, own, allowed, passed)


def _over(error: float, allowed: float) -> float:
    return error / allowed if allowed > 0 else error


def _fed(feed: Feed, side: Side) -> Feed:
    """``feed`` under the names that the side has for its inputs, matched in order when they differ."""
    names = side.runnable.inputs
    if set(names) == set(feed):
        return feed
    if len(names) != len(feed):
        raise UsageError(f"the models have {len(feed)} and {len(names)} inputs: {', '.join(feed)}; {', '.join(names)}")
    return dict(zip(names, feed.values(), strict=True))


def _renamed(
    results: Mapping[str, Array], truth: Mapping[str, Array], notes: list[str], description: str
) -> Mapping[str, Array]:
    if set(results) == set(truth):
        return results
    if len(results) != len(truth):
        raise UsageError(
            f"the models have {len(truth)} and {len(results)} outputs: {', '.join(truth)}; {', '.join(results)}"
        )
    note = f"outputs of {description} matched in order: " + ", ".join(
        f"{a} = {b}" for a, b in zip(truth, results, strict=True)
    )
    if note not in notes:
        notes.append(note)
    return dict(zip(truth, results.values(), strict=True))
