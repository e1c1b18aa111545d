"""What a pass did, and why it did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op


@dataclass(slots=True)
class Outcome:
    """The rewrites that a pass made, and the places where it declined, with the reason."""

    done: int = 0
    declined: list[tuple[str, str]] = field(default_factory=list)

    def decline(self, node: Node[Op], reason: str) -> None:
        """Notes why ``node`` was left as it is."""
        self.declined.append((node.place, reason))

    def __iadd__(self, other: Outcome) -> Outcome:
        self.done += other.done
        self.declined += other.declined
        return self

    def __str__(self) -> str:
        reasons = Counter(reason for _, reason in self.declined)
        text = f"{self.done} done"
        for reason, count in reasons.items():
            first = next(place for place, r in self.declined if r == reason)
            text += f", {count} declined: {first} {reason!r}"
        return text


Pass: TypeAlias = Callable[[Graph], Outcome]
"""A pass edits the graph in place, keeps its meaning, and is idempotent."""
