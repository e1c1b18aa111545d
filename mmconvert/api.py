"""The Python interface: load, save, convert, verify, run."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes, registry
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.interpreter import Precision, Trace
from mmconvert.interpreter import run as interpret
from mmconvert.ir.copy import copy_module
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Array
from mmconvert.lowering import lower
from mmconvert.passes.layout.assign import IoLayout
from mmconvert.passes.outcome import Outcome
from mmconvert.verify import inputs as feeds
from mmconvert.verify import sides
from mmconvert.verify.compare import K
from mmconvert.verify.judge import judge
from mmconvert.verify.sides import IoPermutations, Side
from mmconvert.verify.verdict import Verdict

AnyPath = str | os.PathLike[str]
Progress = Callable[[str], None]
"""Is told what is being done, in a few words, whenever that changes."""


def _silent(_: str) -> None:
    pass


class Model(Module):
    """A model in memory: its graph, its metadata, and the warnings that reading it gave rise to."""

    def save(self, path: AnyPath, format: str | None = None, **options: Any) -> None:
        """Writes the model; see ``mmconvert.save``."""
        save(self, path, format=format, **options)

    def run(
        self, inputs: Mapping[str, Array], *, precision: Precision = "float32", trace: Trace | None = None
    ) -> dict[str, Array]:
        """Runs the model in the bundled interpreter; see ``mmconvert.interpreter.run``."""
        return interpret(self.graph, inputs, precision=precision, trace=trace)


@dataclass(slots=True)
class Report:
    """What a conversion did.

    Attributes:
        source, target: the two paths.
        format: the target's format.
        size: bytes of the written file (of all its parts).
        operators: how many operators the written graph has.
        seconds: time spent loading, lowering, writing and verifying, by stage.
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


def load(source: AnyPath, *, format: str | None = None, **options: Any) -> Model:
    """Reads a model file.

    Args:
        source: the path of a file or folder.
        format: forces a format; by default it is recognised by content.
        **options: the parser's own.

    Raises:
        UsageError: there is no such file or format, or the parser has no such option.
        InvalidModelError: the file is broken or no model.
        UnsupportedError: it has operators or features that cannot be read; all are listed.
    """
    path = Path(source)
    parser = registry.load_module(registry.of_source(path, format).parser)
    module: Module = parser.load(path, **_accepted(parser.load, options, "reading this format"))
    return Model(module.graph, module.metadata, module.warnings)


def save(model: Module, path: AnyPath, *, format: str | None = None, **options: Any) -> None:
    """Writes a model, without verifying it; the model itself stays as it is.

    Args:
        model: what to write.
        path: where to.
        format: the target format; by default the suffix of ``path`` says.
        **options: ``io_layout``, and the emitter's own (``opset``).

    Raises:
        UsageError: the format cannot be written, has no such option, or the path cannot be written.
        UnsupportedError: the target cannot express the model; everything it lacks is listed.
    """
    _write(copy_module(model), Path(path), registry.of_target(Path(path), format), Report("", str(path), ""), options)


def convert(
    source: AnyPath,
    target: AnyPath,
    *,
    to: str | None = None,
    source_format: str | None = None,
    verify: bool = True,
    inputs: Sequence[Mapping[str, Array]] | None = None,
    seed: int = 0,
    k: float = K,
    progress: Progress = _silent,
    **options: Any,
) -> Report:
    """Converts a model file into another format and verifies the result.

    Args:
        source: the file to read.
        target: the file to write.
        to: the target format; by default the suffix of ``target`` says.
        source_format: forces the source format.
        verify: run source and target and compare them.
        inputs: what to compare them on; seeded inputs that fit the model by default.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        progress: is told what is being done.
        **options: ``io_layout``, and the emitter's own (``opset``).

    Returns:
        The report; ``report.passed`` is the verdict. A target that is not equivalent is written all the same.

    Raises:
        UsageError, InvalidModelError, UnsupportedError: as ``load`` and ``save``.
    """
    path = Path(target)
    format = registry.of_target(path, to)
    if Path(source).resolve() == path.resolve():
        raise UsageError("source and target are the same file", where=str(path))
    report = Report(str(source), str(path), format.name)
    progress("reading")
    with _timed(report, "load"):
        model = load(source, format=source_format)
    report.warnings += model.warnings
    progress("converting")
    with _timed(report, "convert"):
        report.warnings += _suspicious_weights(model.graph)
        permutations = _write(copy_module(model), path, format, report, options)
    if verify:
        with _timed(report, "verify"):
            side = sides.executed(path, format, permutations) or sides.read_back(path, format, permutations)
            tried = inputs or feeds.generate(model.graph, seed=seed)
            report.verdict = judge(model.graph, side, [dict(f) for f in tried], k=k, progress=progress)
    return report


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
        source: the reference; its float64 run is the truth.
        target: what is judged: in its own runtime when that is installed, else read back.
        inputs: what to compare them on; seeded inputs that fit the source by default.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        framework: take the source's float32 outputs from its own framework instead of the interpreter.
        progress: is told what is being done.

    Raises:
        UnsupportedError: neither file can be read, so there is nothing to compute the truth from.
        MissingDependencyError: ``framework`` is asked for and the source's framework is not installed.
    """
    source_path, target_path = Path(source), Path(target)
    progress("reading")
    graph, own = _reference(source_path, target_path, framework=framework)
    format = registry.runtime_of(target_path)
    side = None if format is None else sides.executed(target_path, format)
    if side is None:
        side = sides.read_back(target_path, registry.of_source(target_path))
    tried = inputs or feeds.generate(graph, seed=seed)
    return judge(graph, side, [dict(f) for f in tried], source=own, k=k, progress=progress)


def run(model: AnyPath, inputs: Mapping[str, Array], *, runtime: str | None = None) -> dict[str, Array]:
    """Runs a model file.

    Args:
        model: the file.
        inputs: an array for each input, by name.
        runtime: a format's name runs the file in that format's runtime; by default the interpreter runs it,
            or its own runtime when it is in a format that only that can read.

    Raises:
        MissingDependencyError: the runtime is not installed.
        UsageError: an input is missing, unknown or does not fit.
    """
    path = Path(model)
    native = registry.runtime_of(path)
    if runtime is None and (native is None or native.parser):
        return load(path).run(inputs)
    format = registry.find(runtime) if runtime not in (None, "interpreter") else native
    if runtime == "interpreter":
        return load(path).run(inputs)
    assert format is not None
    return sides.require_runtime(path, format).run(inputs)


def _reference(source: Path, target: Path, *, framework: bool) -> tuple[Graph, Side | None]:
    """The graph that the truth is computed from, and what gives the source's float32 outputs."""
    native = registry.runtime_of(source)
    if native is not None and not native.parser:
        readable = registry.runtime_of(target)
        if readable is None or not readable.parser:
            raise UnsupportedError(
                f"{native.title} cannot be read yet, so one of the two files must be in another format",
                where=str(source),
            )
        return load(target).graph, sides.require_runtime(source, native)
    own = sides.require_runtime(source, registry.of_source(source)) if framework else None
    return load(source).graph, own


def _write(
    module: Module, path: Path, format: registry.Format, report: Report, options: Mapping[str, Any]
) -> IoPermutations:
    """Lowers ``module`` in place and writes it."""
    emitter = registry.load_module(format.emitter)
    io_layout: IoLayout = options.get("io_layout", "source")
    own = {name: value for name, value in options.items() if name != "io_layout" and value is not None}
    own = _accepted(emitter.write, own, f"writing {format.title}")
    nodes_before = len(module.graph)
    if nodes_before == 0 and not module.graph.outputs:
        raise UsageError("the model has no outputs")
    moved = lower(
        module.graph,
        format,
        io_layout=io_layout,
        watch=lambda name, _, outcome: report.passes.append((name, outcome)),
        **own,
    )
    emitter.write(module, path, **own)
    report.operators = len(module.graph)
    report.size = sum(f.stat().st_size for f in path.rglob("*")) if path.is_dir() else path.stat().st_size
    return IoPermutations(*moved)


def _accepted(function: Callable[..., Any], options: Mapping[str, Any], purpose: str) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    if unknown := sorted(set(options) - set(parameters)):
        raise UsageError(f"{purpose} has no option {', '.join(unknown)}")
    return dict(options)


def _suspicious_weights(graph: Graph) -> list[str]:
    """A warning for each weight with NaN or infinite elements: the model is broken, or was not trained."""
    found = []
    for value in graph.constants():
        tensor = value.constant
        assert tensor is not None
        if not dtypes.is_float(tensor.dtype):
            continue
        with np.errstate(all="ignore"):
            array = tensor.numpy()
            suspicious = not np.isfinite(np.sum(array)) and not np.all(np.isfinite(array))
        if suspicious:
            users = ", ".join(dict.fromkeys(node.place for node in value.users))
            what = "NaN" if np.any(np.isnan(array)) else "infinite elements"
            found.append(f"the weight {value.name or 'without a name'} of {users} contains {what}")
    return found


class _timed:  # noqa: N801 - reads as a statement
    def __init__(self, report: Report, stage: str) -> None:
        self.report, self.stage = report, stage

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.report.seconds[self.stage] = time.perf_counter() - self.start
