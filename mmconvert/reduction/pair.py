"""Two files that disagree, where converting the first once more gives something else than the second: the
part of each that lies between the last values on which they agree and the first on which they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmconvert.errors import MMConvertError
from mmconvert.interpreter import run
from mmconvert.ir.ends import rename_ends
from mmconvert.ir.extract import best_names, extract, label, named_values
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.reduction import rewrite
from mmconvert.reduction.trial import Failure, failure_of
from mmconvert.verification import inputs
from mmconvert.verification.inputs import Feed
from mmconvert.verification.inside import look_inside
from mmconvert.verification.judge import fed, judge, observe, score_value
from mmconvert.verification.matching import Match
from mmconvert.verification.shown import shown_by_graph
from mmconvert.verification.sides import IoPermutations, Side, interpreted


@dataclass(frozen=True, slots=True)
class Pair:
    """The same part of two files.

    Attributes:
        source, target: the parts; their inputs and outputs have the same names.
        failure: how they differ.
    """

    source: Graph
    target: Graph
    failure: Failure


def disagreement(source: Graph, target: Graph, seed: int, k: float) -> Pair | None:
    """The smallest part on which two graphs disagree.

    Args:
        source: what is right.
        target: what is not.
        seed, k: see ``mmconvert.verify``.

    Returns:
        None where none was found, because they agree on what the interpreter computes.
    """
    for feed in inputs.generate(source, seed=seed):
        try:
            given = fed(feed, interpreted(target), [])
            shown = shown_by_graph(target, given)
            found = look_inside(source, feed, shown, stage="file", k=k, moved=True)
            right = _right(source, feed, found.matches, k)
        except MMConvertError:
            continue
        made = dict(zip(map(id, shown), (v for node in target for v in node.outputs), strict=True))
        theirs = {v: made[id(match.shown)] for v, match in found.matches.items()}
        theirs |= {v: next(t for t in target.inputs if given[t.name] is feed[v.name]) for v in source.inputs}
        wrong = [v for v in found.matches if v not in right]
        for value in sorted(wrong, key=[*source.values()].index):
            pair = _cut(source, target, value, right, theirs, found.matches, seed, k)
            if pair is not None:
                return pair
    return None


def _right(source: Graph, feed: Feed, matches: Mapping[Value, Match], k: float) -> set[Value]:
    """The values that the target has as they should be."""
    own: dict[Value, Array] = {}
    right = set(source.inputs)

    def keep(node: Node[Op], arrays: tuple[Array, ...]) -> None:
        own.update((v, a) for v, a in zip(node.outputs, arrays, strict=True) if v in matches)

    def compare(node: Node[Op], truths: tuple[Array, ...]) -> None:
        for value, truth in zip(node.outputs, truths, strict=True):
            if value in own and score_value(value, matches[value].array, truth, own.pop(value), k).passed:
                right.add(value)

    run(source, feed, trace=keep)
    run(source, feed, precision="float64", trace=compare)
    return right


def _cut(
    source: Graph,
    target: Graph,
    value: Value,
    right: set[Value],
    theirs: Mapping[Value, Value],
    matches: Mapping[Value, Match],
    seed: int,
    k: float,
) -> Pair | None:
    """What makes ``value`` from what is right, in both; None where that cannot be cut, or does not differ."""
    ours = rewrite.part(source, [value], right)
    if ours is None:
        return None
    values = {label(name): v for name, v in named_values(source).items()}
    begins = [values[v.name] for v in ours.inputs]
    moved = [matches[v].permutation if v in matches else tuple(range(v.type.rank)) for v in (*begins, value)]
    names = best_names(named_values(target))
    try:
        cut = extract(target, [names[theirs[v]] for v in begins], [names[theirs[value]]])
        ends = [*(v.name for v in cut.inputs), *cut.output_names]
        cut = rename_ends(
            cut, dict(zip(ends, [*(v.name for v in ours.inputs), *ours.output_names], strict=True))
        )
        permutations = IoPermutations(
            dict(zip((v.name for v in ours.inputs), moved, strict=False)), {ours.output_names[0]: moved[-1]}
        )
        side = Side(interpreted(cut).runnable, "the same part of the target", "read back", permutations)
        verdict = judge(observe(ours, inputs.generate(ours, seed=seed)), side, k=k, localize=False)
    except MMConvertError:
        return None
    failure = failure_of(verdict)
    return None if failure is None else Pair(ours, cut, failure)
