"""Who is wrong: parser, pass, emitter or runtime.

Between the source and the target's result lie the graph as it was read, the graph after each pass, and the
written file as our own reader has it. Each can be run by itself, so each stage is judged against the one
before it, by the same rule: what the source's own framework computes against the graph as read (parser), the
graph after a pass against the graph before (pass), the file read back against the graph it was written from
(emitter), and what the runtime computes against the file read back (runtime).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmconvert.errors import InvalidModelError, MMConvertError
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.pipeline import Watch
from mmconvert.verification.bisect import Probe, first_wrong_part
from mmconvert.verification.fault import Fault, Stage
from mmconvert.verification.inputs import Feed
from mmconvert.verification.inside import Inside, look_inside
from mmconvert.verification.judge import Progress, fed, judge, observe
from mmconvert.verification.shown import Shown, shown_by_graph, shown_by_runtime
from mmconvert.verification.sides import UNMOVED, IoPermutations, Side, interpreted
from mmconvert.verification.verdict import Verdict

LAYOUT_PASS = "assign_layout"
"""The pass after which values have another order of axes."""

Lower = Callable[[Graph, Watch], None]
"""Rewrites a graph in place as for the target, and tells about every pass."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What lies between a source and a target that is wrong.

    Attributes:
        source: the graph as it was read.
        target: the file in its runtime, or read back.
        read: reads the file back; None where the format has no reader.
        witness: the source in its own framework, where that was asked.
        start: the graph that was lowered: the source with fixed extents and other names.
        lower: lowers it, once more; None where the file was not made here.
        lowered: the graph that was written, or that would be written from this source; None where there is
            none, because the target cannot be written.
        permutations: how the inputs and outputs of ``lowered`` stand to those of the source.
        probe: writes and opens a part of ``lowered``, for runtimes that show no inner values.
        is_ours: whether the file is known to have been written from ``lowered``.
    """

    source: Graph
    target: Side
    read: Callable[[], Graph] | None
    witness: Side | None = None
    start: Graph | None = None
    lower: Lower | None = None
    lowered: Graph | None = None
    permutations: IoPermutations = UNMOVED
    probe: Probe | None = None
    is_ours: bool = True


def find_faults(
    verdict: Verdict, chain: Chain, feeds: Sequence[Feed], k: float, progress: Progress = lambda _: None
) -> None:
    """Puts what is wrong into a verdict that is not equivalent, and the error of each layer.

    Args:
        verdict: what was found at the ends.
        chain: what lies between.
        feeds: the inputs that were tried.
        k: how many times the source's own float32 error the target may have.
        progress: is told what is done.
    """
    if verdict.passed or not verdict.was_run or not feeds:
        return
    progress("finding out who is wrong")
    _Inquiry(verdict, chain, list(feeds), k).hold()


@dataclass(slots=True)
class _Inquiry:
    verdict: Verdict
    chain: Chain
    feeds: list[Feed]
    k: float

    def hold(self) -> None:
        """Judges stage after stage."""
        chain, verdict = self.chain, self.verdict
        if not verdict.source_agrees and chain.witness is not None:
            self._inner(chain.source, self.feeds, chain.witness, "parser")
        wrong_target = bool(verdict.failure) or not all(o.passed for o in verdict.outputs)
        if not wrong_target:
            return
        known = len(verdict.faults)
        if chain.start is not None and chain.lowered is not None and chain.lower is not None:
            lowered = Side(
                interpreted(chain.lowered, "float64").runnable, "the graph", "read back", chain.permutations
            )
            if self._wrong_feed(chain.source, self.feeds, lowered) is not None:
                self._passes()
        self._file()
        if len(verdict.faults) == known:
            verdict.faults.append(Fault("unknown"))

    def _passes(self) -> None:
        """Lowers once more, and compares the graph after each pass with the one before."""
        start, lower = self.chain.start, self.chain.lower
        assert start is not None
        assert lower is not None
        before, edits = [copy_graph(start)], [-1]

        def watch(name: str, graph: Graph, outcome: Outcome) -> None:
            if graph.edits == edits[0]:
                return
            edits[0] = graph.edits
            after = copy_graph(graph)
            feed = self._wrong_feed(before[0], self.feeds, interpreted(after, "float64"))
            if feed is not None:
                shown = shown_by_graph(after, feed)
                found = self._look(
                    before[0], feed, _ended(shown, after), "pass", name, moved=name == LAYOUT_PASS
                )
                self._add(found, Fault("pass", name))
            before[0] = after

        lower(copy_graph(start), watch)

    def _file(self) -> None:
        """The file read back against what it was written from, and the runtime against the file read back."""
        chain, verdict = self.chain, self.verdict
        base = self._base()
        moved = base is chain.source
        permutations = chain.target.permutations if moved else UNMOVED
        stage: Stage = "emitter" if chain.is_ours else "file"
        feeds = [chain.permutations.feed(feed) for feed in self.feeds]
        try:
            written = None if chain.read is None else chain.read()
        except InvalidModelError as error:
            verdict.faults.append(Fault(stage, place=error.where))
            verdict.notes.append(f"the file cannot be read back: {error.message}")
            return
        except MMConvertError as error:
            verdict.notes.append(f"the file cannot be read back: {error.message}")
            written = None
        if written is None:
            self._inner(base, feeds, _unmoved(chain.target, permutations), "unknown")
            return
        side = Side(interpreted(written, "float64").runnable, "the file read back", "read back", permutations)
        feed = self._wrong_feed(base, feeds, side)
        if feed is not None:
            self._add(self._look_at_file(base, feed, written, side, stage, moved=moved), Fault(stage))
        if verdict.failure and chain.target.level == "executed" and feed is None:
            verdict.faults.append(Fault(stage))  # what reads back right, and what the runtime refuses
        elif chain.target.level == "executed" and not verdict.failure:
            names = _renamed(feeds, base, written)
            agent = chain.target.description
            clean = feed is None and not any(f.stage == "pass" for f in verdict.faults)
            self._inner(written, names, _unmoved(chain.target, UNMOVED), "runtime", agent, sure=clean)

    def _base(self) -> Graph:
        """What the file should say: the graph that it was, or would be, written from, else the source."""
        chain = self.chain
        if chain.lowered is None:
            return chain.source
        lowered = interpreted(chain.lowered, "float64")
        if not chain.is_ours and self._wrong_feed(chain.source, self.feeds, lowered) is not None:
            return chain.source
        return chain.lowered

    def _look_at_file(
        self, base: Graph, feed: Feed, written: Graph, side: Side, stage: Stage, *, moved: bool
    ) -> Inside | None:
        try:
            shown = shown_by_graph(written, fed(side.permutations.feed(feed), side, []))
        except MMConvertError as error:
            self.verdict.notes.append(f"the file read back does not run: {error.message}")
            return None
        return self._look(base, feed, _ended(shown, written), stage, moved=moved)

    def _inner(
        self,
        graph: Graph,
        feeds: list[Feed],
        side: Side,
        stage: Stage,
        agent: str = "",
        *,
        sure: bool = False,
    ) -> None:
        """Faults of what only shows the values of its run by name.

        Args:
            graph: what is right.
            feeds: the inputs, as the graph takes them.
            side: what is judged.
            stage, agent: what faults are put down to.
            sure: whether no other stage can be to blame.
        """
        feed = self._wrong_feed(graph, feeds, side)
        if feed is None and not sure:
            return
        feed = feed or feeds[0]
        try:
            arrays = side.intermediates(fed(feed, side, []))
        except MMConvertError as error:
            self.verdict.notes.append(f"the inner values were not looked at: {error.message}")
            self.verdict.faults.append(self._bisected(feed, stage, agent) or Fault(stage, agent))
            return
        shown = shown_by_runtime(arrays, graph if stage == "runtime" else None)
        named = stage in ("parser", "runtime")
        self._add(self._look(graph, feed, shown, stage, agent, named=named), Fault(stage, agent))

    def _bisected(self, feed: Feed, stage: Stage, agent: str) -> Fault | None:
        """The part of the graph that its file gets wrong, found by writing parts of it."""
        probe, lowered = self.chain.probe, self.chain.lowered
        if probe is None or lowered is None or stage == "parser":
            return None
        return first_wrong_part(lowered, feed, probe, self.k, stage=stage, agent=agent)

    def _wrong_feed(self, graph: Graph, feeds: list[Feed], side: Side) -> Feed | None:
        """The first input on which ``side`` is not equivalent to ``graph``."""
        for feed in feeds:
            try:
                verdict = judge(observe(graph, [feed]), side, k=self.k, localize=False)
            except MMConvertError:
                return feed
            if not verdict.passed:
                return feed
        return None

    def _look(
        self,
        graph: Graph,
        feed: Feed,
        shown: list[Shown],
        stage: Stage,
        agent: str = "",
        *,
        moved: bool = False,
        named: bool = False,
    ) -> Inside | None:
        try:
            return look_inside(
                graph, feed, shown, stage=stage, agent=agent, k=self.k, moved=moved, named=named
            )
        except MMConvertError as error:
            self.verdict.notes.append(f"the inner values were not compared: {error.message}")
            return None

    def _add(self, found: Inside | None, otherwise: Fault) -> None:
        """Takes in what was found inside; where no operator was, the stage alone is known."""
        if found is not None:
            self.verdict.layers = self.verdict.layers or found.layers
        self.verdict.faults += found.faults if found is not None and found.faults else [otherwise]


def _unmoved(side: Side, permutations: IoPermutations) -> Side:
    return Side(side.runnable, side.description, side.level, permutations)


def _ended(shown: list[Shown], graph: Graph) -> list[Shown]:
    """``shown`` with the outputs under the names that the graph has for them."""
    names = dict(zip(graph.output_names, graph.outputs, strict=True))
    order = [v for node in graph for v in node.outputs]
    ends = {order.index(v): name for name, v in names.items() if v.producer is not None}
    return [Shown(ends.get(i, s.name), s.array, s.operator, s.place) for i, s in enumerate(shown)]


def _renamed(feeds: list[Feed], base: Graph, written: Graph) -> list[Feed]:
    """Inputs under the names that the file has for them."""
    names = [v.name for v in written.inputs]
    if {v.name for v in base.inputs} == set(names):
        return feeds
    ordered = [v.name for v in base.inputs]
    return [{new: feed[old] for old, new in zip(ordered, names, strict=True)} for feed in feeds]
