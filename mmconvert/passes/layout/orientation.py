"""Which layout each value of a graph is in, as far as its neighbours tell."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import MaxPoolIndices, Transpose
from mmconvert.ir.types import Layout
from mmconvert.passes.layout.rules import data_operands, permuted


def layout_of(op: Op) -> Layout | None:
    """The layout that an operator is written for; None for operators that have none, or have no choice."""
    if isinstance(op, MaxPoolIndices):  # its indices count positions of NCHW
        return None
    layout = getattr(op, "layout", None)
    return layout if isinstance(layout, Layout) else None


def carried(node: Node[Op]) -> Iterator[Value]:
    """The values of a node that share one layout: data operands and results of the node's rank."""
    rank = max((v.type.rank for v in node.outputs), default=0)
    for index in data_operands(node):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and value.constant is None and value.type.rank == rank:
            yield value
    yield from node.outputs


def opposite(layout: Layout) -> Layout:
    """The other layout."""
    return Layout.NCHW if layout is Layout.NHWC else Layout.NHWC


def flips(node: Node[Op], native: Layout) -> bool:
    """True when the node, whose values are in the layout ``native``, can run in the other one."""
    rank = max((v.type.rank for v in node.outputs), default=0)
    if rank < 3 or not node.inputs:
        return False
    return permuted(node, native.permutation_to(opposite(native), rank)) is not None


class Orientations:
    """The native layout of every value that has one.

    Values joined by operators that do not mind the order of axes form a region; the convolutions and pools in
    it say what the order means. A Transpose between NCHW and NHWC orders relates two regions.
    """

    def __init__(self, graph: Graph) -> None:
        self._parent: dict[Value, Value] = {}
        self._layout: dict[Value, Layout] = {}
        self.conflicts: list[Node[Op]] = []
        for node in graph:
            if layout_of(node.op) is not None or any(flips(node, layout) for layout in Layout):
                self._join(node)
        for node in graph:
            layout = layout_of(node.op)
            if (
                layout is not None
                and self._layout.setdefault(self._find(node.outputs[0]), layout) is not layout
            ):
                self.conflicts.append(node)
        self._cross_transposes(graph)

    def __getitem__(self, value: Value) -> Layout | None:
        """The native layout of ``value``; None when it has no spatial meaning here."""
        return (
            self._layout.get(self._find(value)) if value.type.rank >= 3 and value.constant is None else None
        )

    def relabels(self, node: Node[Op]) -> bool:
        """True for a Transpose from one native layout to the other, which moves nothing but names."""
        if not is_op(node, Transpose):
            return False
        before, after = self[node.operand(0)], self[node.output]
        return before is not None and after is not None and _goes(node.op.perm, before) is after

    def _join(self, node: Node[Op]) -> None:
        values = list(carried(node))
        for value in values[1:]:
            self._parent[self._find(value)] = self._find(values[0])

    def _find(self, value: Value) -> Value:
        root = value
        while (parent := self._parent.get(root, root)) is not root:
            root = parent
        while (parent := self._parent.get(value, value)) is not root:
            self._parent[value], value = root, parent
        return root

    def _cross_transposes(self, graph: Graph) -> None:
        transposes = [n for n in graph if is_op(n, Transpose) and n.output.type.rank >= 3]
        changed = True
        while changed:
            changed = False
            for node in transposes:
                changed |= self._cross(node.operand(0), node.output, node.op.perm)

    def _cross(self, source: Value, target: Value, perm: tuple[int, ...]) -> bool:
        before, after = self[source], self[target]
        if before is not None and after is None and (layout := _goes(perm, before)) is not None:
            self._layout[self._find(target)] = layout
            return True
        if after is not None and before is None and source.constant is None:
            for layout in Layout:
                if _goes(perm, layout) is after:
                    self._layout[self._find(source)] = layout
                    return True
        return False


def _goes(perm: tuple[int, ...], layout: Layout) -> Layout | None:
    """The layout that ``perm`` takes ``layout`` to, when it is the other one."""
    other = opposite(layout)
    return other if perm == layout.permutation_to(other, len(perm)) else None
