"""Where each axis, and each part that it is cut into, goes in a chain of Transposes and Reshapes."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert.ir.graph import Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Transpose
from mmconvert.ir.types import Extent, Shape
from mmconvert.passes.simplify import moves_only_units


def moves(node: Node[Op]) -> bool:
    """True for a Transpose that moves elements in memory."""
    return is_op(node, Transpose) and not moves_only_units(node.operand(0).type, node.op.perm)


class _Part:
    """An axis, or a part of one, that stays together."""

    def __init__(self, extent: Extent) -> None:
        self.extent = extent


class Axes:
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
                if count := _filling(parts, rest):
                    axis += parts[:count]
                    del parts[:count]
                    rest = 1
                elif _divides(part.extent, rest):
                    axis.append(parts.pop(0))
                    rest = _over(rest, part.extent)
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

    @property
    def order(self) -> list[int]:
        """The places that the parts had at first, in the order in which they are now."""
        return [self.origin.index(part) for axis in self.axes for part in axis]

    def result(self) -> tuple[Shape, tuple[int, ...]]:
        """The shape to begin with, and where its axes go; parts that stay neighbours are one axis."""
        order = self.order
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


def _filling(parts: Sequence[_Part], extent: Extent) -> int:
    """How many of the first parts make up ``extent``, known or not; 0 when they do not."""
    total: Extent = 1
    for count, part in enumerate(parts, start=1):
        total = total * part.extent
        if total == extent:
            return count
    return 0


def _divides(a: Extent, b: Extent) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a > 0 and b % a == 0


def _over(a: Extent, b: Extent) -> int:
    assert isinstance(a, int)
    assert isinstance(b, int)
    return a // b
