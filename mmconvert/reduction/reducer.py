"""From a model that fails against a target to the file that shows why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmconvert import registry
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.ir.graph import Graph
from mmconvert.reduction.outcome import Reduction, summarise, write
from mmconvert.reduction.pair import disagreement
from mmconvert.reduction.search import Exhausted, Progress, Search
from mmconvert.reduction.trial import Conversion

WRITTEN = ("onnx", "mmir")
"""What reduced models are written as: whatever the source was, these hold it."""


def reduce_graph(
    graph: Graph,
    source: str,
    against: str,
    out: Path,
    *,
    seed: int,
    k: float,
    tries: int,
    progress: Progress,
    **options: Any,
) -> Reduction:
    """Shrinks ``graph``, and writes what is left; see ``mmconvert.reduce``."""
    if registry.of_target(out).name not in WRITTEN:
        raise UsageError("a reduced model is written as .onnx or .mmir", where=str(out))
    if tries < 1:
        raise UsageError(f"there has to be a try, not {tries}")
    path = Path(against) if Path(against).exists() else None
    format = registry.identify(path) if path is not None else registry.find(against)
    if not format.emitter:
        raise UnsupportedError(f"{format.title} cannot be written, so there is nothing to try", where=against)
    trial = Conversion(format, options, seed, k)
    progress("converting the whole model")
    failure = trial(graph)
    if failure is None:
        found = None if path is None else _pair(graph, source, path, out, seed, k, progress)
        if found is None:
            what = f"{source} converted to {format.title} is equivalent: there is nothing to reduce"
            raise UsageError(what, hint="other inputs may show it (--seed)")
        return found
    search = Search(graph, failure, trial, tries, progress)
    complete, interrupted = True, False
    try:
        search.run()
    except Exhausted:
        complete = False
    except KeyboardInterrupt:
        complete, interrupted = False, True
    found = summarise(search, source, format.title, len(graph))
    found.complete, found.interrupted = complete, interrupted
    if not interrupted:
        progress("finding out who is wrong")
        found.failure = trial.fails(search.best, blame=True) or search.failure
    written, notes = write(search.best, out, None if interrupted else trial, search.failure)
    found.path, found.notes = str(written), notes
    return found


def _pair(
    graph: Graph, source: str, path: Path, out: Path, seed: int, k: float, progress: Progress
) -> Reduction | None:
    """The same for a file that a conversion does not explain: it is cut where it differs from the source."""
    format = registry.identify(path)
    if not format.parser:
        return None
    progress("comparing inner values")
    target: Graph = registry.load_module(format.parser).load(path).graph
    pair = disagreement(graph, target, seed, k)
    if pair is None:
        return None
    written, notes = write(pair.source, out, None, pair.failure)
    other, more = write(pair.target, out.with_stem(f"{out.stem}-target"), None, pair.failure)
    return Reduction(
        source,
        str(path),
        str(written),
        (len(graph), len(pair.source)),
        {v.name: str(v.type) for v in pair.source.inputs},
        [node.op.name for node in pair.source],
        pair.failure,
        counterpart=str(other),
        notes=[
            *notes,
            *more,
            f"a conversion of {source} does not fail: both files are cut where they differ",
        ],
    )
