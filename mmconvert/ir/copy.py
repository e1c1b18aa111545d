"""Copies of graphs, so that a pass can edit one and leave the other; with other extents, where wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from mmconvert.ir.dims import Bindings, solve, substitute
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.model import Module
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Array


def copy_graph(graph: Graph, bindings: Mapping[str, int] | None = None) -> Graph:
    """The same nodes over new values, also in the graphs inside of operators; weights are shared.

    Args:
        graph: what to copy.
        bindings: numbers for symbolic extents; all types are inferred anew with them.

    Raises:
        InferenceError: the operators do not fit together with these extents.
    """
    return _copy(graph, bindings or {})


def copy_module(module: Module) -> Module:
    """A module over copies of the graphs."""
    others = {name: copy_graph(graph) for name, graph in module.signatures.items()}
    return dataclasses.replace(
        module, graph=copy_graph(module.graph), warnings=list(module.warnings), signatures=others
    )


class Copier:
    """Makes a graph from inputs and nodes of another one, one after the other.

    Attributes:
        graph: what has been made so far.
        values: the new value for each old one.
        bindings: what stands for the extents of the old graph.
    """

    def __init__(self, name: str, bindings: Bindings) -> None:
        self.graph = Graph(name)
        self.values: dict[Value, Value] = {}
        self.bindings = dict(bindings)

    def take(self, value: Value, name: str, type: TensorType, content: Array | None = None) -> None:
        """Makes an input that stands for ``value``; ``content`` is what is known of its elements."""
        self.values[value] = self.graph.input(name, type, content=content)

    def add(self, node: Node[Op]) -> None:
        """Copies a node; its inputs are constants or have been copied.

        Raises:
            InferenceError: it does not fit its inputs.
        """
        operands = [None if v is None else self.find(v) for v in node.inputs]
        op = _bound(node.op, self.bindings)
        made = self.graph.add(op, operands, name=node.name, origin=node.origin)
        for old, new in zip(node.outputs, made.outputs, strict=True):
            new.name = old.name
            self.values[old] = new
            if self.bindings:
                self._learn(old.type, new.type)

    def find(self, value: Value) -> Value:
        """The new value for ``value``."""
        if value not in self.values:
            assert value.constant is not None
            self.values[value] = self.graph.constant(value.constant, value.name)
        return self.values[value]

    def _learn(self, old: TensorType, new: TensorType) -> None:
        # Inference can do more with numbers than arithmetic: of max(n, m), n=4, it makes 4, as m is 4 or 1.
        # The graphs inside of operators have to follow, or they would no longer fit.
        for before, after in zip(old.shape, new.shape, strict=True):
            if substitute(before, self.bindings) != after and (found := solve(before, after, self.bindings)):
                self.bindings[found[0]] = found[1]


def _copy(graph: Graph, bindings: Bindings) -> Graph:
    copier = Copier(graph.name, bindings)
    for value in graph.inputs:
        shape = tuple(substitute(e, bindings) for e in value.type.shape)
        # An input of a graph inside an operator may be known from the graph around it.
        content = None if value.content is None else _bound_content(value.content, bindings)
        copier.take(value, value.name, value.type.with_shape(shape), content)
    for node in graph:
        copier.add(node)
    copier.graph.set_outputs([copier.find(v) for v in graph.outputs], graph.output_names)
    return copier.graph


def _bound(op: Op, bindings: Bindings) -> Op:
    """``op`` with ``bindings`` in place of its extents, also inside its graphs."""
    op = op.bind(bindings)
    if not isinstance(op, ControlOp):
        return op
    values = {f.name: getattr(op, f.name) for f in dataclasses.fields(cast(Any, op))}
    graphs = {name: _copy(v, bindings) for name, v in values.items() if isinstance(v, Graph)}
    return cast(Op, dataclasses.replace(cast(Any, op), **graphs))


def _bound_content(content: Array, bindings: Bindings) -> Array:
    bound = np.empty(content.shape, object)
    bound.reshape(-1)[:] = [substitute(e, bindings) for e in content.reshape(-1)]
    return bound
