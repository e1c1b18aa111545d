"""What a verification found, in a form for people, programs and tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mmconvert.verification.compare import Error
from mmconvert.verification.evidence import Evidence
from mmconvert.verification.fault import Culprit, Fault, LayerError

SCHEMA = 1
"""The version of what ``to_json`` gives; it grows when something is taken away or changes its meaning."""

Level = Literal["executed", "simulated", "read back", "structure only", "not executed"]
"""How the target was judged. Only the first three can pass."""


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """One output over all inputs that were tried.

    Attributes:
        name: the output's name.
        error: of what is judged, against the float64 truth.
        source_error: of the source's float32 run, against the same truth.
        budget: what the error may be.
        passed: whether it is at most that, on every input.
        moved: of an output on a grid of quantized numbers the share that is off by one unit.
        derived: the budget by the acceptance rule, where ``budget`` is a tolerance that the user gave.
    """

    name: str
    error: Error
    source_error: Error
    budget: Error
    passed: bool
    moved: float = 0.0
    derived: Error | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the acceptance rule itself says so, whatever tolerance was given."""
        return not self.passed if self.derived is None else not self.error.within(self.derived)

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        numbers = {n: getattr(self, n).to_json() for n in ("error", "source_error", "budget")}
        derived = None if self.derived is None else self.derived.to_json()
        return {"name": self.name, "passed": self.passed, **numbers, "derived_budget": derived}


@dataclass(frozen=True, slots=True)
class Invariant:
    """One thing that must hold.

    Attributes:
        output: of which output.
        rule: in a few words.
        held: whether it did, on every input.
    """

    output: str
    rule: str
    held: bool

    def to_json(self) -> dict[str, Any]:
        """The invariant as plain data."""
        return {"output": self.output, "rule": self.rule, "held": self.held}


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first operator of the source whose value is wrong in the target.

    Attributes:
        operator: its name.
        place: its origin in the source file.
        attributes: it with its attributes, as text.
        value: the first value that is wrong and that the target has, by its name in the target; empty when
            the target has none.
        error: of that value.
        budget: what that error may be.
        fused: the places of the operators between it and that value, which the target does not show apart.
    """

    operator: str
    place: str
    attributes: str
    value: str
    error: Error
    budget: Error
    fused: tuple[str, ...] = ()

    def __str__(self) -> str:
        numbers = f"error {self.error.maximum:.2e}, budget {self.budget.maximum:.2e}"
        more = f"; or what is fused with it: {', '.join(self.fused)}" if self.fused else ""
        return f"{self.operator} at {self.place} ({numbers}{more}): {self.attributes}"

    def to_json(self) -> dict[str, Any]:
        """The divergence as plain data."""
        texts = {n: getattr(self, n) for n in ("operator", "place", "attributes", "value")}
        return {
            **texts,
            "fused": list(self.fused),
            "error": self.error.to_json(),
            "budget": self.budget.to_json(),
        }


@dataclass(slots=True)
class Verdict:
    """Whether a target computes what its source does, and how that is known.

    Attributes:
        level: how the target was run.
        source: what computed the source's float32 outputs.
        runtime: what ran the target, with its version.
        outputs: one verdict for each output of the target.
        inputs: how many inputs were tried.
        source_outputs: where the source was run by its own framework, one verdict for each output of that:
            it has to agree with the truth, which comes from how mmconvert read the file.
        losses: where weights were rounded to fewer bits, what that does to each output, as the ratio of
            signal to noise in decibels; ``outputs`` is then about the graph with these weights.
        failure: why the target could not be run, although its runtime is there.
        first_divergence: the first wrong operator, when there is one and it could be found.
        faults: what is wrong, stage after stage and operator after operator; see ``culprit``.
        layers: of a target that is not equivalent, or where evidence was asked for, the error of each value
            along the network, where it was looked for.
        invariants: what must hold of each output whatever its numbers, and whether it does.
        evidence: what a report shows beside it, where that was asked for.
        notes: what a reader should know.
        tolerance: what errors may be by the user's word, in place of the budgets that the rule derives.
    """

    level: Level
    source: str = ""
    runtime: str = ""
    outputs: list[OutputVerdict] = field(default_factory=list)
    inputs: int = 0
    source_outputs: list[OutputVerdict] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    first_divergence: Divergence | None = None
    faults: list[Fault] = field(default_factory=list)
    layers: list[LayerError] = field(default_factory=list)
    invariants: list[Invariant] = field(default_factory=list)
    evidence: Evidence | None = None
    notes: list[str] = field(default_factory=list)
    tolerance: float | None = None

    def add(self, signature: str, other: Verdict) -> None:
        """Takes in the verdict on another signature of the same target, whose outputs get its name ahead."""
        self.outputs += [replace(output, name=f"{signature}/{output.name}") for output in other.outputs]
        self.losses |= {f"{signature}/{name}": loss for name, loss in other.losses.items()}
        self.failure = self.failure or other.failure
        self.first_divergence = self.first_divergence or other.first_divergence
        self.faults += other.faults
        self.layers = self.layers or other.layers
        self.evidence = self.evidence or other.evidence
        self.invariants += [replace(i, output=f"{signature}/{i.output}") for i in other.invariants]
        self.notes += [note for note in other.notes if note not in self.notes]

    @property
    def was_run(self) -> bool:
        """True when the target was run in some way, or should have run and failed."""
        return self.level in ("executed", "simulated", "read back")

    @property
    def passed(self) -> bool:
        """True when the target was run or read back and every output is within its budget."""
        judged = [*self.outputs, *self.source_outputs]
        return self.was_run and not self.failure and bool(self.outputs) and all(o.passed for o in judged)

    @property
    def source_agrees(self) -> bool:
        """False when the source's own framework computes something else than what mmconvert read."""
        return all(o.passed for o in self.source_outputs)

    @property
    def culprit(self) -> Culprit:
        """Who is wrong: the first stage that is, or "none" for a target that is equivalent or was not run."""
        if self.passed or not self.was_run:
            return "none"
        return self.faults[0].stage if self.faults else "unknown"

    @property
    def summary(self) -> str:
        """``equivalent (executed)``, ``NOT equivalent (executed)`` or ``not verified (not executed)``."""
        if not self.was_run:
            return f"not verified ({self.level})"
        return f"{'equivalent' if self.passed else 'NOT equivalent'} ({self.level})"

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data; errors as numbers, infinite ones as the string "inf"."""
        found = self.first_divergence
        return {
            "passed": self.passed,
            "level": self.level,
            "source": self.source,
            "runtime": self.runtime,
            "inputs": self.inputs,
            "tolerance": self.tolerance,
            "outputs": [o.to_json() for o in self.outputs],
            "source_outputs": [o.to_json() for o in self.source_outputs],
            "losses": {n: v if v < float("inf") else str(v) for n, v in self.losses.items()},
            "failure": self.failure,
            "first_divergence": None if found is None else found.to_json(),
            "culprit": self.culprit,
            "faults": [fault.to_json() for fault in self.faults],
            "layers": [layer.to_json() for layer in self.layers],
            "invariants": [invariant.to_json() for invariant in self.invariants],
            "evidence": None if self.evidence is None else self.evidence.to_json(),
            "notes": self.notes,
        }
