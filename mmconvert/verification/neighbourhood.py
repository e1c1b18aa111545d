"""A few operators around one, as plain data: what a reader looks at to see what went wrong there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.verification.fault import LayerError

HOPS = 2
"""How far from the operator in the middle."""

LARGEST = 11
"""How many operators at most: more cannot be read beside another graph."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One operator, input or output of a neighbourhood.

    Attributes:
        operator: its name; "input" and "output" for the ends of the graph.
        place: its origin in the source file.
        attributes: it with its attributes, as text.
        type: of what it makes.
        depth: how many of the operators shown stand before it at least.
        layer: how its value compares; None where that is not known.
    """

    operator: str
    place: str
    attributes: str
    type: str
    depth: int
    layer: LayerError | None

    def to_json(self) -> dict[str, Any]:
        """The operator as plain data."""
        texts = ("operator", "place", "attributes", "type", "depth")
        layer = None if self.layer is None else self.layer.to_json()
        return {**{name: getattr(self, name) for name in texts}, "layer": layer}


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Operators and what flows between them.

    Attributes:
        spots: the operators, in execution order.
        edges: from and to, as indices of ``spots``.
        centre: which one it is about.
    """

    spots: tuple[Spot, ...]
    edges: tuple[tuple[int, int], ...]
    centre: int

    def to_json(self) -> dict[str, Any]:
        """The neighbourhood as plain data."""
        return {
            "operators": [spot.to_json() for spot in self.spots],
            "edges": [list(edge) for edge in self.edges],
            "centre": self.centre,
        }


_Place = Node[Op] | Value | str
"""A node, an input, or an output by its name."""


def around(graph: Graph, centre: Node[Op], layers: Mapping[Value, LayerError]) -> Neighbourhood:
    """The neighbourhood of a node, nearest first until there are enough.

    Args:
        graph: where it stands.
        centre: the node.
        layers: how values of the graph compare.
    """
    chosen: dict[_Place, None] = {centre: None}
    ring: list[_Place] = [centre]
    for _ in range(HOPS):
        near = dict.fromkeys(p for place in ring for p in (*_before(place), *_after(graph, place)))
        ring = [place for place in near if place not in chosen][: LARGEST - len(chosen)]
        chosen.update(dict.fromkeys(ring))
    ordered: list[_Place] = [value for value in graph.inputs if value in chosen]
    ordered += [node for node in graph if node in chosen]
    ordered += [name for name in graph.output_names if name in chosen]
    index = {place: i for i, place in enumerate(ordered)}
    sources = {
        place: _before(place) if not isinstance(place, str) else _end(graph, place) for place in ordered
    }
    edges = [(index[a], index[b]) for b in ordered for a in dict.fromkeys(sources[b]) if a in index]
    depths: list[int] = []
    for i in range(len(ordered)):
        depths.append(max((depths[a] + 1 for a, b in edges if b == i), default=0))
    spots = tuple(_spot(graph, place, depths[i], layers) for place, i in index.items())
    return Neighbourhood(spots, tuple(edges), index[centre])


def _before(place: _Place) -> list[_Place]:
    if not isinstance(place, Node):
        return []
    values = [v for v in place.inputs if v is not None and v.constant is None]
    return [v if v.producer is None else v.producer for v in values]


def _end(graph: Graph, name: str) -> list[_Place]:
    value = graph.outputs[graph.output_names.index(name)]
    return [value if value.producer is None else value.producer]


def _after(graph: Graph, place: _Place) -> list[_Place]:
    if isinstance(place, str):
        return []
    made = place.outputs if isinstance(place, Node) else (place,)
    readers: list[_Place] = [node for value in made for node in value.users if node is not graph.result]
    ends = zip(graph.output_names, graph.outputs, strict=True)
    return readers + [name for name, value in ends if value in made]


def _spot(graph: Graph, place: _Place, depth: int, layers: Mapping[Value, LayerError]) -> Spot:
    if isinstance(place, str):
        value = graph.outputs[graph.output_names.index(place)]
        return Spot("output", place, "", str(value.type), depth, layers.get(value))
    if isinstance(place, Value):
        return Spot("input", place.name, "", str(place.type), depth, None)
    types = ", ".join(str(value.type) for value in place.outputs)
    layer = next((layers[value] for value in place.outputs if value in layers), None)
    return Spot(place.op.name, place.place, str(place.op), types, depth, layer)
