"""One conversion: from a model in memory to a file, and a verdict on it."""

from __future__ import annotations

import functools
import inspect
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mmconvert import dtypes, registry
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import require_writable
from mmconvert.ir.copy import copy_graph, copy_module
from mmconvert.ir.ends import fix_dims, rename_ends
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Example, Module
from mmconvert.ir.types import Array
from mmconvert.lowering import lower
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import IoLayout
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.passes.store_weights_as_float16 import store_weights_as_float16
from mmconvert.passes.store_weights_as_integers import store_weights_as_integers
from mmconvert.registry import Format
from mmconvert.verification import compare, sides
from mmconvert.verification import inputs as feeds
from mmconvert.verification.compare import K
from mmconvert.verification.fault import Fault
from mmconvert.verification.inputs import Feed
from mmconvert.verification.judge import Progress, Reference, judge, observe, require_tolerance
from mmconvert.verification.narrow import judge_narrow
from mmconvert.verification.sides import UNMOVED, IoPermutations, Side
from mmconvert.verification.verdict import SCHEMA, Verdict


@dataclass(slots=True)
class Report:
    """What a conversion did.

    Attributes:
        source, target: the two paths.
        format: the target's format.
        size: bytes of the written file (of all its parts).
        operators: how many operators the written graph has.
        seconds: time spent reading, converting and verifying, by stage.
        passes: what each pass did, in order.
        warnings: what the user should know.
        verdict: the verification; None when it was not asked for.
    """

    source: str
    target: str
    format: str
    size: int = 0
    operators: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    passes: list[tuple[str, Outcome]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    verdict: Verdict | None = None

    @property
    def passed(self) -> bool:
        """True when the target was verified and is equivalent."""
        return self.verdict is not None and self.verdict.passed

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "target": self.target,
            "format": self.format,
            "size": self.size,
            "operators": self.operators,
            "seconds": self.seconds,
            "passes": [{"name": name, "done": o.done, "declined": o.declined} for name, o in self.passes],
            "warnings": self.warnings,
            "verdict": None if self.verdict is None else self.verdict.to_json(),
        }

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time that the block takes to that of ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


_NARROW: Mapping[str, Callable[[], Pass]] = {
    "fp16": store_weights_as_float16,
    "int8": functools.partial(store_weights_as_integers, 8),
    "int4": functools.partial(store_weights_as_integers, 4),
}
"""The pass that rounds weights to a precision."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, and how to verify it.

    Attributes:
        path, format: where to, and what.
        options: ``io_layout``, ``precision``, and the emitter's own.
        fix_dims: numbers for extents of the inputs, by their names; see ``ir.ends.fix_dims``.
        rename: other names of inputs and outputs.
        verify: whether to run source and target.
        inputs: what to compare them on, under the source's names; seeded inputs where there are none.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        tolerance: what errors may be instead; see ``judge``.
        thorough: whether to try more generated inputs; see ``inputs.generate``.
        blame: whether to find out who is wrong where the target is.
        examine: whether to gather what a report shows beside the verdict.
    """

    path: Path
    format: Format
    options: Mapping[str, Any]
    fix_dims: Mapping[str, int] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    verify: bool = False
    inputs: Sequence[Mapping[str, Array]] | None = None
    seed: int = 0
    k: float = K
    blame: bool = True
    tolerance: float | None = None
    thorough: bool = False
    examine: bool = False

    def __post_init__(self) -> None:
        """Refuses what can be refused before a model is read.

        Raises:
            UsageError: the path cannot be written, or the format has no such option.
            MissingDependencyError: the format is written by a library that is not installed.
        """
        require_tolerance(self.tolerance)
        layout = self.options.get("io_layout", "source")
        if layout not in get_args(IoLayout):
            raise UsageError(f"io_layout is {' or '.join(get_args(IoLayout))}, not {layout!r}")
        emitter = registry.load_module(self.format.emitter)
        known = getattr(emitter, "PRECISIONS", ())
        if self._precision is not None and self._precision not in known:
            hint = f"it has {', '.join(known)}" if known else "it has the weights as they are"
            raise UsageError(f"{self.format.title} has no precision {self._precision!r}", hint=hint)
        require_options(emitter.write, self._own(), f"writing {self.format.title}")
        require_writable(self.path, folder=self.format.folder)
        if hasattr(emitter, "require"):
            emitter.require()

    def carry_out(
        self,
        module: Module,
        report: Report,
        progress: Progress = lambda _: None,
        witness: Side | None = None,
    ) -> None:
        """Writes and verifies ``module``, which stays as it is.

        Extents, names and inputs that were given are those of its main graph; other signatures stay as they
        are, and are verified on inputs of their own.

        The source is run before the target is written, so that nothing is written for a source that cannot
        run. It is run as it is: fixed extents are a matter of the inputs and of the target.

        Args:
            module: what to write.
            report: is filled in.
            progress: is told what is being done.
            witness: the source in its own framework, which has to agree with how it was read.
        """
        fixed = self._settled(fix_dims(module.graph, self.fix_dims), report)
        written = replace(module, graph=self._ends(fixed))
        if module.signatures and not hasattr(registry.load_module(self.format.emitter), "HAS_SIGNATURES"):
            left = ", ".join(module.signatures)
            report.warnings.append(f"{self.format.title} has no place for the signatures {left}")
            written.signatures = {}
        lowered = copy_module(written)
        parts = [_Part("", self._ends(module.graph), lowered.graph, written.graph, witness)]
        for name, graph in lowered.signatures.items():
            parts.append(_Part(name, written.signatures[name], graph, written.signatures[name]))
        if self.verify:
            with report.timed("verify"):
                for part in parts:
                    given = self._feeds(written.graph) if not part.signature else feeds.generate(part.source)
                    part.reference = observe(part.source, given, part.witness, progress)
                    if self.thorough:
                        part.reference.notes.extend(feeds.without_effect(part.source, given[0], self.seed))
        progress("converting")
        with report.timed("convert"):
            for part in parts:
                part.permutations = self._lower(part.lowered, report)
                part.exact = copy_graph(part.lowered)
            if self._precision in _NARROW:
                self._narrow([part.lowered for part in parts], report)
            if getattr(registry.load_module(self.format.emitter), "WANTS_EXAMPLES", False):
                lowered.examples = self._examples(parts[0])
            self._write(lowered, report)
        if self.verify:
            with report.timed("verify"):
                report.verdict = self._judge(parts[0], progress)
                for part in parts[1:]:
                    report.verdict.add(part.signature, self._judge(part, progress))

    @property
    def _precision(self) -> str | None:
        precision: str | None = self.options.get("precision")
        return precision

    def _own(self) -> dict[str, Any]:
        """The emitter's options."""
        general = ("io_layout", "precision")
        return {n: v for n, v in self.options.items() if n not in general and v is not None}

    def _settled(self, graph: Graph, report: Report) -> Graph:
        """``graph`` with the extents that the target itself settles, as one without a batch axis does."""
        settle = getattr(registry.load_module(self.format.emitter), "settled_dims", None)
        found = {} if settle is None else settle(graph)
        if found:
            shown = ", ".join(f"{name} is {number}" for name, number in found.items())
            report.warnings.append(f"{self.format.title} has no batch axis: {shown}")
        return fix_dims(graph, found)

    def _ends(self, graph: Graph) -> Graph:
        return rename_ends(graph, self.rename)

    def _feeds(self, graph: Graph) -> list[Feed]:
        if self.inputs is None:
            return feeds.generate(graph, seed=self.seed, thorough=self.thorough)
        named = [{self.rename.get(name, name): array for name, array in feed.items()} for feed in self.inputs]
        return [feeds.fit(graph, feed) for feed in named]

    def _lower(self, graph: Graph, report: Report) -> IoPermutations:
        """Rewrites ``graph`` in place, until the target can express it."""
        moved = lower(
            graph,
            self.format,
            io_layout=self.options.get("io_layout", "source"),
            watch=lambda name, _, outcome: report.passes.append((name, outcome)),
            **self._own(),
        )
        return IoPermutations(*moved)

    def _lower_again(self, graph: Graph, watch: pipeline.Watch) -> None:
        """The same passes, with inputs and outputs as the source has them, for who wants to watch."""
        lower(graph, self.format, watch=watch, **self._own())

    def _narrow(self, graphs: Sequence[Graph], report: Report) -> None:
        """Rounds the weights of graphs, and says which had to stay as they are."""

        def watch(name: str, _: Graph, outcome: Outcome) -> None:
            report.passes.append((name, outcome))
            report.warnings += [f"{place} {reason}" for place, reason in outcome.declined]

        narrow = _NARROW[self._precision or ""]()
        for graph in graphs:
            pipeline.run(graph, (narrow,), watch)

    def _write(self, module: Module, report: Report) -> None:
        emitter = registry.load_module(self.format.emitter)
        # What may lie beside the file, and belongs to it when it was written just now.
        beside = getattr(emitter, "beside", lambda path: [path.with_name(f"{path.name}.data")])(self.path)
        before, known = [_stamp(part) for part in beside], len(module.warnings)
        report.operators = emitter.write(module, self.path, **self._own())
        report.warnings += module.warnings[known:]
        new = [part for part, stamp in zip(beside, before, strict=True) if _stamp(part) != stamp]
        report.size = sum(_size(part) for part in (self.path, *new))

    def _examples(self, part: _Part) -> tuple[Example, ...]:
        """What the source computes, in the target's order of axes, and how far a target may be from that."""
        reference = part.reference or observe(part.source, self._feeds(part.source))
        found = []
        for o in reference.observations:
            outputs, budgets = {}, {}
            for name, own in o.own.items():
                exact = o.truth[name] if o.truth[name].shape == own.shape else own
                outputs[name] = part.permutations.output(name, exact.astype(own.dtype))
                allowed = compare.budget(compare.measure(own, exact, own), own.dtype, self.k)
                budgets[name] = (allowed.maximum, allowed.l2)
            found.append(Example(part.permutations.feed(o.feed), outputs, budgets))
        return tuple(found)

    def _judge(self, part: _Part, progress: Progress) -> Verdict:
        """The verdict on a graph of the file that was just written.

        A runtime that refuses the file says that it is wrong.
        """
        assert part.reference is not None
        assert part.exact is not None
        side: Side | None
        try:
            side, notes = sides.best(self.path, self.format, part.permutations, part.signature)
        except InvalidModelError as error:
            return self._refused(str(error))
        if side is None:
            return Verdict("not executed", notes=notes)
        if self._precision is None:
            verdict = judge(
                part.reference,
                side,
                k=self.k,
                progress=progress,
                localize=self.blame,
                tolerance=self.tolerance,
            )
        else:
            verdict = judge_narrow(
                part.reference,
                part.exact,
                part.lowered,
                side,
                k=self.k,
                progress=progress,
                tolerance=self.tolerance,
            )
        verdict.notes[:0] = notes
        wrong = verdict.failure or any(o.is_wrong for o in (*verdict.outputs, *verdict.source_outputs))
        accused = self.blame and wrong and not verdict.passed
        if not (accused or self.examine):
            return verdict
        from mmconvert.verification.blame import Chain, find_faults  # a tenth of a start, and seldom needed
        from mmconvert.verification.examine import gather

        feeds = [o.feed for o in part.reference.observations]
        with tempfile.TemporaryDirectory() as folder:
            chain = Chain(
                part.source,
                side,
                sides.reader(self.path, self.format, part.signature),
                part.witness,
                part.start,
                self._lower_again,
                part.exact if self._precision is None else part.lowered,
                part.permutations,
                functools.partial(self._probe, Path(folder)),
            )
            if accused:
                find_faults(verdict, chain, feeds, self.k, progress)
        if self.examine:
            if self._precision is not None:  # judged against the graph with rounded weights
                chain = replace(chain, source=part.lowered, target=replace(side, permutations=UNMOVED))
                feeds = [part.permutations.feed(feed) for feed in feeds]
            gather(verdict, chain, feeds, self.k, progress)
        return verdict

    def _probe(self, folder: Path, graph: Graph) -> Side:
        """A lowered graph as a file of its own, in the runtime of the format."""
        path = folder / f"part{self.format.suffixes[0]}"
        registry.load_module(self.format.emitter).write(Module(graph), path, **self._own())
        return sides.require_runtime(path, self.format)

    def _refused(self, reason: str) -> Verdict:
        """The verdict on a file that its runtime refuses."""
        return Verdict("executed", failure=reason, faults=[Fault("emitter", place=str(self.path))])


@dataclass(slots=True)
class _Part:
    """One graph on its way.

    Attributes:
        signature: its name, empty for the main graph.
        source: the graph as it was read.
        lowered: a copy, which becomes what is written.
        start: what was copied.
        witness: the source in its own framework, where that is asked.
        exact: that, before its weights were rounded.
        permutations: how its inputs and outputs were moved.
        reference: what the source computes.
    """

    signature: str
    source: Graph
    lowered: Graph
    start: Graph
    witness: Side | None = None
    exact: Graph | None = None
    permutations: IoPermutations = UNMOVED
    reference: Reference | None = None


def lowered_for(graph: Graph, format: Format) -> Graph | None:
    """``graph`` as it would be written; None where the format cannot be written, or not this graph."""
    if not format.emitter:
        return None
    lowered = copy_graph(graph)
    try:
        lower(lowered, format)
    except UnsupportedError:
        return None
    return lowered


_FLAGS = {"examples": "examples (--input EXTENTS; arrays to compare on are --inputs)"}
"""Options that have another name on the command line."""


def require_options(function: Callable[..., Any], options: Mapping[str, Any], purpose: str) -> None:
    """Makes sure that ``function`` has all ``options``, as keyword-only parameters.

    Raises:
        UsageError: it has not; ``purpose`` says what it does.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    if unknown := sorted(set(options) - set(known)):
        hint = f"its options: {', '.join(known)}" if known else "it has no options"
        wanted = ", ".join(_FLAGS.get(name, name) for name in unknown)
        raise UsageError(f"{purpose} has no option {wanted}", hint=hint)


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(f.stat().st_size for f in (path.rglob("*") if path.is_dir() else [path]))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Tells a file from the one that is written in its place; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def suspicious_weights(graph: Graph) -> list[str]:
    """A warning for each weight with NaN or infinite elements: the model is broken, or was not trained."""
    found = []
    for value in graph.constants():
        tensor = value.constant
        assert tensor is not None
        if not dtypes.is_float(tensor.dtype) or tensor.dtype.itemsize < 2:
            continue
        defects = {_defect(block) for block in tensor.blocks()}
        what = "NaN" if "NaN" in defects else "infinite elements"
        # An infinite scalar is an attribute (the start of a maximum, a mask), not a weight.
        if what in defects and (tensor.size > 1 or what == "NaN"):
            users = ", ".join(dict.fromkeys(node.place for node in value.users))
            found.append(f"the weight {value.name or 'without a name'} of {users} contains {what}")
    return found


def _defect(block: Array) -> str:
    """What is wrong with some elements of a weight, or nothing."""
    with np.errstate(all="ignore"):
        if block.dtype.itemsize == 2:  # several times quicker than any arithmetic on float16 and bfloat16
            infinite = np.array(np.inf, block.dtype).view(np.uint16)
            finite = (block.view(np.uint16) & np.uint16(0x7FFF)).max(initial=0) < infinite
        else:
            # The sum is not finite when an element is not; the other way round it may have overflowed.
            finite = np.isfinite(np.sum(block)) or np.all(np.isfinite(block))
        if finite:
            return ""
        return "NaN" if np.any(np.isnan(block)) else "infinite elements"
