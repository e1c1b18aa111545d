"""The Python interface: load, save, convert, extract, verify, diff, reduce, run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import registry
from mmconvert.conversion import Plan, Report, lowered_for, require_options, suspicious_weights
from mmconvert.difference.compare import Difference, compare
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import read_text, require_writable
from mmconvert.interpreter import Precision, Session, Trace
from mmconvert.interpreter import run as interpret
from mmconvert.ir.check import check
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim
from mmconvert.ir.ends import fix_dims as bind
from mmconvert.ir.extract import extract as extract_graph
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Array
from mmconvert.passes import pipeline
from mmconvert.reduction.outcome import Reduction
from mmconvert.reduction.reducer import reduce_graph
from mmconvert.verification import inputs as feeds
from mmconvert.verification import pictures, sides
from mmconvert.verification.compare import K
from mmconvert.verification.judge import Progress, judge, observe
from mmconvert.verification.verdict import SCHEMA, Verdict

__all__ = [
    "SCHEMA",
    "Model",
    "Report",
    "convert",
    "diff",
    "extract",
    "input_names",
    "load",
    "reduce",
    "run",
    "save",
    "verify",
]

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


def load(source: Any, *, format: str | None = None, **options: Any) -> Model:
    """Reads a model file, or a model in memory.

    Args:
        source: the path of a file or folder; or a `torch.nn.Module` or `torch.export.ExportedProgram`.
        format: forces a format; by default it is recognised by content.
        **options: the parser's own; for Keras ``network``, a JSON file with the architecture of a file that
            holds weights only; for ONNX ``fix`` and ``items``, see ``convert``; for TFLite ``signature``, the
            name of the only one to read of several; for a module of PyTorch ``inputs``, examples of what it
            takes, and ``dynamic_shapes`` as `torch.export.export` has them, and for files of its weights
            ``module``, ``examples``, ``state_key`` and ``trust_pickle``, see ``convert``.

    Raises:
        UsageError: there is no such file or format, or the parser has no such option.
        InvalidModelError: the file is broken or no model.
        UnsupportedError: it has operators or features that cannot be read; all are listed.
    """
    is_file = isinstance(source, str | os.PathLike)
    what = Path(source) if is_file else source
    found = registry.of_source(what, format) if is_file else registry.of_object(source)
    parser = registry.load_module(found.parser)
    read = parser.load if is_file else parser.load_object
    options = {n: Path(v) if n == "network" and v is not None else v for n, v in options.items()}
    require_options(read, options, f"reading {found.title}")
    module: Module = read(what, **options)
    if not module.graph.outputs:
        raise InvalidModelError("the model has no outputs", where=str(what) if is_file else "")
    for graph in (module.graph, *module.signatures.values()):
        check(graph, after="reading")
    return Model(**{f.name: getattr(module, f.name) for f in fields(Module)})


@_quietly
def save(
    model: Module,
    path: AnyPath,
    *,
    format: str | None = None,
    fix_dims: Mapping[str, int] | None = None,
    rename: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Writes a model, without verifying it; the model itself stays as it is.

    Args:
        model: what to write.
        path: where to.
        format: the target format; by default the suffix of ``path`` says.
        fix_dims, rename, **options: see ``convert``.

    Raises:
        UsageError: there is no such format, option, extent or name, or the path cannot be written.
        UnsupportedError: the target cannot express the model; everything it lacks is listed.
    """
    target = registry.of_target(Path(path), format)
    plan = Plan(Path(path), target, options, fix_dims or {}, rename or {})
    plan.carry_out(model, Report("", str(path), target.name))


@_quietly
def convert(
    source: AnyPath,
    target: AnyPath,
    *,
    to: str | None = None,
    source_format: str | None = None,
    network: AnyPath | None = None,
    fix: Mapping[str, Any] | None = None,
    items: Mapping[str, int] | None = None,
    activations: Mapping[str, Any] | None = None,
    signature: str | None = None,
    hybrid: str | None = None,
    module: str | Callable[[], Any] | None = None,
    examples: Sequence[Any] | None = None,
    state_key: str | None = None,
    trust_pickle: bool | None = None,
    fix_dims: Mapping[str, int] | None = None,
    rename: Mapping[str, str] | None = None,
    labels: AnyPath | Sequence[str] | None = None,
    verify: bool = True,
    inputs: Sequence[Mapping[str, Array]] | AnyPath | None = None,
    seed: int = 0,
    k: float = K,
    tolerance: float | None = None,
    thorough: bool = False,
    framework: bool = False,
    examine: bool = False,
    progress: Progress = _silent,
    **options: Any,
) -> Report:
    """Converts a model file into another format and verifies the result.

    Args:
        source: the file to read.
        target: the file to write.
        to: the target format; by default the suffix of ``target`` says.
        source_format: forces the source format.
        network: the architecture, for formats that keep it apart from the weights.
        fix: values for inputs, which become constants of the model; for formats that have this (ONNX).
        items: how many tensors an input of sequence or optional type stands for; likewise.
        activations: what activations are that are not Keras's own (``{"<lambda>": "leaky_relu:0.2"}``).
        signature: the only one to read, where a TFLite file has several.
        hybrid: how TFLite's products of floats with weights of 8 bits are read: as runtimes compute them
            ("exact", the default), or as what the weights mean ("float").
        module: for files of PyTorch that hold only weights, what builds their module:
            ``"package.module:factory"``, or a callable.
        examples: what that module takes, ``["image=batch,3,224,224"]``, or example tensors.
        state_key: which state dict of a checkpoint; the one that fits best by default.
        trust_pickle: unpickle a whole module of PyTorch, whatever code that runs.
        fix_dims: numbers for extents of inputs that are open in the source: by name (``{"batch": 1}``), or by
            an input and one of its axes (``{"image:0": 1}``). The target is specialised for them.
        rename: other names for inputs and outputs in the target, by those in the source.
        labels: class labels, or a text file with one on each line; formats that keep such (TFLite, ONNX) have
            them in place of the source's.
        verify: run source and target and compare them.
        inputs: what to compare them on, by the source's names; or the path of an image, an array file or a
            folder with such, images going through the preprocessing that the model's metadata says. Seeded
            inputs that fit the model by default.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        tolerance: what the error of floats may be, relative to the output's scale, in place of what follows
            from the source's; the verdict says so.
        thorough: try more generated inputs: odd and prime extents, a batch of 3, constant, ramp, one-hot and
            large inputs.
        framework: run the source in its own framework or runtime as well; that has to agree with what
            mmconvert read.
        examine: gather what a report shows beside the verdict, also where all is well: the error of each
            layer, how the outputs differ, and what stands around the worst operator. One more run of both.
        progress: is told what is being done.
        **options: ``io_layout``: "source" keeps the order of axes of inputs and outputs, "target" takes that
            of the target's operators. ``precision="fp16"`` stores float32 weights of 1024 elements and more
            as float16, which are widened when the file is loaded (TFLite, ONNX); the verdict is then about
            the graph with these weights, and ``verdict.losses`` says what rounding does to the outputs.
            And the emitter's own (for ONNX ``opset``, ``ir_version`` and ``external_data``).

    Returns:
        The report; ``report.passed`` is the verdict. A target that is not equivalent is written all the same.
        Where nothing can run or read the target, the verdict says "not executed", which is no pass.

    Raises:
        UsageError, InvalidModelError, UnsupportedError: as ``load`` and ``save``.
        MissingDependencyError: the target is written by a library that is not installed.
    """
    format = _target(source, target, to)
    plan = Plan(
        Path(target),
        format,
        options,
        fix_dims or {},
        rename or {},
        verify,
        None,
        seed,
        k,
        tolerance=tolerance,
        thorough=thorough,
        examine=examine,
    )
    report = Report(str(source), str(target), format.name)
    progress("reading")
    with report.timed("load"):
        model = load(
            source,
            format=source_format,
            **_given(
                network=network,
                fix=fix,
                items=items,
                activations=activations,
                signature=signature,
                hybrid=hybrid,
                module=module,
                examples=examples,
                state_key=state_key,
                trust_pickle=trust_pickle,
            ),
        )
        report.warnings += [*model.warnings, *suspicious_weights(model.graph)]
    _label(model, labels)
    given, notes = _given_feeds(model, model.graph, inputs, seed)
    plan, witness = replace(plan, inputs=given), None
    if framework and verify:
        path = Path(source)
        witness = sides.require_runtime(path, registry.of_source(path, source_format))
    plan.carry_out(model, report, progress, witness)
    if report.verdict is not None:
        report.verdict.notes += notes
    return report


@_quietly
def extract(
    source: AnyPath,
    target: AnyPath,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    to: str | None = None,
    source_format: str | None = None,
    network: AnyPath | None = None,
    fix: Mapping[str, Any] | None = None,
    items: Mapping[str, int] | None = None,
    activations: Mapping[str, Any] | None = None,
    signature: str | None = None,
    hybrid: str | None = None,
    module: str | Callable[[], Any] | None = None,
    examples: Sequence[Any] | None = None,
    state_key: str | None = None,
    trust_pickle: bool | None = None,
    fix_dims: Mapping[str, int] | None = None,
    rename: Mapping[str, str] | None = None,
    labels: AnyPath | Sequence[str] | None = None,
    verify: bool = True,
    feeds: Sequence[Mapping[str, Array]] | None = None,
    seed: int = 0,
    k: float = K,
    examine: bool = False,
    progress: Progress = _silent,
    **options: Any,
) -> Report:
    """Converts a part of a model: what computes ``outputs`` from ``inputs``.

    Args:
        source: the file to read.
        target: the file to write, in any format.
        inputs: names of values of the source, which become the inputs: inner values, layers, or inputs of the
            source. By default the inputs of the source that the outputs depend on.
        outputs: names of values of the source; its own outputs by default.
        fix_dims: numbers for extents of the source's inputs, put in before it is cut.
        rename: other names for the inputs and outputs of the part.
        feeds: arrays for ``inputs`` to verify on; seeded ones by default.
        to, source_format, network, fix, items, activations, signature, hybrid, module, examples, state_key,
            trust_pickle, labels, verify, seed, k, examine, progress, **options: see ``convert``.

    Returns:
        The report of the conversion of the part. The truth of its verdict is the part of the source.

    Raises:
        UsageError: there is no value of a name, or the outputs depend on more than ``inputs``.
        InvalidModelError, UnsupportedError: as ``convert``.
    """
    if inputs is None and outputs is None:
        raise UsageError("say where to cut: with inputs, outputs, or both")
    format = _target(source, target, to)
    plan = Plan(Path(target), format, options, {}, rename or {}, verify, feeds, seed, k, examine=examine)
    report = Report(str(source), str(target), format.name)
    progress("reading")
    with report.timed("load"):
        model = load(
            source,
            format=source_format,
            **_given(
                network=network,
                fix=fix,
                items=items,
                activations=activations,
                signature=signature,
                hybrid=hybrid,
                module=module,
                examples=examples,
                state_key=state_key,
                trust_pickle=trust_pickle,
            ),
        )
        model.graph = extract_graph(bind(model.graph, fix_dims or {}), inputs, outputs)
        model.metadata, model.signatures = replace(model.metadata, files={}), {}  # these are of the whole
        report.warnings += [*model.warnings, *suspicious_weights(model.graph)]
    _label(model, labels)
    plan.carry_out(model, report, progress)
    return report


@_quietly
def verify(
    source: AnyPath,
    target: AnyPath,
    *,
    inputs: Sequence[Mapping[str, Array]] | AnyPath | None = None,
    seed: int = 0,
    k: float = K,
    tolerance: float | None = None,
    thorough: bool = False,
    fix_dims: Mapping[str, int] | None = None,
    framework: bool = False,
    examine: bool = False,
    progress: Progress = _silent,
    **options: Any,
) -> Verdict:
    """Whether two model files compute the same function.

    Args:
        source: the reference; its float64 run is the truth. Where mmconvert cannot read it, its own runtime
            must be installed, and the truth comes from ``target``.
        target: what is judged: in its own runtime when that is installed, else read back.
        inputs: what to compare them on, see ``convert``.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        fix_dims: numbers for open extents of the inputs, see ``convert``: for a target that has only these.
        tolerance: what the error of floats may be, relative to the output's scale, in place of what follows
            from the source's; the verdict says so.
        thorough: try more generated inputs: odd and prime extents, a batch of 3, constant, ramp, one-hot and
            large inputs.
        framework: run the source in its own framework as well; that has to agree with what mmconvert read.
        examine: gather what a report shows, see ``convert``.
        progress: is told what is being done.
        **options: for reading ``source``, as ``load`` takes them.

    Raises:
        UsageError: a file does not exist, ``inputs`` do not fit, or there are ``options`` for a file that is
            run and not read.
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
    needs_witness = framework or readable == 1
    if needs_witness:
        _refuse(options, paths[0])
    model = load(paths[readable], **options)
    graph = model.graph
    witness = sides.require_runtime(paths[0], formats[0]) if needs_witness else None
    side, notes = sides.best(paths[1], formats[1])
    if side is None:
        return Verdict("not executed", notes=notes)
    bound = bind(graph, fix_dims or {})
    given, said = _given_feeds(model, bound, inputs, seed)
    tried = feeds.generate(bound, seed=seed, thorough=thorough) if given is None else given
    reference = observe(graph, [feeds.fit(bound, feed) for feed in tried], witness, progress)
    verdict = judge(reference, side, k=k, progress=progress, tolerance=tolerance)
    verdict.notes[:0] = [*notes, *said, *(feeds.without_effect(bound, tried[0], seed) if thorough else [])]
    wrong = verdict.failure or any(o.is_wrong for o in (*verdict.outputs, *verdict.source_outputs))
    if wrong or examine:
        from mmconvert.verification.blame import Chain, find_faults  # a tenth of a start, and seldom needed
        from mmconvert.verification.examine import gather

        fed = [o.feed for o in reference.observations]
        chain = Chain(graph, side, sides.reader(paths[1], formats[1]), witness, is_ours=False)
        if wrong:
            find_faults(verdict, replace(chain, lowered=lowered_for(bound, formats[1])), fed, k, progress)
        if examine:
            gather(verdict, chain, fed, k, progress)
    return verdict


@_quietly
def diff(
    first: AnyPath,
    second: AnyPath,
    *,
    run: bool = True,
    seed: int = 0,
    k: float = K,
    fix_dims: Mapping[str, int] | None = None,
    progress: Progress = _silent,
) -> Difference:
    """What is different between two models, of whatever formats.

    Both are optimized and brought into one layout, so that what is different is not how a format spells
    something. Then operators are paired, their attributes and weights compared, and both are run.

    Args:
        first, second: files that can be read.
        run: whether to compare what they compute as well.
        seed: for generated inputs.
        k: how many times the float32 error of the first the second may have.
        fix_dims: numbers for open extents of the inputs, for whichever of the files has them.
        progress: is told what is being done.

    Returns:
        The differences; ``same`` says that there are none.

    Raises:
        UsageError, InvalidModelError, UnsupportedError: as ``load``.
    """
    progress("reading")
    a, b = (_bind_known(load(path).graph, fix_dims or {}) for path in (first, second))
    found = Difference(str(first), str(second))
    compare(a, b, found, run=run, seed=seed, k=k, progress=progress)
    return found


def _bind_known(graph: Graph, wanted: Mapping[str, int]) -> Graph:
    """``graph`` with those of the numbers that are for extents which it has open."""
    known = {e.name for v in graph.inputs for e in v.type.shape if isinstance(e, Dim) and e.name}
    known |= {
        f"{v.name}:{axis}" for v in graph.inputs for axis, e in enumerate(v.type.shape) if isinstance(e, Dim)
    }
    return bind(graph, {name: number for name, number in wanted.items() if name in known})


@_quietly
def reduce(
    source: AnyPath,
    against: AnyPath,
    out: AnyPath | None = None,
    *,
    seed: int = 0,
    k: float = K,
    tries: int = 200,
    fix_dims: Mapping[str, int] | None = None,
    progress: Progress = _silent,
    **options: Any,
) -> Reduction:
    """Shrinks a model that is not converted rightly to the smallest part that still fails.

    Operators, outputs, extents, weights and names are taken away as long as the conversion fails in the same
    way, so that what is left can be shown to others. Weights become seeded noise where they may.

    Args:
        source: the file to read.
        against: a target format, or a file: then its format. Where a new conversion does not fail, and the
            file does, the part on which the two files differ is cut out of both.
        out: the file to write, ``.onnx`` or ``.mmir``; ``<source>-reduced.onnx`` in the current folder by
            default. ONNX that would hide the failure is written as ``.mmir``.
        seed: for generated inputs.
        k: how many times the source's own float32 error the target may have.
        tries: how many conversions there may be.
        fix_dims: numbers for open extents of the inputs.
        progress: is told what is being done.
        **options: for reading ``source``, as ``load`` takes them.

    Returns:
        What is left. Ctrl-C ends the search, and what is smallest so far is written.

    Raises:
        UsageError: nothing fails; or the paths or the numbers are wrong.
        InvalidModelError, UnsupportedError: as ``load``; or the target's format cannot be written.
        MissingDependencyError: nothing on this machine can run the target.
    """
    path = Path(out) if out is not None else Path(f"{Path(source).stem}-reduced.onnx")
    require_writable(path, folder=path.suffix == ".mmir")
    progress("reading")
    graph = bind(load(source, **options).graph, fix_dims or {})
    return reduce_graph(
        graph, str(source), str(against), path, seed=seed, k=k, tries=tries, progress=progress
    )


@_quietly
def run(
    model: AnyPath, inputs: Mapping[str, Array], *, runtime: str | None = None, **options: Any
) -> dict[str, Array]:
    """Runs a model file.

    Args:
        model: the file.
        inputs: an array for each input, by name.
        runtime: "interpreter", or "native" for the file's own runtime, which also goes by its format's name
            ("tflite", "litert"). By default the interpreter, where mmconvert can read the file.
        **options: for reading the file, as ``load`` takes them; its own runtime has none.

    Raises:
        MissingDependencyError: the runtime is not installed.
        UsageError: an input is missing, unknown or does not fit; or the runtime is for another format, or
            takes no options.
    """
    path = Path(model)
    format = registry.identify(path)
    if runtime == "interpreter" or (runtime is None and format.parser):
        graph = load(path, **options).graph
        return Session(graph, hold_weights=False).run(feeds.fit(graph, inputs))
    if runtime not in (None, "native") and registry.find(runtime or "").runtime != format.runtime:
        raise UsageError(f"{runtime} cannot run {format.title}", where=str(path), hint="--runtime native can")
    _refuse(options, path)
    return sides.require_runtime(path, format).run(inputs)


def input_names(*models: AnyPath, **options: Any) -> list[str]:
    """The names of the inputs of the first of ``models`` that can be read; else of the first in its runtime.

    Args:
        *models: files.
        **options: for reading one, as ``load`` takes them.

    Raises:
        UsageError, InvalidModelError, UnsupportedError, MissingDependencyError: as ``load`` and ``run``.
    """
    paths = [Path(model) for model in models]
    formats = [registry.identify(path) for path in paths]
    for path, format in zip(paths, formats, strict=True):
        if format.parser:
            return [v.name for v in load(path, **options).graph.inputs]
    return list(sides.require_runtime(paths[0], formats[0]).runnable.inputs)


def _label(model: Model, labels: AnyPath | Sequence[str] | None) -> None:
    """Gives a model other class labels.

    Raises:
        UsageError: they stand in a file that cannot be read.
    """
    if isinstance(labels, str | os.PathLike):
        labels = read_text(Path(labels)).splitlines()
    if labels is not None:
        model.metadata = model.metadata.relabelled(tuple(labels))


def _target(source: AnyPath, target: AnyPath, to: str | None) -> registry.Format:
    """The format to write, which must not be over the source."""
    first, second = Path(source), Path(target)
    if first.exists() and second.exists() and first.samefile(second):
        raise UsageError("source and target are the same file", where=str(second))
    return registry.of_target(second, to)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: Mapping[str, Any], path: Path) -> None:
    if given := sorted(_given(**options)):
        what = f"{', '.join(given)}: only for files that mmconvert reads, not for those in their own runtime"
        raise UsageError(what, where=str(path))


def _given_feeds(
    model: Model, graph: Graph, inputs: Sequence[Mapping[str, Array]] | AnyPath | None, seed: int
) -> tuple[Sequence[Mapping[str, Array]] | None, list[str]]:
    """The user's inputs as arrays, and notes on how files became such."""
    if isinstance(inputs, str | os.PathLike):
        return pictures.feeds_from(Path(inputs), graph, model.metadata.properties, seed)
    return inputs, []
