"""What can be run: the float64 truth, a source, a target; each a function from inputs to outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mmconvert import registry
from mmconvert.errors import MissingDependencyError
from mmconvert.interpreter import Precision, Session
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verify.verdict import Level


class Runnable(Protocol):
    """Something that computes outputs from inputs.

    Attributes:
        inputs: the names of the inputs, in order.
    """

    inputs: list[str]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every inner value that has a name, outputs included."""


class Interpreted:
    """A graph in the bundled interpreter."""

    def __init__(self, graph: Graph, precision: Precision = "float32") -> None:
        self.session = Session(graph, precision, hold_weights=precision == "float32")
        self.inputs = [v.name for v in graph.inputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        return self.session.run(inputs)

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every named value."""
        found: dict[str, Array] = {}

        def keep(node: Node[Op], outputs: tuple[Array, ...]) -> None:
            found.update({v.name: a for v, a in zip(node.outputs, outputs, strict=True) if v.name})

        return found | self.session.run(inputs, trace=keep)


@dataclass(frozen=True)
class IoPermutations:
    """How a target's inputs and outputs are permuted against the source's, by name; others are as they were."""

    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One participant of a comparison, with its name and how it was run."""

    runnable: Runnable
    description: str
    level: Level
    permutations: IoPermutations = IoPermutations()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs in the source's order of axes."""
        moved = self.permutations
        fed = {n: a.transpose(moved.inputs[n]) if n in moved.inputs else a for n, a in inputs.items()}
        results = self.runnable.run(fed)
        return {n: a.transpose(_inverse(moved.outputs[n])) if n in moved.outputs else a for n, a in results.items()}


def interpreted(graph: Graph, precision: Precision = "float32") -> Side:
    """A graph in the interpreter."""
    return Side(Interpreted(graph, precision), f"interpreter ({precision})", "read back")


def executed(path: Path, format: registry.Format, permutations: IoPermutations = IoPermutations()) -> Side | None:
    """A file in its own runtime; None when the format has none or it is not installed."""
    if not format.runtime:
        return None
    runtime: Any = registry.load_module(format.runtime)
    version = runtime.available()
    if version is None:
        return None
    return Side(runtime.Session(path), f"{runtime.NAME} {version}", "executed", permutations)


def require_runtime(path: Path, format: registry.Format) -> Side:
    """A file in its own runtime.

    Raises:
        MissingDependencyError: there is none, or it is not installed.
    """
    side = executed(path, format)
    if side is None:
        hint = f"pip install 'mmconvert[{format.extra}]'" if format.extra else ""
        raise MissingDependencyError(f"the runtime of {format.title} is not installed", where=str(path), hint=hint)
    return side


def read_back(path: Path, format: registry.Format, permutations: IoPermutations = IoPermutations()) -> Side | None:
    """A file parsed by our reader and run in the interpreter; None when the format has no reader."""
    if not format.parser:
        return None
    module = registry.load_module(format.parser).load(path)
    return Side(Interpreted(module.graph), "interpreter (float32)", "read back", permutations)


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))
