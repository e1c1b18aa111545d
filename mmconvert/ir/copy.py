"""Copies of graphs, so that a pass can edit one and leave the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from mmconvert.ir.dims import substitute
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module
from mmconvert.ir.op import ControlOp, Op


def copy_graph(graph: Graph, bindings: Mapping[str, int] | None = None) -> Graph:
    """The same nodes over new values. Weights are shared, and sub-graphs where nothing in them is bound.

    Args:
        graph: what to copy.
        bindings: numbers for symbolic extents; all types are inferred anew with them.

    Raises:
        InferenceError: the operators do not fit together with these extents.
    """
    bindings = bindings or {}
    new = Graph(graph.name)
    values: dict[Value, Value] = {}
    for value in graph.inputs:
        shape = tuple(substitute(e, bindings) for e in value.type.shape)
        values[value] = new.input(value.name, value.type.with_shape(shape))

    def find(value: Value | None) -> Value | None:
        if value is not None and value not in values:
            assert value.constant is not None
            values[value] = new.constant(value.constant, value.name)
        return None if value is None else values[value]

    for node in graph:
        made = new.add(
            _bound(node.op, bindings), [find(v) for v in node.inputs], name=node.name, origin=node.origin
        )
        for old, value in zip(node.outputs, made.outputs, strict=True):
            value.name = old.name
            values[old] = value
    new.set_outputs([v for v in map(find, graph.outputs) if v is not None], graph.output_names)
    return new


def _bound(op: Op, bindings: Mapping[str, int]) -> Op:
    """``op`` with numbers for symbols, also inside its graphs."""
    op = op.bind(bindings)
    if not bindings or not isinstance(op, ControlOp):
        return op
    values = {f.name: getattr(op, f.name) for f in dataclasses.fields(cast(Any, op))}
    graphs = {name: copy_graph(v, bindings) for name, v in values.items() if isinstance(v, Graph)}
    return cast(Op, dataclasses.replace(cast(Any, op), **graphs))


def copy_module(module: Module) -> Module:
    """A module over a copy of the graph."""
    return Module(copy_graph(module.graph), module.metadata, list(module.warnings))
