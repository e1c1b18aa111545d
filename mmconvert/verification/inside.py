"""The inner values of a run beside those of a graph: which operator adds an error, and which only passes it on.

Every operator is computed once more from the operands that the run itself has for it. What it makes of them
differs from what the run has by the operator's own error. So two faults are told apart in one pass, and what
lies behind the first is not suspected of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from mmconvert.verification.matching import Match, Open, align, arrangements
from mmconvert.verification.saturation import MOVES
from mmconvert.verification.segment import Segment, segment_of
from mmconvert.verification.shown import Shown
from mmconvert.verification.verdict import OutputVerdict


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
) -> Inside:
    """Compares every inner value.

    Args:
        graph: what is right.
        feed: the input on which the run was made.
        shown: the values of the run, in its order.
        stage, agent: what faults are put down to.
        k: how many times the float32 error of the graph the run may have.
        moved: whether the run may have other layouts than the graph.
    """
    search = _Search(graph, feed, shown, k, moved=moved)
    search.recognise()
    return search.result(stage, agent)


@dataclass
class _Seen:
    """A value of the graph: its budget, and its error where it was recognised."""

    node: Node[Op]
    score: OutputVerdict


@dataclass
class _Search:
    graph: Graph
    feed: Feed
    shown: Sequence[Shown]
    k: float
    moved: bool = field(kw_only=True)

    def __post_init__(self) -> None:
        self.own: dict[Value, Array] = {}
        self.matches: dict[Value, Match] = {}
        self.seen: dict[Value, _Seen] = {}
        self.open: list[Open] = []
        self.fixed: set[Value] = set()
        self.bindings = Bindings()
        self.names = dict(zip(self.graph.outputs, self.graph.output_names, strict=True))
        self._by_size: dict[int, list[tuple[Shown, float]]] = {}
        for item in self.shown:
            self._by_size.setdefault(item.array.size, []).append((item, _norm(item.array)))
        for value in self.graph.inputs:
            self.bindings.bind(value.type, self.feed[value.name].shape, value.name)

    def recognise(self) -> None:
        """Runs the graph twice, and finds each value in the run: by its numbers, else by what it is."""
        run(self.graph, self.feed, trace=self._keep)
        run(self.graph, self.feed, precision="float64", trace=self._look)
        known = {id(match.shown) for match in self.matches.values()}
        rest = [item for item in self.shown if id(item) not in known]
        found = align(self.open, rest, moved=self.moved)
        for item in self.open:
            if item.value not in found:
                continue
            match = found[item.value]
            own = self.own.get(item.value, item.truth)
            self.matches[item.value] = match
            score = score_value(item.value, match.array, item.truth, own, self.k)
            self.seen[item.value] = _Seen(item.node, score)
        self.own.clear()

    def _keep(self, node: Node[Op], arrays: tuple[Array, ...]) -> None:
        self.own.update(zip(node.outputs, arrays, strict=True))

    def _look(self, node: Node[Op], truths: tuple[Array, ...]) -> None:
        if all(v is None or v.constant is not None or v in self.fixed for v in node.inputs):
            self.fixed.update(node.outputs)  # does not depend on the input, and may be folded away
        for value, truth in zip(node.outputs, truths, strict=True):
            self.bindings.discover(value.type, truth.shape)
            own = self.own[value]
            if value in self.fixed or own.shape != truth.shape or not truth.size:
                self.own.pop(value)
            elif self._is_recognised(node, value, truth, own):
                self.own.pop(value)
            else:
                self.open.append(Open(value, node, truth, (self.names.get(value, ""), value.name)))

    def _is_recognised(self, node: Node[Op], value: Value, truth: Array, own: Array) -> bool:
        allowed = compare.budget(compare.measure(own, truth, own), own.dtype, self.k)
        norm = _norm(truth)
        slack = (
            allowed.l2 * norm + compare.floor(own.dtype) + 1.0 * (not compare.is_inexact(own.dtype)) * norm
        )
        name = self.names.get(value, value.name)
        found: tuple[tuple[bool, float], Match, OutputVerdict] | None = None
        for item, other in self._by_size.get(truth.size, ()):
            # The norms of two arrays are no further apart than the arrays are.
            if np.isfinite(norm) and abs(other - norm) > slack:
                continue
            if value in self.names and item.name != name and any(s.name == name for s in self.shown):
                continue  # an output is what has its name, whatever else may be like it
            for match in arrangements(item, truth.shape, moved=self.moved):
                score = score_value(value, match.array, truth, own, self.k)
                rank = (item.name != name, score.error.maximum)
                if score.passed and (found is None or rank < found[0]):
                    found = rank, match, score
        if found is None:
            return False
        self.matches[value], self.seen[value] = found[1], _Seen(node, found[2])
        return True

    def result(self, stage: Stage, agent: str) -> Inside:
        """The own error of each operator whose value is wrong."""
        arrays = {value: match.array for value, match in self.matches.items()}
        arrays |= {value: self.feed[value.name] for value in self.graph.inputs}
        layers: list[LayerError] = []
        faults: list[Fault] = []
        for node in self.graph:
            for value in node.outputs:
                if value not in self.matches:
                    continue
                local = None
                if not self.seen[value].score.passed:
                    local = self._local(value, arrays, stage, agent, faults)
                layers.append(self._layer(value, local))
        return Inside(layers, faults, self.matches)

    def _layer(self, value: Value, local: Error | None) -> LayerError:
        seen, match = self.seen[value], self.matches[value]
        score = seen.score
        return LayerError(
            seen.node.op.name,
            seen.node.place,
            match.shown.name,
            match.permutation,
            score.error,
            local,
            score.budget,
        )

    def _local(
        self, value: Value, arrays: Mapping[Value, Array], stage: Stage, agent: str, faults: list[Fault]
    ) -> Error | None:
        part = segment_of(value, arrays, self.bindings.known)
        expected, own = part.run(), part.run(precision="float32")
        if expected is None or own is None:
            return None
        actual = arrays[value]
        if own.shape != expected.shape or actual.shape != expected.shape:
            return compare.UNLIKE
        score = score_value(value, actual, expected, own, self.k)
        allowed = self.seen[value].score.budget
        is_exact = not compare.is_inexact(own.dtype)
        if not score.passed and (is_exact or not score.error.within(allowed)):
            suspect = Suspect(part, actual, expected, score.budget.worst(allowed))
            faults.append(self._fault(suspect, score.error, stage, agent))
        return score.error

    def _fault(self, suspect: Suspect, error: Error, stage: Stage, agent: str) -> Fault:
        found = diagnose(suspect)
        part = suspect.segment
        node = found.node if found is not None and found.node is not None else _principal(part)
        places = dict.fromkeys(n.place for n in part.nodes if n.place != node.place)
        return Fault(
            stage,
            agent,
            node.op.name,
            node.place,
            str(node.op),
            self.matches[part.value].shown.name,
            error,
            suspect.budget,
            "" if found is None else found.text,
            tuple(places),
        )


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
