"""Which nodes of a graph are needed, and the order in which they can run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from mmconvert.errors import InvalidModelError
from mmconvert.onnxlib import AttributeProto, GraphProto, NodeProto


def place(node: NodeProto) -> str:
    """What to call a node in a message."""
    return f"{node.op_type} {(node.name or next(filter(None, node.output), ''))!r}"


def reads(node: NodeProto) -> list[str]:
    """The names that a node reads, those that its graphs take from around them included, each once."""
    names = dict.fromkeys(filter(None, node.input))
    for graph in graphs_of(node):
        names.update(dict.fromkeys(free_names(graph)))
    return list(names)


def free_names(graph: GraphProto) -> list[str]:
    """The names that a graph reads and does not make, each once."""
    made = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    made |= {tensor.values.name for tensor in graph.sparse_initializer}
    made |= {name for node in graph.node for name in node.output}
    read = [name for node in graph.node for name in reads(node)] + [info.name for info in graph.output]
    return [name for name in dict.fromkeys(read) if name and name not in made]


def graphs_of(node: NodeProto) -> list[GraphProto]:
    """The graphs among the attributes of a node."""
    found = []
    for attribute in node.attribute:
        found += [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
    return found


def execution_order(nodes: Sequence[NodeProto], given: Iterable[str], outputs: Iterable[str]) -> list[int]:
    """The positions of the nodes that the outputs depend on, each after what it reads.

    Nodes that are in order in the file stay in that order.

    Args:
        nodes: the nodes of the file.
        given: the names of inputs and initializers.
        outputs: the names of the graph's outputs.

    Raises:
        InvalidModelError: a name is made twice or never, or nodes wait for one another.
    """
    known = set(given)
    producer: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in known or name in producer:
                raise InvalidModelError(f"the name {name!r} is given twice", where=place(node))
            producer[name] = position
    needs = [[name for name in reads(node) if name not in known] for node in nodes]
    for node, names in zip(nodes, needs, strict=True):
        for name in names:
            if name not in producer:
                raise InvalidModelError(f"the input {name!r} is not made by any node", where=place(node))
    live = _reachable(needs, producer, outputs, known)
    return _sort(nodes, needs, producer, live)


def _reachable(
    needs: list[list[str]], producer: dict[str, int], outputs: Iterable[str], known: set[str]
) -> set[int]:
    pending = []
    for name in outputs:
        if name in producer:
            pending.append(producer[name])
        elif name not in known:
            raise InvalidModelError(f"the output {name!r} is not made by any node", where="graph")
    live: set[int] = set()
    while pending:
        position = pending.pop()
        if position not in live:
            live.add(position)
            pending += [producer[name] for name in needs[position]]
    return live


def _sort(
    nodes: Sequence[NodeProto], needs: list[list[str]], producer: dict[str, int], live: set[int]
) -> list[int]:
    waits = {position: len({producer[name] for name in needs[position]}) for position in live}
    users: dict[int, list[int]] = {}
    for position in live:
        for source in {producer[name] for name in needs[position]}:
            users.setdefault(source, []).append(position)
    ready = [position for position, count in waits.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        position = heapq.heappop(ready)
        order.append(position)
        for user in users.get(position, ()):
            waits[user] -= 1
            if waits[user] == 0:
                heapq.heappush(ready, user)
    if len(order) < len(live):
        stuck = min(live.difference(order))
        raise InvalidModelError("this node waits for its own output", where=place(nodes[stuck]))
    return order
