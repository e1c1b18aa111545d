"""Writes the graph again with the layouts that were chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, cast

from mmconvert.errors import InternalError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvInteger, ConvTranspose, Reshape, Transpose
from mmconvert.ir.types import Layout, TensorType
from mmconvert.passes.layout import rules
from mmconvert.passes.layout.orientation import Orientations, flips, layout_of
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.simplify import moves_only_units

Fetch = Callable[[Value | None], Value | None]
Transposing = Callable[[Value, tuple[int, ...]], Value]


def with_layout(
    node: Node[Op], layout: Layout, fetch: Fetch, transpose: Transposing
) -> tuple[Op, list[Value | None]]:
    """The operator in another layout, and its operands but the first, weights transposed.

    Args:
        node: an operator that has a layout.
        layout: the layout it shall have.
        fetch: finds an operand in the graph that is being written.
        transpose: permutes a value of that graph.
    """
    before = layout_of(node.op)
    assert before is not None
    op = cast(Op, dataclasses.replace(cast(Any, node.op), layout=layout))
    side = [fetch(v) for v in node.inputs[1:]]
    if isinstance(op, Conv | ConvInteger | ConvTranspose):
        weight = side[0]
        assert weight is not None
        side[0] = transpose(weight, before.permutation_to(layout, weight.type.rank))
    return op, side


def transpose(b: Builder, value: Value, perm: tuple[int, ...]) -> Value:
    """``value`` permuted: for free when it is constant or nothing moves in memory."""
    if perm == tuple(range(len(perm))):
        return value
    if value.constant is not None:
        return b.constant(value.constant.transpose(perm), name=value.name)
    if moves_only_units(value.type, perm):
        return b(Reshape(shape=rules.permute(value.type.shape, perm)), value)
    return b(Transpose(perm=perm), value)


class Assignment(Protocol):
    """The solved cut."""

    def end(self, value: Value) -> Layout:
        """The layout of a graph input or output."""

    def side(self, node: Node[Op], side: str, value: Value) -> Layout:
        """The layout in which ``node`` reads ("in") or makes ("out") an oriented value."""


class Rewriter:
    """Builds the graph again, node by node, and puts the result in the place of the old one.

    Args:
        graph: the graph to rewrite.
        orientations: the native layouts of its values.
        assignment: the layouts that were chosen.
        target: the layout that operators must have.
    """

    def __init__(
        self, graph: Graph, orientations: Orientations, assignment: Assignment, target: Layout
    ) -> None:
        self.graph, self.orientations, self.assignment, self.target = graph, orientations, assignment, target
        self.new = Graph(graph.name)
        self.b = Builder(self.new)
        self._made: dict[tuple[Value, Layout | None], Value] = {}
        self._current: dict[Value, Layout | None] = {}
        self._permuted: dict[tuple[Value, tuple[int, ...]], Value] = {}

    def rewrite(self) -> Outcome:
        """Rewrites; counts the nodes that changed."""
        outcome = Outcome()
        for value in self.graph.inputs:
            layout = self.assignment.end(value) if self.orientations[value] is not None else None
            self._keep(value, layout, self.new.input(value.name, self._type(value, layout)))
        for node in self.graph:
            with self.b.at(node.origin):
                outcome.done += self._node(node)
        outputs = [self._fetch(v, self._end(v)) for v in self.graph.outputs]
        for value, name in zip(outputs, self.graph.output_names, strict=True):
            value.name = value.name or name
        self.new.set_outputs(outputs, self.graph.output_names)
        self.graph.adopt(self.new)
        return outcome

    def _end(self, value: Value) -> Layout | None:
        return self.assignment.end(value) if self.orientations[value] is not None else None

    def _node(self, node: Node[Op]) -> bool:
        if self.orientations.relabels(node):
            layout = self.assignment.side(node, "out", node.output)
            self._keep(node.output, layout, self._fetch(node.operand(0), layout))
            return True
        if layout_of(node.op) is not None:
            return self._sensitive(node)
        native = self.orientations[node.outputs[0]] if node.outputs else None
        if native is not None and flips(node, native):
            return self._flippable(node, native)
        return self._fixed(node)

    def _sensitive(self, node: Node[Op]) -> bool:
        native = self.orientations[node.outputs[0]]
        agrees = native is layout_of(node.op)
        layout = self.target if agrees else native
        op, side = node.op, [self._side(v) for v in node.inputs[1:]]
        if agrees:
            op, side = with_layout(node, self.target, self._side, self._transpose)
        operands = [self._fetch(node.operand(0), layout), *side]
        self._add(node, op, operands, layout)
        return op != node.op

    def _flippable(self, node: Node[Op], native: Layout) -> bool:
        layout = self.assignment.side(node, "out", node.outputs[0])
        perm = native.permutation_to(layout, node.outputs[0].type.rank)
        op = rules.permuted(node, perm) if layout is not native else node.op
        if op is None:
            raise InternalError(f"{node!r} was flipped and cannot be")
        data = rules.data_operands(node)
        operands = [
            self._aligned(v, native, layout, len(perm)) if i in data else self._side(v)
            for i, v in enumerate(node.inputs)
        ]
        self._add(node, op, operands, layout)
        return layout is not native

    def _fixed(self, node: Node[Op]) -> bool:
        op, operands = node.op, [self._side(v) for v in node.inputs]
        changed = False
        x = node.inputs[0] if node.inputs else None
        if x is not None and (native := self.orientations[x]) is not None:
            layout = self.assignment.side(node, "in", x)
            if layout is not native:
                op = self._require(node, rules.absorbs(node, native.permutation_to(layout, x.type.rank)))
                operands, changed = [self._fetch(x, layout)], True
        out = node.outputs[0] if node.outputs else None
        made: Layout | None = None
        if out is not None and (native := self.orientations[out]) is not None:
            made = self.assignment.side(node, "out", out)
            if made is not native:
                op = self._require(node, rules.produces(node, native.permutation_to(made, out.type.rank)))
                changed = True
        self._add(node, op, operands, made)
        return changed

    def _require(self, node: Node[Op], op: Op | None) -> Op:
        if op is None:
            raise InternalError(f"{node!r} was given a layout that it cannot have")
        return op

    def _aligned(self, value: Value | None, native: Layout, layout: Layout, rank: int) -> Value | None:
        """An operand in ``layout``; one of lower rank is given the leading axes that broadcasting implies."""
        if value is None or value.type.rank == 0 or layout is native:
            return (
                self._side(value)
                if value is None or self.orientations[value] is None
                else self._fetch(value, native)
            )
        perm = native.permutation_to(layout, rank)
        missing = rank - value.type.rank
        shape = (*[1] * missing, *value.type.shape)
        if value.constant is not None:
            tensor = value.constant.reshape(TensorType(value.type.dtype, shape).static_shape).transpose(perm)
            leading = next((i for i, e in enumerate(tensor.shape) if e != 1), rank)
            return self.b.constant(
                tensor.reshape(tensor.shape[leading:] if missing else tensor.shape), name=value.name
            )
        if not missing:
            return self._fetch(value, layout)
        return self._transpose(self.b(Reshape(shape=shape), self._side(value)), perm)

    def _side(self, value: Value | None) -> Value | None:
        """An operand in its native order."""
        return None if value is None else self._fetch(value, self.orientations[value])

    def _transpose(self, value: Value, perm: tuple[int, ...]) -> Value:
        """A value of the new graph permuted; a constant that several nodes share is permuted once."""
        if (value, perm) not in self._permuted:
            self._permuted[value, perm] = transpose(self.b, value, perm)
        return self._permuted[value, perm]

    def _fetch(self, value: Value | None, layout: Layout | None) -> Value:
        assert value is not None
        if value.constant is not None:
            return self._constant(value)
        if (value, layout) not in self._made:
            have = self._current[value]
            assert have is not None
            assert layout is not None
            perm = have.permutation_to(layout, value.type.rank)
            self._made[value, layout] = self._transpose(self._made[value, have], perm)
        return self._made[value, layout]

    def _constant(self, value: Value) -> Value:
        if (value, None) not in self._made:
            assert value.constant is not None
            self._made[value, None] = self.new.constant(value.constant, value.name)
        return self._made[value, None]

    def _add(self, node: Node[Op], op: Op, operands: list[Value | None], layout: Layout | None) -> None:
        outputs = self.b.multi(op, *operands, name=node.name)
        for old, new in zip(node.outputs, outputs, strict=True):
            new.name = old.name
            self._keep(old, layout if self.orientations[old] is not None else None, new)

    def _keep(self, value: Value, layout: Layout | None, new: Value) -> None:
        self._made[value, layout] = new
        self._current[value] = layout

    def _type(self, value: Value, layout: Layout | None) -> TensorType:
        native = self.orientations[value]
        if native is None or layout is None:
            return value.type
        return value.type.with_shape(
            rules.permute(value.type.shape, native.permutation_to(layout, value.type.rank))
        )
