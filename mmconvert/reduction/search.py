"""The search for the smallest graph that still fails: delta debugging over cuts, weights and extents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmconvert.errors import InferenceError
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, symbols
from mmconvert.ir.graph import Graph, Value, prune
from mmconvert.reduction import rewrite
from mmconvert.reduction.trial import Failure, Trial

Progress = Callable[[str], None]

NUMBERS = (1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 64)
"""What extents are tried."""

LEAST = 4
"""Axes other than the first are left with so many elements: one number alone does not say what is wrong."""


class Exhausted(Exception):
    """As many tries were made as were allowed."""


@dataclass
class Search:
    """The best graph so far, and the way to a better one.

    Attributes:
        best: the smallest graph that is known to fail.
        failure: how it fails.
        trial: says how a graph fails.
        limit: how many tries there may be.
        progress: is told before each.
        tries: how many there were.
        real: of ``best`` the weights that had to stay as they are, as far as that was tried.
        noisy: whether weights were replaced.
        bare: whether names were taken away.
    """

    best: Graph
    failure: Failure
    trial: Trial
    limit: int
    progress: Progress = lambda _: None
    tries: int = 0
    real: list[Value] = field(default_factory=list)
    noisy: bool = False
    bare: bool = False

    def run(self) -> None:
        """Shrinks ``best`` until nothing more can be taken from it.

        Raises:
            Exhausted: the tries were used up before.
        """
        self.real = rewrite.weights(self.best)
        self._outputs()
        self._bind()
        size = -1
        while size != len(self.best):
            size = len(self.best)
            self._from_the_end()
            self._from_the_start()
            self._one_by_one()
        self._shrink()
        self._noise()
        kept = [i for i, value in enumerate(rewrite.weights(self.best)) if value in self.real]
        if self._attempt(rewrite.anonymous(self.best), "leaving out names"):
            values = rewrite.weights(self.best)
            self.bare, self.real = True, [values[i] for i in kept]

    def _attempt(self, graph: Graph | None, what: str) -> bool:
        """Tries a graph; it is the best one if it fails like the first."""
        if graph is None or not len(graph):
            return False
        if self.tries >= self.limit:
            raise Exhausted
        self.tries += 1
        self.progress(f"try {self.tries}, {len(self.best)} operators: {what}")
        found = self.trial(graph)
        if found is None or not found.is_like(self.failure):
            return False
        self.best, self.failure = graph, found
        return True

    # --- operators -----------------------------------------------------------------------------------

    def _outputs(self) -> None:
        """One output, if one alone fails."""
        graph, wrong = self.best, self.failure.outputs
        if len(graph.outputs) < 2:
            return
        ends = zip(graph.output_names, graph.outputs, strict=True)
        for name, value in sorted(ends, key=lambda end: end[0] not in wrong):
            if value.producer is not None and self._attempt(
                rewrite.part(graph, [value]), f"the output {name}"
            ):
                return

    def _from_the_end(self) -> None:
        """Ends at an earlier value: what is wrong behind the fault is wrong because of it."""
        graph, loose = self.best, rewrite.dependent(self.best)
        if len(graph.outputs) > 1:
            return
        values = [v for node in graph for v in node.outputs if v in loose and v.content is None]
        self._bisect(len(values), lambda i: rewrite.part(graph, [values[i]]), "a part from the start")

    def _from_the_start(self) -> None:
        """Begins at later values: what stands before the fault is right."""
        graph, nodes = self.best, [*self.best]

        def later(index: int) -> Graph | None:
            before = {v for node in nodes[: len(nodes) - 1 - index] for v in node.outputs}
            return rewrite.part(graph, list(dict.fromkeys(graph.outputs)), before)

        self._bisect(len(nodes), later, "a part to the end")

    def _bisect(self, count: int, candidate: Callable[[int], Graph | None], what: str) -> None:
        """Finds the first of ``count`` candidates, of growing size, that fails; the last one is what is."""
        passing, failing = -1, count - 1
        while failing - passing > 1:
            middle = (passing + failing) // 2
            if self._attempt(candidate(middle), what):
                failing = middle
            else:
                passing = middle

    def _one_by_one(self) -> None:
        """Takes out one operator after the other, and what only that one needed."""
        index = 0
        while index < len(self.best):
            node = [*self.best][index]
            place = f"without {node.op.name}"
            shorter = rewrite.without(self.best, node)
            if shorter is not None:
                prune(shorter)
            outputs = list(dict.fromkeys(self.best.outputs))
            cut = rewrite.part(self.best, outputs, set(node.outputs) - set(outputs))
            smaller = [g for g in (cut, shorter) if g is not None and len(g) < len(self.best)]
            if not any(self._attempt(graph, place) for graph in smaller):
                index += 1

    # --- extents and weights -------------------------------------------------------------------------

    def _bind(self) -> None:
        """Numbers for open extents, so that any place can be cut."""
        graph = self.best
        names = sorted(symbols(*(e for v in graph.inputs for e in v.type.shape)))
        for number in NUMBERS if names else ():
            try:
                bound = copy_graph(graph, dict.fromkeys(names, number))
            except InferenceError:
                continue
            if self._attempt(bound, f"{', '.join(names)} = {number}"):
                return

    def _shrink(self) -> None:
        """Smaller extents of inputs: all that are the same number at once, or else one."""
        for together in (True, False):
            places = [
                (i, a, e)
                for i, v in enumerate(self.best.inputs)
                for a, e in enumerate(v.type.shape)
                if not isinstance(e, Dim) and e > 1
            ]
            groups: dict[object, list[tuple[int, int]]] = {}
            for i, a, e in places:
                groups.setdefault((e, a) if together else (i, a), []).append((i, a))
            for group in groups.values():
                self._shrink_group(group)

    def _shrink_group(self, places: Sequence[tuple[int, int]]) -> None:
        graph = self.best
        old = graph.inputs[places[0][0]].type.shape[places[0][1]]
        least = LEAST if any(axis for _, axis in places) else 1
        for number in (n for n in NUMBERS if n >= least):
            if isinstance(old, Dim) or number >= old:
                return
            types = {}
            for i, v in enumerate(graph.inputs):
                shape = tuple(number if (i, a) in places else e for a, e in enumerate(v.type.shape))
                types[v] = v.type.with_shape(shape)
            if self._attempt(rewrite.retyped(graph, types), f"the extent {old} as {number}"):
                return

    def _noise(self) -> None:
        """Noise for weights: for all, else for as many as can be."""
        count = len(rewrite.weights(self.best))
        waiting = [[*range(count)]] if count else []
        kept: list[int] = []
        try:
            while waiting:
                chosen = waiting[0]
                values = rewrite.weights(self.best)
                noisy = rewrite.with_noise(self.best, [values[i] for i in chosen])
                if self._attempt(noisy, f"noise for {len(chosen)} weights"):
                    self.noisy = True
                elif len(chosen) > 1:
                    middle = len(chosen) // 2
                    waiting += [chosen[:middle], chosen[middle:]]
                else:
                    kept += chosen
                waiting.pop(0)
        finally:
            values = rewrite.weights(self.best)
            left = {*kept, *(i for group in waiting for i in group)}
            self.real = [values[i] for i in sorted(left)]
