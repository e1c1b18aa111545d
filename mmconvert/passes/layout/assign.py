"""Gives every value the layout that needs the fewest bytes transposed, for a target with one layout."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import substitute, symbols
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Transpose
from mmconvert.ir.types import Layout
from mmconvert.passes.layout import rules
from mmconvert.passes.layout.cut import INFINITE, MinimumCut
from mmconvert.passes.layout.orientation import Orientations, flips, layout_of, opposite
from mmconvert.passes.layout.rewrite import Rewriter, transpose, with_layout
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.simplify import moves_only_units

IoLayout = Literal["source", "target"]

TYPICAL_EXTENT = 16
"""What an unknown extent counts for when bytes are weighed."""


@dataclass(frozen=True)
class assign_layout:  # noqa: N801 - a pass with options is named like a pass
    """Chooses NCHW or NHWC for every value as a global minimum cut over bytes moved.

    ::

        %1 = Conv(x, %w) {layout=NCHW}      →    %1 = Transpose(x) {perm=(0,2,3,1)}
        %2 = Relu(%1)                            %2 = Conv(%1, %w') {layout=NHWC}
                                                 %3 = Relu(%2)
                                                 %4 = Transpose(%3) {perm=(0,3,1,2)}

    Operators with a layout are moved to ``target``; operators that do not mind follow where it is cheapest;
    operators that do (a Reshape across the channels) stay in the source's order. A Transpose is put where the
    cut runs, once per value, and those of the source that only translated between the layouts disappear.
    Constants are transposed for free.

    Attributes:
        target: the layout that operators must have.
        io: whether graph inputs and outputs keep the source's order or take the target's.
    """

    target: Layout
    io: IoLayout = "source"

    def __call__(self, graph: Graph) -> Outcome:
        """Rewrites ``graph``; counts the nodes whose layout changed."""
        orientations = Orientations(graph)
        if any(layout_of(n.op) is not self.target for n in orientations.conflicts):
            _wrap(graph, orientations.conflicts, self.target)
            orientations = Orientations(graph)
        if not _has_work(graph, self.target, self.io, orientations):
            return Outcome()
        problem = _Problem(graph, orientations, self.target, self.io)
        problem.solve()
        return Rewriter(graph, orientations, problem, self.target).rewrite()

    @property
    def __name__(self) -> str:
        return "assign_layout"


def moved_ends(graph: Graph, target: Layout) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """How ``assign_layout(target, "target")`` would permute the graph's inputs and outputs, by name."""
    orientations = Orientations(graph)

    def perms(ends: Iterable[tuple[str, Value]]) -> dict[str, tuple[int, ...]]:
        native = {name: (orientations[value], value.type.rank) for name, value in ends}
        return {
            n: layout.permutation_to(target, rank)
            for n, (layout, rank) in native.items()
            if layout is not None and layout is not target
        }

    return (
        perms((v.name, v) for v in graph.inputs),
        perms(zip(graph.output_names, graph.outputs, strict=True)),
    )


def _has_work(graph: Graph, target: Layout, io: IoLayout, orientations: Orientations) -> bool:
    """False when every operator already has the target's layout and no Transpose could be saved."""
    foreign = any(layout_of(n.op) not in (None, target) for n in graph)
    ends = io == "target" and any(
        orientations[v] not in (None, target) for v in (*graph.inputs, *graph.outputs)
    )
    return foreign or ends or any(orientations.relabels(n) for n in graph)


def _wrap(graph: Graph, nodes: list[Node[Op]], target: Layout) -> None:
    """Operators at odds with their region are moved to the target's layout between two Transposes."""
    for node in nodes:
        layout = layout_of(node.op)
        if layout is None or layout is target:
            continue
        b = Builder(graph, before=node, origin=node.origin)
        x, rank = node.operand(0), node.operand(0).type.rank
        there, back = layout.permutation_to(target, rank), target.permutation_to(layout, rank)
        op, side = with_layout(node, target, lambda v: v, functools.partial(transpose, b))
        outputs = b.multi(op, b(Transpose(perm=there), x), *side)
        for old, new in zip(node.outputs, outputs, strict=True):
            graph.replace_uses(old, b(Transpose(perm=back), new, name=old.name))
        graph.remove(node)


class _Problem:
    """The cut: which nodes and graph ends run in the target's layout."""

    FOREIGN, TARGET = "foreign", "target"

    def __init__(self, graph: Graph, orientations: Orientations, target: Layout, io: IoLayout) -> None:
        self.graph, self.orientations, self.target, self.io = graph, orientations, target, io
        self.cut: MinimumCut[Hashable] = MinimumCut(self.FOREIGN, self.TARGET)
        self._foreign: set[Hashable] = set()

    def solve(self) -> None:
        """Finds the cut."""
        for value in self._values():
            self._weigh(value)
        self._foreign = self.cut.source_side()

    def end(self, value: Value) -> Layout:
        """The layout of a graph input or output."""
        return self._layout(self._pinned_end(value))

    def side(self, node: Node[Op], side: str, value: Value) -> Layout:
        """The layout in which ``node`` reads or makes ``value``, which has one."""
        return self._layout(self._port(node, side, value))

    def _layout(self, port: Hashable) -> Layout:
        return opposite(self.target) if port in self._foreign else self.target

    def _values(self) -> list[Value]:
        produced = [v for node in self.graph for v in node.outputs]
        return [v for v in (*self.graph.inputs, *produced) if self.orientations[v] is not None]

    def _weigh(self, value: Value) -> None:
        """Charges the bytes of ``value`` once if any user wants it in another layout than its producer."""
        perm = Layout.NCHW.permutation_to(Layout.NHWC, value.type.rank)
        free = moves_only_units(value.type, perm)
        cost = 0 if free else _bytes(value)
        producer = (
            self._pinned_end(value) if value.producer is None else self._port(value.producer, "out", value)
        )
        users = list(dict.fromkeys(self._port(user, "in", value) for user in value.users))
        if len(users) == 1:
            self.cut.connect(producer, users[0], cost)
            self.cut.connect(users[0], producer, cost)
            return
        there, back = ("to target", value), ("from target", value)
        self.cut.connect(producer, there, cost)
        self.cut.connect(back, producer, cost)
        for user in users:
            self.cut.connect(there, user, INFINITE)
            self.cut.connect(user, back, INFINITE)

    def _pinned_end(self, value: Value) -> Hashable:
        return self.TARGET if self.io == "target" else self._native(value)

    def _native(self, value: Value) -> Hashable:
        return self.TARGET if self.orientations[value] is self.target else self.FOREIGN

    def _port(self, node: Node[Op], side: str, value: Value) -> Hashable:
        """The variable of one side of a node, or one of the two pinned ends."""
        if node is self.graph.result:
            return self._pinned_end(value)
        layout = layout_of(node.op)
        if layout is not None:
            agrees = self.orientations[value] is layout
            return self.TARGET if agrees else self._native(value)
        native = self.orientations[node.outputs[0]]
        if self.orientations.relabels(node) or (native is not None and flips(node, native)):
            return ("node", node) if _carries(node, value) else self._native(value)
        perm = Layout.NCHW.permutation_to(Layout.NHWC, value.type.rank)
        back = Layout.NHWC.permutation_to(Layout.NCHW, value.type.rank)
        function = rules.absorbs if side == "in" else rules.produces
        reads_it = side == "out" or (node.inputs[0] is value and len(node.inputs) == 1)
        if reads_it and function(node, perm if self.orientations[value] is Layout.NCHW else back) is not None:
            return (side, node)
        return self._native(value)


def _carries(node: Node[Op], value: Value) -> bool:
    """True when ``value`` takes part in the node's layout; a scale or an index of the same rank does not."""
    if value in node.outputs:
        return True
    data = rules.data_operands(node)
    return all(i in data for i, v in enumerate(node.inputs) if v is value)


def _bytes(value: Value) -> int:
    typical = dict.fromkeys(symbols(*value.type.shape), TYPICAL_EXTENT)
    total = value.type.dtype.itemsize
    for extent in value.type.shape:
        known = substitute(extent, typical)
        total *= max(known, 1) if isinstance(known, int) else TYPICAL_EXTENT
    return total
