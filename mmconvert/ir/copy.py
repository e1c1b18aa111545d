"""Copies of graphs, so that a pass can edit one and leave the other."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module


def copy_graph(graph: Graph) -> Graph:
    """The same nodes over new values. Weights and sub-graphs are shared: nothing edits them in place."""
    new = Graph(graph.name)
    values: dict[Value, Value] = {v: new.input(v.name, v.type) for v in graph.inputs}

    def find(value: Value | None) -> Value | None:
        if value is not None and value not in values:
            assert value.constant is not None
            values[value] = new.constant(value.constant, value.name)
        return None if value is None else values[value]

    for node in graph:
        made = new.add(node.op, [find(v) for v in node.inputs], name=node.name, origin=node.origin)
        for old, value in zip(node.outputs, made.outputs, strict=True):
            value.name, value.type = old.name, old.type
            values[old] = value
    new.set_outputs([v for v in map(find, graph.outputs) if v is not None], graph.output_names)
    return new


def copy_module(module: Module) -> Module:
    """A module over a copy of the graph."""
    return Module(copy_graph(module.graph), module.metadata, list(module.warnings))
