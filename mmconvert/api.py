"""The Python interface: load, save, convert, verify, run."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mmconvert import dtypes, registry
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import require_writable
from mmconvert.interpreter import Precision, Session, Trace
from mmconvert.interpreter import run as interpret
from mmconvert.ir.check import check
from mmconvert.ir.copy import copy_graph, copy_module
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Array
from mmconvert.lowering import lower
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import IoLayout
from mmconvert.passes.outcome import Outcome
from mmconvert.registry import Format
from mmconvert.verification import inputs as feeds
from mmconvert.verification import sides
from mmconvert.verification.compare import K
from mmconvert.verification.inputs import Feed
from mmconvert.verification.judge import Progress, Reference, judge, observe
from mmconvert.verification.sides import IoPermutations, Side
from mmconvert.verification.verdict import Verdict

AnyPath = str | os.PathLike[str]


_quietly = np.errstate(all="ignore")
"""NaN and infinite weights are warned about in words, once, and not by NumPy wherever they are met."""


def _silent(_: str) -> None:
    pass


class Model(Module):
    """A model in memory: its graph, its metadata, and the warnings that reading it gave rise to."""

    _prepared: tuple[int, Session] | None = None

    def save(self, path: AnyPath, format: str | None = None, **options: Any) -> None:
        """Writes the model; see ``mmconvert.save``."""
        save(self, path, format=format, **options)

    def run(
        self, inputs: Mapping[str, Array], *, precision: Precision = "float32", trace: Trace | None = None
    ) -> dict[str, Array]:
        """Runs the model in the bundled interpreter; see ``mmconvert.interpreter.run``.

        The model is made ready once, and again when its graph was edited: weights are loaded, and the graph
        is optimized as a runtime would do it (batch norms become part of convolutions). With ``trace``, and
        in float64, the graph runs exactly as it is.
        """
        if trace is not None or precision == "float64":
            return interpret(self.graph, inputs, precision=precision, trace=trace)
        if self._prepared is None or self._prepared[0] != self.graph.edits:
            graph = copy_graph(self.graph)
            pipeline.optimize(graph)
            self._prepared = self.graph.edits, Session(graph)
        return self._prepared[1].run(inputs)


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


def load(source: AnyPath, *, format: str | None = None, **options: Any) -> Model:
    """Reads a model file.

    Args:
        source: the path of a file or folder.
        format: forces a format; by default it is recognised by content.
        **options: the parser's own; for Keras ``network``, a JSON file with the architecture of a file that
            holds weights only.

    Raises:
        UsageError: there is no such file or format, or the parser has no such option.
        InvalidModelError: the file is broken or no model.
        UnsupportedError: it has operators or features that cannot be read; all are listed.
    """
    path = Path(source)
    found = registry.of_source(path, format)
    parser = registry.load_module(found.parser)
    options = {n: Path(v) if n == "network" and v is not None else v for n, v in options.items()}
    module: Module = parser.load(path, **_accepted(parser.load, options, f"reading {found.title}"))
    if not module.graph.outputs:
        raise InvalidModelError("the model has no outputs", where=str(path))
    check(module.graph, after="reading")
    return Model(module.graph, module.metadata, module.warnings)


@_quietly
def save(model: Module, path: AnyPath, *, format: str | None = None, **options: Any) -> None:
    """Writes a model, without verifying it; the model itself stays as it is.

    Args:
        model: what to write.
        path: where to.
        format: the target format; by default the suffix of ``path`` says.
        **options: ``io_layout``, and the emitter's own (``opset``); see ``convert``.

    Raises:
        UsageError: there is no such format or option, or the path cannot be written.
        UnsupportedError: the target cannot express the model; everything it lacks is listed.
    """
    target = registry.of_target(Path(path), format)
    _write(copy_module(model), Path(path), target, Report("", str(path), target.name), **options)


@_quietly
def convert(
    source: AnyPath,
    target: AnyPath,
    *,
    to: str | None = None,
    source_format: str | None = None,
    network: AnyPath | None = None,
    verify: bool = True,
    inputs: Sequence[Mapping[str, Array]] | None = None,
    seed: int = 0,
    k: float = K,
    progress: Progress = _silent,
    **options: Any,
) -> Report:
    """Converts a model file into another format and verifies the result.

    The source is run before the target is written, so that nothing is written for a source that cannot run.

    Args:
        source: the file to read.
        target: the file to write.
        to: the target format; by default the suffix of ``target`` says.
        source_format: forces the source format.
        network: the architecture, for formats that keep it apart from the weights.
        verify: run source and target and compare them.
        inputs: what to compare them on; seeded inputs that fit the model by default.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        progress: is told what is being done.
        **options: ``io_layout``: "source" keeps the order of axes of inputs and outputs, "target" takes that
            of the target's operators; and the emitter's own (``opset`` for ONNX).

    Returns:
        The report; ``report.passed`` is the verdict. A target that is not equivalent is written all the same.
        Where nothing can run or read the target, the verdict says "not executed", which is no pass.

    Raises:
        UsageError, InvalidModelError, UnsupportedError: as ``load`` and ``save``.
    """
    path = Path(target)
    _require_apart(Path(source), path)
    format = registry.of_target(path, to)
    require_writable(path, folder=format.folder)
    report = Report(str(source), str(path), format.name)
    progress("reading")
    with report.timed("load"):
        model = load(source, format=source_format, **({} if network is None else {"network": network}))
        report.warnings += [*model.warnings, *_suspicious_weights(model.graph)]
    reference = None
    if verify:
        with report.timed("verify"):
            reference = observe(model.graph, _tried(model.graph, inputs, seed), progress=progress)
    progress("converting")
    with report.timed("convert"):
        permutations = _write(copy_module(model), path, format, report, **options)
    if reference is not None:
        with report.timed("verify"):
            report.verdict = _check(reference, path, format, permutations, k, progress)
    return report


@_quietly
def verify(
    source: AnyPath,
    target: AnyPath,
    *,
    inputs: Sequence[Mapping[str, Array]] | None = None,
    seed: int = 0,
    k: float = K,
    framework: bool = False,
    progress: Progress = _silent,
) -> Verdict:
    """Whether two model files compute the same function.

    Args:
        source: the reference; its float64 run is the truth. Where mmconvert cannot read it, its own runtime
            must be installed, and the truth comes from ``target``.
        target: what is judged: in its own runtime when that is installed, else read back.
        inputs: what to compare them on; seeded inputs that fit the source by default.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        framework: run the source in its own framework as well; that has to agree with what mmconvert read.
        progress: is told what is being done.

    Raises:
        UsageError: a file does not exist, or ``inputs`` do not fit.
        InvalidModelError: a file is broken.
        UnsupportedError: neither file can be read, so there is nothing to compute the truth from.
        MissingDependencyError: the source's own framework is needed and not installed.
    """
    paths = [Path(source), Path(target)]
    formats = [registry.identify(p) for p in paths]
    progress("reading")
    readable = next((i for i, f in enumerate(formats) if f.parser), None)
    if readable is None:
        raise UnsupportedError(
            f"neither {formats[0].title} nor {formats[1].title} can be read yet, so there is no truth",
            where=str(source),
            hint="compare each with the model that it was made from",
        )
    graph = load(paths[readable]).graph
    needs_witness = framework or readable == 1
    witness = sides.require_runtime(paths[0], formats[0]) if needs_witness else None
    side, notes = sides.best(paths[1], formats[1])
    if side is None:
        return Verdict("not executed", notes=notes)
    reference = observe(graph, _tried(graph, inputs, seed), witness, progress)
    verdict = judge(reference, side, k=k, progress=progress)
    verdict.notes[:0] = notes
    return verdict


@_quietly
def run(model: AnyPath, inputs: Mapping[str, Array], *, runtime: str | None = None) -> dict[str, Array]:
    """Runs a model file.

    Args:
        model: the file.
        inputs: an array for each input, by name.
        runtime: "interpreter", or "native" for the file's own runtime, which also goes by its format's name
            ("tflite", "litert"). By default the interpreter, where mmconvert can read the file.

    Raises:
        MissingDependencyError: the runtime is not installed.
        UsageError: an input is missing, unknown or does not fit; or the runtime is for another format.
    """
    path = Path(model)
    format = registry.identify(path)
    if runtime == "interpreter" or (runtime is None and format.parser):
        graph = load(path).graph
        return Session(graph, hold_weights=False).run(feeds.fit(graph, inputs))
    if runtime not in (None, "native") and registry.find(runtime or "").name != format.name:
        raise UsageError(f"{runtime} cannot run {format.title}", where=str(path), hint="--runtime native can")
    return sides.require_runtime(path, format).run(inputs)


def input_names(*models: AnyPath) -> list[str]:
    """The names of the inputs of the first of ``models`` that can be read; else of the first in its runtime.

    Raises:
        UsageError, InvalidModelError, UnsupportedError, MissingDependencyError: as ``load`` and ``run``.
    """
    paths = [Path(model) for model in models]
    formats = [registry.identify(path) for path in paths]
    for path, format in zip(paths, formats, strict=True):
        if format.parser:
            return [v.name for v in load(path).graph.inputs]
    return list(sides.require_runtime(paths[0], formats[0]).runnable.inputs)


def _check(
    reference: Reference,
    path: Path,
    format: Format,
    permutations: IoPermutations,
    k: float,
    progress: Progress,
) -> Verdict:
    """The verdict on a file that was just written. A runtime that refuses it says that it is wrong."""
    side: Side | None
    try:
        side, notes = sides.best(path, format, permutations)
    except InvalidModelError as error:
        return Verdict("executed", failure=str(error))
    if side is None:
        return Verdict("not executed", notes=notes)
    verdict = judge(reference, side, k=k, progress=progress)
    verdict.notes[:0] = notes
    return verdict


def _tried(graph: Graph, inputs: Sequence[Mapping[str, Array]] | None, seed: int) -> list[Feed]:
    if inputs is None:
        return feeds.generate(graph, seed=seed)
    return [feeds.fit(graph, feed) for feed in inputs]


def _require_apart(source: Path, target: Path) -> None:
    if source.exists() and target.exists() and source.samefile(target):
        raise UsageError("source and target are the same file", where=str(target))


def _write(
    module: Module,
    path: Path,
    format: Format,
    report: Report,
    *,
    io_layout: IoLayout = "source",
    **options: Any,
) -> IoPermutations:
    """Lowers ``module`` in place and writes it."""
    if io_layout not in get_args(IoLayout):
        raise UsageError(f"io_layout is {' or '.join(get_args(IoLayout))}, not {io_layout!r}")
    emitter = registry.load_module(format.emitter)
    own = {name: value for name, value in options.items() if value is not None}
    own = _accepted(emitter.write, own, f"writing {format.title}")
    require_writable(path, folder=format.folder)
    moved = lower(
        module.graph,
        format,
        io_layout=io_layout,
        watch=lambda name, _, outcome: report.passes.append((name, outcome)),
        **own,
    )
    report.operators = emitter.write(module, path, **own)
    report.size = _size(path)
    return IoPermutations(*moved)


def _size(path: Path) -> int:
    """The bytes of a file with its weights beside it, or of all files in a folder."""
    beside = path.with_name(f"{path.name}.data")
    files = path.rglob("*") if path.is_dir() else [path, *([beside] if beside.is_file() else [])]
    return sum(f.stat().st_size for f in files)


def _accepted(function: Callable[..., Any], options: Mapping[str, Any], purpose: str) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    if unknown := sorted(set(options) - set(known)):
        hint = f"its options: {', '.join(known)}" if known else "it has no options"
        raise UsageError(f"{purpose} has no option {', '.join(unknown)}", hint=hint)
    return dict(options)


def _suspicious_weights(graph: Graph) -> list[str]:
    """A warning for each weight with NaN or infinite elements: the model is broken, or was not trained."""
    found = []
    for value in graph.constants():
        tensor = value.constant
        assert tensor is not None
        if not dtypes.is_float(tensor.dtype) or tensor.dtype.itemsize < 2:
            continue
        array = tensor.numpy()
        with np.errstate(all="ignore"):
            # The sum is not finite when an element is not; the other way round it may have overflowed.
            suspicious = not np.isfinite(np.sum(array)) and not np.all(np.isfinite(array))
        # An infinite scalar is an attribute (the start of a maximum, a mask), not a weight.
        if suspicious and (tensor.size > 1 or np.any(np.isnan(array))):
            users = ", ".join(dict.fromkeys(node.place for node in value.users))
            what = "NaN" if np.any(np.isnan(array)) else "infinite elements"
            found.append(f"the weight {value.name or 'without a name'} of {users} contains {what}")
    return found
