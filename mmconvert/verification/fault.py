"""Who is wrong, where, and in what way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from mmconvert.verification.compare import Error

Stage = Literal["parser", "pass", "emitter", "file", "runtime", "unknown"]
"""Where a fault came in.

parser: mmconvert read the source in another way than the source's own framework does. pass: one of its passes
changed what the graph computes. emitter: it wrote something else than the graph that it was given. file: the
file computes something else than the source, and it is not known who wrote it. runtime: the runtime computes
something else than the file says. unknown: none of these could be shown, as the file cannot be read back.
"""

Culprit = Literal[Stage, "none"]
"""The first stage that is at fault, or none: all agree."""

CULPRITS: tuple[str, ...] = (*get_args(Stage), "none")


@dataclass(frozen=True, slots=True)
class Fault:
    """One operator that computes something else than it should from what it was given.

    Attributes:
        stage: where it went wrong.
        agent: the name of the pass, or of the runtime; empty for the others.
        operator: its name; empty where no single operator is to blame.
        place: its origin in the source file, or where that is not known in the target.
        attributes: it with its attributes, as text.
        value: what it makes, by its name on the wrong side.
        error: of that value against what the operator should make of the operands that the wrong side has.
        budget: what that error may be.
        diagnosis: what the wrong value is instead, "matches under permute(0,2,3,1)"; empty where nothing that
            was tried explains it.
        fused: the places of further operators between that value and those before it, which the wrong side
            does not show apart.
    """

    stage: Stage
    agent: str = ""
    operator: str = ""
    place: str = ""
    attributes: str = ""
    value: str = ""
    error: Error | None = None
    budget: Error | None = None
    diagnosis: str = ""
    fused: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """The stage in words."""
        return {
            "parser": "the parser reads this differently from the source's own runtime",
            "pass": f"the pass {self.agent} changes what is computed",
            "emitter": "the emitter writes something else than the graph it was given",
            "file": "the file says something else than the source",
            "runtime": f"{self.agent} deviates from what the format specifies",
            "unknown": "the file, or the runtime that runs it: it cannot be read back to tell",
        }[self.stage]

    def __str__(self) -> str:
        if not self.operator:
            return self.who
        text = f"{self.who}: {self.operator} at {self.place}"
        if self.error is not None and self.budget is not None:
            text += f" (its own error {self.error.maximum:.2e}, budget {self.budget.maximum:.2e})"
        if self.fused:
            text += f", or what is fused with it: {', '.join(self.fused)}"
        return f"{text}; {self.diagnosis}" if self.diagnosis else text

    def to_json(self) -> dict[str, Any]:
        """The fault as plain data."""
        texts = ("stage", "agent", "operator", "place", "attributes", "value", "diagnosis")
        return {
            **{name: getattr(self, name) for name in texts},
            "fused": list(self.fused),
            "error": None if self.error is None else self.error.to_json(),
            "budget": None if self.budget is None else self.budget.to_json(),
        }


@dataclass(frozen=True, slots=True)
class LayerError:
    """One value along the network: how far it is from the truth, and how much of that its operator added.

    Attributes:
        operator, place: what makes it.
        value: its name on the judged side.
        permutation: how the axes lie on the judged side, against the reference.
        error: of the value against the truth: what was propagated, and what was added.
        local: of the value against what its operator should make of its operands as the judged side has them;
            None where that was not computed, because the value is right.
        budget: what the error may be.
    """

    operator: str
    place: str
    value: str
    permutation: tuple[int, ...]
    error: Error
    local: Error | None
    budget: Error

    @property
    def is_right(self) -> bool:
        """Whether the value was recognised; on a grid of quantized numbers it may be over the budget then."""
        return self.local is None or self.error.within(self.budget)

    @property
    def is_at_fault(self) -> bool:
        """Whether the operator itself adds more than it may."""
        return self.local is not None and not self.local.within(self.budget)

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {
            "operator": self.operator,
            "place": self.place,
            "value": self.value,
            "permutation": list(self.permutation),
            "error": self.error.to_json(),
            "local": None if self.local is None else self.local.to_json(),
            "budget": self.budget.to_json(),
        }
