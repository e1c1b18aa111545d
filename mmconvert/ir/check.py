"""The invariants of a graph, verified after every pass."""

from __future__ import annotations

from mmconvert.errors import InternalError
from mmconvert.ir.graph import Graph, Value


def check(graph: Graph, after: str = "") -> None:
    """Verifies SSA order, def-use chains and names.

    Raises:
        InternalError: an invariant does not hold; ``after`` says which pass broke it.
    """
    stage = f"after {after}: " if after else ""
    known: set[Value] = set(graph.inputs)
    uses: dict[Value, set[tuple[object, int]]] = {}
    for node in (*graph, graph.result):
        if node.graph is not graph:
            raise InternalError(f"{stage}{node!r} belongs to another graph")
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            if value.constant is None and value not in known:
                raise InternalError(f"{stage}{value!r} is used by {node!r} before it is made")
            uses.setdefault(value, set()).add((node, index))
        for index, value in enumerate(node.outputs):
            if value.producer is not node or value.index != index:
                raise InternalError(f"{stage}{value!r} does not know that {node!r} makes it")
            known.add(value)
    for value in (*known, *uses):
        if set(value.uses) != uses.get(value, set()):
            raise InternalError(f"{stage}the users of {value!r} are out of step")
    names = [v.name for v in graph.inputs]
    if len(set(names)) != len(names) or len(set(graph.output_names)) != len(graph.output_names):
        raise InternalError(f"{stage}two inputs or two outputs share a name")
    if len(graph.output_names) != len(graph.outputs):
        raise InternalError(f"{stage}{len(graph.outputs)} outputs have {len(graph.output_names)} names")
