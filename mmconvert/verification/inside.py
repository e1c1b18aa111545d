"""The inner values of a run beside those of a graph: which operator adds an error, and which passes it on.

A value that is right is recognised by its numbers. Of what is wrong each operator is computed once more from
the operands that the run itself has for it. Where that gives a value of the run, the operator is right and
only passes on what came before. Where it does not, the operator has an error of its own. So two faults are
told apart in one pass, and what lies behind the first is not suspected of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmconvert.interpreter import run
from mmconvert.interpreter.bindings import Bindings
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Elementwise, Op
from mmconvert.ir.types import Array
from mmconvert.verification import compare
from mmconvert.verification.compare import Error
from mmconvert.verification.diagnosis import Suspect, diagnose
from mmconvert.verification.fault import Fault, LayerError, Stage
from mmconvert.verification.inputs import Feed
from mmconvert.verification.judge import score_value
from mmconvert.verification.matching import Match, arrangements, likeness
from mmconvert.verification.saturation import MOVES
from mmconvert.verification.segment import Segment, segment_of
from mmconvert.verification.shown import Shown

CANDIDATES = 8
"""How many values of a run are tried for one that is wrong."""

HOPS = 3
"""How many operators further a guess is confirmed, where those between are not shown."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What was found inside.

    Attributes:
        layers: every value that the run shows, in execution order.
        faults: the operators whose own error is too large, in execution order.
        matches: what each value of the graph is in the run.
    """

    layers: list[LayerError]
    faults: list[Fault]
    matches: Mapping[Value, Match]


def look_inside(
    graph: Graph,
    feed: Feed,
    shown: Sequence[Shown],
    *,
    stage: Stage = "unknown",
    agent: str = "",
    k: float = compare.K,
    moved: bool = False,
    named: bool = False,
) -> Inside:
    """Compares every inner value.

    Args:
        graph: what is right.
        feed: the input on which the run was made.
        shown: the values of the run, in its order.
        stage, agent: what faults are put down to.
        k: how many times the float32 error of the graph the run may have.
        moved: whether the run may have other layouts than the graph.
        named: whether the run has the graph's own names, so that there is nothing to guess.
    """
    search = _Search(graph, feed, shown, k, stage, agent, moved=moved, named=named)
    run(graph, feed, trace=search.keep)
    run(graph, feed, precision="float64", trace=search.recognise)
    search.follow()
    return Inside(search.layers, search.faults, search.matches)


@dataclass(frozen=True, slots=True)
class _Open:
    """A value that was not recognised: its truth and its budget."""

    truth: Array
    budget: Error


@dataclass(frozen=True, slots=True)
class _Local:
    """What an operator makes of the operands that the run has."""

    part: Segment
    expected: Array
    own: Array


@dataclass
class _Search:
    graph: Graph
    feed: Feed
    shown: Sequence[Shown]
    k: float
    stage: Stage
    agent: str
    moved: bool = field(kw_only=True)
    named: bool = field(kw_only=True)
    matches: dict[Value, Match] = field(default_factory=dict)
    layers: list[LayerError] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own: dict[Value, Array] = {}
        self._open: dict[Value, _Open] = {}
        self._right: dict[Value, tuple[Error, Error]] = {}
        self._fixed: set[Value] = set()
        self._taken: set[int] = set()
        self._blamed: set[Node[Op]] = set()
        self._bindings = Bindings()
        self._ends = dict(zip(self.graph.outputs, self.graph.output_names, strict=True))
        self._arrays = {value: self.feed[value.name] for value in self.graph.inputs}
        self._names = {item.name for item in self.shown}
        self._by_size: dict[int, list[tuple[Shown, float]]] = {}
        for item in self.shown:
            self._by_size.setdefault(item.array.size, []).append((item, _norm(item.array)))
        for value in self.graph.inputs:
            self._bindings.bind(value.type, self.feed[value.name].shape, value.name)

    # --- what is right -------------------------------------------------------------------------------

    def keep(self, node: Node[Op], arrays: tuple[Array, ...]) -> None:
        """Takes in what a node makes in float32."""
        self._own.update(zip(node.outputs, arrays, strict=True))

    def recognise(self, node: Node[Op], truths: tuple[Array, ...]) -> None:
        """Looks for what a node makes in float64 among the values of the run."""
        if all(v is None or v.constant is not None or v in self._fixed for v in node.inputs):
            self._fixed.update(node.outputs)  # does not depend on the input, and may be folded away
        for value, truth in zip(node.outputs, truths, strict=True):
            self._bindings.discover(value.type, truth.shape)
            own = self._own.pop(value)
            if value in self._fixed or own.shape != truth.shape or not truth.size:
                continue
            allowed = compare.budget(compare.measure(own, truth, own), own.dtype, self.k)
            found = self._find(value, truth, own, allowed)
            if found is None:
                self._open[value] = _Open(truth, allowed)
            else:
                self._right[value] = found[1], allowed
                self._match(value, found[0])

    def _find(self, value: Value, truth: Array, own: Array, allowed: Error) -> tuple[Match, Error] | None:
        """The value of the run that has these numbers; of several the one with the name, then the nearest."""
        norm = _norm(truth)
        slack = allowed.l2 * norm + compare.floor(own.dtype) if compare.is_inexact(own.dtype) else norm
        name = self._ends.get(value, value.name)
        best: tuple[tuple[bool, float], Match, Error] | None = None
        for item, other in self._by_size.get(truth.size, ()):
            # The norms of two arrays are no further apart than the arrays are.
            if np.isfinite(norm) and abs(other - norm) > slack:
                continue
            if (value in self._ends or self.named) and item.name != name and name in self._names:
                continue  # it is what has its name, whatever else may be like it
            for match in arrangements(item, truth.shape, moved=self.moved):
                score = score_value(value, match.array, truth, own, self.k)
                rank = (item.name != name, score.error.maximum)
                is_it = score.passed or score.error.within(allowed)
                if is_it and (best is None or rank < best[0]):
                    best = rank, match, score.error
        return None if best is None else best[1:]

    def _match(self, value: Value, match: Match) -> None:
        self.matches[value] = match
        self._arrays[value] = match.array
        self._taken.add(id(match.shown))

    # --- what is wrong -------------------------------------------------------------------------------

    def follow(self) -> None:
        """Goes from operator to operator through what was not recognised."""
        for node in self.graph:
            for value in node.outputs:
                if value in self._right:
                    error, allowed = self._right[value]
                    self._add_layer(node, value, error, None, allowed)
                elif value in self._open:
                    self._follow(node, value, self._open[value])

    def _follow(self, node: Node[Op], value: Value, item: _Open) -> None:
        local = self._local(value, self._arrays)
        if local is None or local.expected.shape != item.truth.shape:
            return
        found = self._find(value, local.expected, local.own, item.budget)
        if found is not None:
            match, error = found
        else:
            guess = self._guess(node, value, item.truth)
            if guess is None:
                return  # not shown: the operator is judged together with what follows it
            match = guess
            score = score_value(value, match.array, local.expected, local.own, self.k)
            error = score.error
            suspect = Suspect(local.part, match.array, local.expected, self._tight(local, item.budget))
            self._blame(suspect, match, error, score.budget.worst(item.budget))
        self._match(value, match)
        total = compare.measure(match.array, item.truth)
        self._add_layer(node, value, total, error, item.budget)

    def _local(self, value: Value, arrays: Mapping[Value, Array]) -> _Local | None:
        part = segment_of(value, arrays, self._bindings.known)
        expected, own = part.run(), part.run(precision="float32")
        if expected is None or own is None or own.shape != expected.shape:
            return None
        return _Local(part, expected, own)

    def _tight(self, local: _Local, budget: Error) -> Error:
        """What floats that should be equal may differ by, without what a grid adds."""
        own = compare.measure(local.own, local.expected, local.own)
        return compare.budget(own, local.own.dtype, self.k).worst(budget)

    def _guess(self, node: Node[Op], value: Value, truth: Array) -> Match | None:
        """What a wrong value most likely is: what has its name, or what the next operators were given."""
        names = [self._ends[value]] if value in self._ends else [value.name]
        ranked = [
            (likeness(names, node, truth.shape, item), -index, item)
            for index, (item, _) in enumerate(self._by_size.get(truth.size, ()))
            if id(item) not in self._taken or item.name in names
        ]
        ranked.sort(key=lambda entry: entry[:2], reverse=True)
        likely = ranked[:CANDIDATES]
        if value in self._ends or self.named:
            likely = [entry for entry in likely if entry[2].name in names]
            return next(self._nearest(likely[0][2], truth)) if likely else None
        candidates = (match for _, _, item in likely for match in self._nearest(item, truth))
        return next((match for match in candidates if self._is_confirmed(value, match)), None)

    def _nearest(self, item: Shown, truth: Array) -> Iterator[Match]:
        """The arrangements, those first in which the numbers are most like the truth."""
        candidates = arrangements(item, truth.shape, moved=self.moved)
        if item.array.shape == truth.shape:
            yield from candidates
        else:
            yield from sorted(candidates, key=lambda match: _distance(match.array, truth))

    def _is_confirmed(self, value: Value, match: Match) -> bool:
        """Whether an operator that reads ``value`` makes something that the run has, if it is ``match``."""
        arrays = {**self._arrays, value: match.array}
        for reader in _readers(value):
            for made in reader.outputs:
                if made not in self._open:
                    continue
                local, item = self._local(made, arrays), self._open[made]
                if local is None or local.expected.shape != item.truth.shape:
                    continue
                if self._find(made, local.expected, local.own, item.budget) is not None:
                    return True
        return False

    # --- results -------------------------------------------------------------------------------------

    def _add_layer(
        self, node: Node[Op], value: Value, error: Error, local: Error | None, allowed: Error
    ) -> None:
        match = self.matches[value]
        self.layers.append(
            LayerError(node.op.name, node.place, match.shown.name, match.permutation, error, local, allowed)
        )

    def _blame(self, suspect: Suspect, match: Match, error: Error, allowed: Error) -> None:
        """Notes a fault, once for an operator with several results."""
        found = diagnose(suspect)
        part = suspect.segment
        node = found.node if found is not None and found.node is not None else _principal(part)
        if node in self._blamed:
            return
        self._blamed.add(node)
        places = dict.fromkeys(n.place for n in part.nodes if n.place != node.place)
        fault = Fault(
            self.stage,
            self.agent,
            node.op.name,
            node.place,
            str(node.op),
            match.shown.name,
            error,
            allowed,
            "" if found is None else found.text,
            tuple(places),
        )
        self.faults.append(fault)


def _readers(value: Value) -> Iterator[Node[Op]]:
    """The nodes that read a value, and those that read what they make, a few deep."""
    waiting, seen = [(value, 0)], set[Node[Op]]()
    while waiting:
        current, depth = waiting.pop(0)
        for node in current.users:
            if node not in seen and node.outputs:
                seen.add(node)
                yield node
                if depth + 1 < HOPS:
                    waiting += [(made, depth + 1) for made in node.outputs]


def _principal(part: Segment) -> Node[Op]:
    """Of several operators that stand for one the one that most likely is meant."""
    return max(part.nodes, key=lambda node: (_weight(node), part.nodes.index(node)))


def _weight(node: Node[Op]) -> int:
    if isinstance(node.op, MOVES):
        return 0
    return 1 if isinstance(node.op, Elementwise) else 2


def _norm(array: Array) -> float:
    with np.errstate(all="ignore"):
        kind = np.complex128 if np.iscomplexobj(array) else np.float64
        return float(np.linalg.norm(array.astype(kind).reshape(-1)))


def _distance(array: Array, truth: Array) -> float:
    with np.errstate(all="ignore"):
        distance = float(np.sum(np.abs(array.astype(np.float64) - truth.astype(np.float64))))
    return distance if np.isfinite(distance) else float("inf")
