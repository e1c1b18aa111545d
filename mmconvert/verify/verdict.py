"""What a verification found, in a form for people, programs and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mmconvert.verify.compare import Error

Level = Literal["executed", "simulated", "read back", "structure only", "not executed"]
"""How the target was judged. Only the first three can pass."""


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """One output over all inputs that were tried.

    Attributes:
        name: the output's name.
        error: of the target, against the float64 truth.
        source_error: of the source's float32 run, against the same truth.
        budget: what the target's error may be.
        passed: whether it is at most that.
    """

    name: str
    error: Error
    source_error: Error
    budget: Error
    passed: bool


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first operator of the source whose value is wrong in the target."""

    operator: str
    place: str
    value: str
    error: Error
    budget: Error

    def __str__(self) -> str:
        return f"{self.operator} at {self.place}: error {self.error.maximum:.2e}, budget {self.budget.maximum:.2e}"


@dataclass(slots=True)
class Verdict:
    """Whether a target computes what its source does, and how that is known.

    Attributes:
        level: how the target was run.
        source: what computed the source's float32 outputs.
        runtime: what ran the target, with its version.
        outputs: one verdict for each output.
        inputs: how many inputs were tried.
        first_divergence: the first wrong operator, when there is one and it could be found.
        notes: what a reader should know.
    """

    level: Level
    source: str = ""
    runtime: str = ""
    outputs: list[OutputVerdict] = field(default_factory=list)
    inputs: int = 0
    first_divergence: Divergence | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True when the target was run or read back and every output is within its budget."""
        return self.level in ("executed", "simulated", "read back") and all(o.passed for o in self.outputs)

    @property
    def summary(self) -> str:
        """``equivalent (executed)``, ``NOT equivalent (executed)`` or ``not verified (not executed)``."""
        if self.level in ("structure only", "not executed"):
            return f"not verified ({self.level})"
        return f"{'equivalent' if self.passed else 'NOT equivalent'} ({self.level})"

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data; errors as numbers, infinite ones as the string "inf"."""
        return {
            "passed": self.passed,
            "level": self.level,
            "source": self.source,
            "runtime": self.runtime,
            "inputs": self.inputs,
            "outputs": [
                {
                    "name": o.name,
                    "passed": o.passed,
                    "error": _numbers(o.error),
                    "source_error": _numbers(o.source_error),
                    "budget": _numbers(o.budget),
                }
                for o in self.outputs
            ],
            "first_divergence": None if self.first_divergence is None else _divergence(self.first_divergence),
            "notes": self.notes,
        }


def _numbers(error: Error) -> dict[str, float | str]:
    return {name: _number(value) for name, value in (("maximum", error.maximum), ("l2", error.l2))}


def _number(value: float) -> float | str:
    return value if value == value and abs(value) != float("inf") else str(value)


def _divergence(found: Divergence) -> dict[str, Any]:
    return {
        "operator": found.operator,
        "place": found.place,
        "value": found.value,
        "error": _numbers(found.error),
        "budget": _numbers(found.budget),
    }
