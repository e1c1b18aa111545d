"""Transposes with nothing but Reshapes between them are one Transpose."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Reshape, Squeeze, Transpose, Unsqueeze
from mmconvert.ir.types import Extent, Shape
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.simplify import moves_only_units

MOST_AXES = 6
"""Runtimes transpose no more axes than this."""


def merge_transposes(graph: Graph) -> Outcome:
    """Follows each axis, and the parts that it is cut into, through a chain, and moves it once.

    ::

        %1 = Transpose(x) {perm=(0,3,1,2)}            →    %1 = Reshape(x) {shape=(1,8,8,3,7)}
        %2 = Reshape(%1) {shape=(1,3,7,8,8)}               %2 = Transpose(%1) {perm=(0,3,1,2,4)}
        %3 = Transpose(%2) {perm=(0,1,3,4,2)}

    Declines when: a value on the way is used elsewhere; a Reshape mixes axes; too many axes would be left.
    """
    outcome = Outcome()
    for node in graph:
        if not _moves(node) or _continues(node.output):
            continue
        chain = _chain(node)
        if sum(map(_moves, chain)) < 2:
            continue
        axes = _Axes(chain[0].operand(0).type.shape)
        if not all(map(axes.follow, chain)):
            outcome.decline(node, "a Reshape mixes axes")
            continue
        shape, perm = axes.result()
        if len(perm) > MOST_AXES:
            outcome.decline(node, "too many axes would be left")
            continue
        b = Builder(graph, before=node, origin=node.origin)
        x = b(Transpose(perm=perm), b(Reshape(shape=shape), chain[0].operand(0)))
        graph.replace(node, Reshape(shape=node.output.type.shape), (x,))
        for before in reversed(chain[:-1]):
            graph.remove(before)
        outcome.done += 1
    return outcome


def _moves(node: Node[Op]) -> bool:
    return is_op(node, Transpose) and not moves_only_units(node.operand(0).type, node.op.perm)


def _only_user(value: Value) -> Node[Op] | None:
    return value.users[0] if len(value.uses) == 1 else None


def _continues(value: Value) -> bool:
    """True when the chain goes on behind ``value``, to another Transpose."""
    user = _only_user(value)
    while is_op(user, Reshape, Squeeze, Unsqueeze, Transpose):
        if _moves(user):
            return True
        user = _only_user(user.output)
    return False


def _chain(last: Node[Op]) -> list[Node[Op]]:
    """The nodes up to ``last`` that move or cut axes, each the only user of the one before."""
    chain = [last]
    while True:
        value = chain[0].operand(0)
        if not is_op(value.producer, Reshape, Squeeze, Unsqueeze, Transpose) or len(value.uses) != 1:
            break
        chain.insert(0, value.producer)
    while not _moves(chain[0]):
        chain.pop(0)
    return chain


class _Part:
    """An axis, or a part of one, that stays together."""

    def __init__(self, extent: Extent) -> None:
        self.extent = extent


class _Axes:
    """Where the axes of a value, cut into parts, are after some Transposes and Reshapes.

    Attributes:
        origin: the parts in their first order.
        axes: the parts that each axis is made of now; an axis of extent 1 has none.
    """

    def __init__(self, shape: Shape) -> None:
        self.axes = [[] if e == 1 else [_Part(e)] for e in shape]
        self.origin = [part for axis in self.axes for part in axis]

    def follow(self, node: Node[Op]) -> bool:
        """Goes through one node; False when it mixes axes."""
        if is_op(node, Transpose):
            self.axes = [self.axes[p] for p in node.op.perm]
            return True
        return self._reshape(node.output.type.shape)

    def _reshape(self, shape: Shape) -> bool:
        parts = [part for axis in self.axes for part in axis]
        self.axes = [[] for _ in shape]
        for axis, extent in zip(self.axes, shape, strict=True):
            rest = extent
            while rest != 1:
                if not parts:
                    return False
                part = parts[0]
                if part.extent == rest or _divides(part.extent, rest):
                    axis.append(parts.pop(0))
                    rest = 1 if part.extent == rest else _over(rest, part.extent)
                elif _divides(rest, part.extent):
                    parts[:1] = self._cut(part, rest)
                else:
                    return False
        return not parts

    def _cut(self, part: _Part, size: Extent) -> list[_Part]:
        """``part`` in two, the first of which has ``size``."""
        pieces = [_Part(size), _Part(_over(part.extent, size))]
        place = self.origin.index(part)
        self.origin[place : place + 1] = pieces
        return pieces

    def result(self) -> tuple[Shape, tuple[int, ...]]:
        """The shape to begin with, and where its axes go; parts that stay neighbours are one axis."""
        order = [self.origin.index(part) for axis in self.axes for part in axis]
        starts = [p for i, p in enumerate(order) if i == 0 or p != order[i - 1] + 1]
        groups = sorted(starts)
        ends = [*groups[1:], len(self.origin)]
        shape = tuple(_product(self.origin[a:b]) for a, b in zip(groups, ends, strict=True))
        return shape, tuple(groups.index(p) for p in starts)


def _product(parts: Sequence[_Part]) -> Extent:
    total: Extent = 1
    for part in parts:
        total = total * part.extent
    return total


def _divides(a: Extent, b: Extent) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a > 0 and b % a == 0


def _over(a: Extent, b: Extent) -> int:
    assert isinstance(a, int)
    assert isinstance(b, int)
    return a // b
