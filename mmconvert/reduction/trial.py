"""One try: does this graph fail, and in the same way as the model that is to be reduced?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmconvert.conversion import Plan, Report
from mmconvert.errors import (
    InternalError,
    InvalidModelError,
    MissingDependencyError,
    UnsupportedError,
    UsageError,
)
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.registry import Format
from mmconvert.verification.compare import K
from mmconvert.verification.verdict import Verdict

Kind = Literal["not equivalent", "refused", "unsupported", "a bug of mmconvert"]

GROSS, STILL_GROSS = 100.0, 10.0
"""What is this many times over its budget has to stay so many times over it: a search for anything that fails
would end at something that is only rounded badly."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a conversion fails.

    Attributes:
        kind: the target computes something else, its runtime refuses the file, an operator or feature is
            unsupported, or mmconvert itself breaks.
        words: what is wrong, in a sentence.
        over: how many times the worst error is over its budget.
        features: what is unsupported.
        outputs: the names of outputs that are wrong.
        verdict: what the verification found, where there was one.
    """

    kind: Kind
    words: str
    over: float = 0.0
    features: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    verdict: Verdict | None = None

    def is_like(self, other: Failure) -> bool:
        """Whether this may stand for ``other``."""
        if self.kind != other.kind:
            return False
        if self.kind == "unsupported":
            return bool(self.features & other.features)
        return self.kind != "not equivalent" or other.over < GROSS or self.over >= STILL_GROSS


Trial = Callable[[Graph], Failure | None]
"""How a graph fails; None where it does not, or cannot run at all."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Converts a graph, and verifies the result as ``mmconvert.convert`` does.

    Attributes:
        format: what to convert to.
        options: the emitter's.
        seed, k: see ``mmconvert.convert``.
    """

    format: Format
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    k: float = K

    def __call__(self, graph: Graph) -> Failure | None:
        """How the conversion fails.

        Raises:
            MissingDependencyError: nothing on this machine can run or read the target.
        """
        return self.fails(graph)

    def fails(self, graph: Graph, *, blame: bool = False) -> Failure | None:
        """The same; with ``blame`` the verdict also says who is wrong, and where."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{next(iter(self.format.suffixes), '')}"
            report = Report("", str(path), self.format.name)
            try:
                plan = Plan(
                    path, self.format, self.options, verify=True, seed=self.seed, k=self.k, blame=blame
                )
                plan.carry_out(Module(graph), report)
            except UnsupportedError as error:
                features = frozenset(problem.what for problem in error.problems) or {error.message}
                return Failure("unsupported", "; ".join(sorted(features)), features=frozenset(features))
            except InternalError as error:
                return Failure("a bug of mmconvert", str(error))
            except (InvalidModelError, UsageError):
                return None
        assert report.verdict is not None
        if not report.verdict.was_run:
            raise MissingDependencyError(
                f"nothing on this machine can run {self.format.title}", hint=self.format.install
            )
        return failure_of(report.verdict)


def failure_of(verdict: Verdict) -> Failure | None:
    """What is wrong by a verdict; None where nothing is."""
    if verdict.passed:
        return None
    if verdict.failure:
        return Failure("refused", verdict.failure, verdict=verdict)
    wrong = [o for o in verdict.outputs if not o.passed]
    if not wrong:
        return None
    worst = max(wrong, key=lambda o: o.error.over(o.budget))
    words = (
        f"the output {worst.name!r} has an error of {worst.error.maximum:.2e}, "
        f"and its budget is {worst.budget.maximum:.2e}"
    )
    names = tuple(o.name for o in wrong)
    return Failure("not equivalent", words, worst.error.over(worst.budget), outputs=names, verdict=verdict)
