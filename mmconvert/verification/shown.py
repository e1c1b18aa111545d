"""The inner values that a run shows, whoever ran it: a graph in the interpreter, or a runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mmconvert.interpreter import Precision, Session
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification.inputs import Feed

_NUMBERED = re.compile(r"(_\d+|/\w+)+$")


@dataclass(frozen=True, slots=True)
class Shown:
    """One inner value of a run.

    Attributes:
        name: what the run calls it.
        array: it.
        operator: what made it, in the IR's names; empty where that is not known.
        place: where that stands.
    """

    name: str
    array: Array
    operator: str = ""
    place: str = ""

    @property
    def stem(self) -> str:
        """The name without what emitters append to tell values apart."""
        return stem(self.name)


def stem(name: str) -> str:
    """A name without what emitters append to tell values apart."""
    return _NUMBERED.sub("", name)


def shown_by_graph(graph: Graph, feed: Feed, precision: Precision = "float64") -> list[Shown]:
    """Every inner value of a graph in the interpreter, in order."""
    found: list[Shown] = []

    def keep(node: Node[Op], outputs: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, outputs, strict=True):
            found.append(Shown(value.name, array, node.op.name, node.place))

    Session(graph, precision, hold_weights=False).run(feed, trace=keep)
    return found


def shown_by_runtime(arrays: Mapping[str, Array], written: Graph | None = None) -> list[Shown]:
    """What a runtime shows, by name; ``written``, the file as it was read, knows what made each."""
    made: dict[str, Node[Op]] = {}
    if written is not None:
        made = {v.name: node for node in written for v in node.outputs if v.name}
        ends = zip(written.output_names, written.outputs, strict=True)
        made |= {name: v.producer for name, v in ends if v.producer is not None}
    return [
        Shown(name, array, made[name].op.name, made[name].place) if name in made else Shown(name, array)
        for name, array in arrays.items()
    ]
