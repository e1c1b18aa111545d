"""What a reduction came to, and the file that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmconvert import registry
from mmconvert.conversion import Plan, Report
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.reduction.search import Search
from mmconvert.reduction.trial import Failure, Trial


@dataclass(slots=True)
class Reduction:
    """A small model that fails like a large one.

    Attributes:
        source, against: what was reduced, and the target that it fails for.
        path: the file with the small model.
        counterpart: where two files are compared, the file with the same part of the other one.
        operators: how many operators the model had, and how many the small one has.
        inputs: the types of the inputs of the small one, by name.
        kinds: its operators, in order.
        tries: how many conversions were tried.
        noise: whether weights are noise.
        real: names of weights that are those of the model, because it does not fail without.
        names: whether names of the model are left.
        failure: how it fails.
        complete: False where the search ended early, at the allowed number of tries or interrupted.
        interrupted: whether it was the user who ended it.
        notes: what a reader should know.
    """

    source: str
    against: str
    path: str
    operators: tuple[int, int]
    inputs: dict[str, str]
    kinds: list[str]
    failure: Failure
    tries: int = 0
    counterpart: str = ""
    noise: bool = False
    real: list[str] = field(default_factory=list)
    names: bool = True
    complete: bool = True
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """What fails, and what the file says about the model, in sentences."""
        ends = ", ".join(f"{name}: {type}" for name, type in self.inputs.items())
        kinds = ", ".join(self.kinds[:8]) + (
            f" and {len(self.kinds) - 8} more" if len(self.kinds) > 8 else ""
        )
        said = [
            f"{self.failure.kind} in {self.against}: {self.failure.words}",
            f"{self.operators[0]} operators became {self.operators[1]} ({kinds}) over {ends}",
        ]
        verdict = self.failure.verdict
        said += [str(fault) for fault in verdict.faults] if verdict is not None else []
        if self.real:
            said.append(f"weights of the model that had to stay: {', '.join(self.real)}")
        elif self.noise:
            said.append("all weights are noise")
        if self.names:
            said.append("it has names of the model in it")
        if not self.complete:
            why = "interrupted" if self.interrupted else "all allowed tries were used"
            said.append(f"this is the smallest so far: {why} ({self.tries} tries)")
        return said + self.notes

    def to_json(self) -> dict[str, Any]:
        """The reduction as plain data."""
        verdict = self.failure.verdict
        plain = (
            "source",
            "against",
            "path",
            "counterpart",
            "inputs",
            "kinds",
            "tries",
            "noise",
            "real",
            "names",
        )
        return {
            **{name: getattr(self, name) for name in plain},
            "operators": list(self.operators),
            "complete": self.complete,
            "interrupted": self.interrupted,
            "failure": {"kind": self.failure.kind, "words": self.failure.words},
            "words": self.words,
            "verdict": None if verdict is None else verdict.to_json(),
        }


def summarise(search: Search, source: str, against: str, operators: int) -> Reduction:
    """What a search found, before it is written."""
    graph = search.best
    return Reduction(
        source,
        against,
        "",
        (operators, len(graph)),
        {v.name: str(v.type) for v in graph.inputs},
        [node.op.name for node in graph],
        search.failure,
        search.tries,
        noise=search.noisy,
        real=[v.name or "without a name" for v in search.real],
        names=not search.bare,
    )


def write(graph: Graph, path: Path, trial: Trial | None, failure: Failure) -> tuple[Path, list[str]]:
    """Writes a graph such that what is read back fails as well: as ONNX, else as our own IR.

    Args:
        graph: what to write.
        path: where to; the suffix says how, and ``.mmir`` is used where that hides the failure.
        trial: says how a graph fails; None where that is not to be tried.
        failure: what is to be seen again.

    Returns:
        What was written, and notes.
    """
    reason = _written(graph, path, trial, failure)
    if not reason or path.suffix == ".mmir":
        return path, [reason] if reason else []
    other = path.with_suffix(".mmir")
    path.unlink(missing_ok=True)
    rest = _written(graph, other, trial, failure)
    return other, [f"written as {other.name}: {reason}", *([rest] if rest else [])]


def _written(graph: Graph, path: Path, trial: Trial | None, failure: Failure) -> str:
    """Why a file does not show what it should; empty where it does."""
    format = registry.of_target(path)
    try:
        Plan(path, format, {}).carry_out(Module(graph), Report("", str(path), format.name))
        read = registry.load_module(format.parser).load(path).graph
    except (UnsupportedError, InvalidModelError) as error:
        return f"{format.title} cannot hold it ({error.message})"
    found = None if trial is None else trial(read)
    if trial is None or (found is not None and found.is_like(failure)):
        return ""
    return f"{format.title} cannot show it, what is read back does not fail"
