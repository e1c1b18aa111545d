"""What can be run: the float64 truth, a source, a target; each a function from inputs to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mmconvert import registry
from mmconvert.errors import MissingDependencyError, UnsupportedError
from mmconvert.interpreter import Precision, Session
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification.verdict import Level


class Runnable(Protocol):
    """Something that computes outputs from inputs.

    Attributes:
        inputs: the names of the inputs, in order.
    """

    inputs: list[str]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every inner value that can be had, outputs included, by name."""


class Interpreted:
    """A graph in the bundled interpreter."""

    def __init__(self, graph: Graph, precision: Precision = "float32") -> None:
        self.session = Session(graph, precision, hold_weights=precision == "float32")
        self.inputs = [v.name for v in graph.inputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        return self.session.run(inputs)

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The output of every node, by its name or that of the node."""
        found: dict[str, Array] = {}

        def keep(node: Node[Op], outputs: tuple[Array, ...]) -> None:
            for value, array in zip(node.outputs, outputs, strict=True):
                name = value.name or node.name or node.op.name
                found[name if name not in found else f"{name}_{len(found)}"] = array

        results = self.session.run(inputs, trace=keep)
        return found | results


@dataclass(frozen=True)
class IoPermutations:
    """How a target's inputs and outputs are permuted against the source's, by name; others are not."""

    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def feed(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The source's inputs as the target takes them."""
        return {n: a.transpose(self.inputs[n]) if n in self.inputs else a for n, a in inputs.items()}

    def output(self, name: str, array: Array) -> Array:
        """An output of the source as the target gives it."""
        return array.transpose(self.outputs[name]) if name in self.outputs else array


UNMOVED = IoPermutations()


@dataclass(frozen=True)
class Side:
    """One participant of a comparison, with its name and how it was run."""

    runnable: Runnable
    description: str
    level: Level
    permutations: IoPermutations = UNMOVED

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs in the source's order of axes."""
        moved = self.permutations.outputs
        results = self.runnable.run(self.permutations.feed(inputs))
        return {n: a.transpose(_inverse(moved[n])) if n in moved else a for n, a in results.items()}

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The inner values, in the target's order of axes."""
        return self.runnable.intermediates(self.permutations.feed(inputs))


def interpreted(graph: Graph, precision: Precision = "float32") -> Side:
    """A graph in the interpreter."""
    return Side(Interpreted(graph, precision), f"interpreter ({precision})", "read back")


def version_of(format: registry.Format) -> str | None:
    """The version of a format's runtime; None when it has none, or it is not installed."""
    if not format.runtime:
        return None
    version: str | None = registry.load_module(format.runtime).available()
    return version


def executed(
    path: Path, format: registry.Format, permutations: IoPermutations = UNMOVED, signature: str = ""
) -> Side | None:
    """A file, or one of its signatures, in its own runtime; None when that is not there.

    Raises:
        InvalidModelError, UnsupportedError: the runtime refuses the file.
    """
    version = version_of(format)
    if version is None:
        return None
    runtime: Any = registry.load_module(format.runtime)
    session = runtime.SignatureSession(path, signature) if signature else runtime.Session(path)
    return Side(session, f"{runtime.NAME} {version}", "executed", permutations)


def require_runtime(path: Path, format: registry.Format) -> Side:
    """A file in its own runtime.

    Raises:
        MissingDependencyError: there is none, or it is not installed.
    """
    side = executed(path, format)
    if side is None:
        what = f"the runtime of {format.title} is not installed"
        if not format.runtime:
            what = f"there is no runtime for {format.title}"
        raise MissingDependencyError(what, where=str(path), hint=format.install)
    return side


def reader(path: Path, format: registry.Format, signature: str = "") -> Callable[[], Graph] | None:
    """Parses a file, or one of its signatures, by our reader; None when the format has no reader."""
    if not format.parser:
        return None
    options = {"signature": signature} if signature else {}
    return lambda: registry.load_module(format.parser).load(path, **options).graph


def read_back(
    path: Path, format: registry.Format, permutations: IoPermutations = UNMOVED, signature: str = ""
) -> Side | None:
    """A file parsed by our reader and run in the interpreter; None when the format has no reader."""
    read = reader(path, format, signature)
    if read is None:
        return None
    return Side(Interpreted(read()), "interpreter (float32)", "read back", permutations)


def best(
    path: Path, format: registry.Format, permutations: IoPermutations = UNMOVED, signature: str = ""
) -> tuple[Side | None, list[str]]:
    """A file in its own runtime, else read back, else None; and notes on why it is not the former.

    Args:
        path: the file.
        format: its format.
        permutations: how its inputs and outputs stand to the source's.
        signature: which one of several to run; the main graph by default.

    Raises:
        InvalidModelError: the runtime refuses the file, or it cannot be read.
    """
    if not format.runtime:
        notes = [f"{format.title} has no runtime"]
    elif version_of(format) is None:
        notes = [f"the runtime of {format.title} is not installed: {format.install}"]
    else:
        try:
            return executed(path, format, permutations, signature), []
        except UnsupportedError as error:  # a valid file for which this runtime lacks an operator
            notes = [str(error)]
    return read_back(path, format, permutations, signature), notes


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))
