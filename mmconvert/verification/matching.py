"""Which value of a run is which value of a graph: the provenance of every inner value.

What is right is recognised by its numbers. What is wrong has to be recognised by something else: by its name,
by what made it and from where in the source, by its size, and by standing between values that are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, Layout
from mmconvert.verification.shown import Shown, stem

NAME, STEM, OPERATOR, PLACE, SHAPE = 8, 4, 3, 3, 1
"""What it counts for two values to have the same name, nearly the same, and so on."""


@dataclass(frozen=True, slots=True)
class Match:
    """A value of a graph and what it is in a run.

    Attributes:
        shown: the value of the run.
        shape: of the graph's value, in this run.
        permutation: of the axes, from the graph's value to the run's; their shapes may differ otherwise by
            axes of extent 1, or by being flattened.
    """

    shown: Shown
    shape: tuple[int, ...]
    permutation: tuple[int, ...]

    def forward(self, array: Array) -> Array:
        """An array as the graph has it, in the order of the run."""
        return array.transpose(self.permutation).reshape(self.shown.array.shape)

    @property
    def array(self) -> Array:
        """What the run has, in the order of the graph."""
        moved = tuple(self.shape[axis] for axis in self.permutation)
        return self.shown.array.reshape(moved).transpose(np.argsort(self.permutation))


def arrangements(shown: Shown, shape: tuple[int, ...], *, moved: bool) -> Iterator[Match]:
    """The ways in which a value of ``shape`` may lie in ``shown``; none where the sizes differ.

    Args:
        shown: a value of the run.
        shape: that of the graph's value.
        moved: whether the run may have other layouts than the graph.
    """
    rank = len(shape)
    if shown.array.size != int(np.prod(shape, dtype=np.int64)):
        return
    yield Match(shown, shape, tuple(range(rank)))
    if rank < 3 or (not moved and shown.array.shape == shape):
        return
    for layouts in ((Layout.NCHW, Layout.NHWC), (Layout.NHWC, Layout.NCHW)):
        permutation = layouts[0].permutation_to(layouts[1], rank)
        if moved or shown.array.shape == tuple(shape[axis] for axis in permutation):
            yield Match(shown, shape, permutation)


def likeness(names: Sequence[str], node: Node[Op], shape: tuple[int, ...], other: Shown) -> int:
    """How much a value of the graph and one of the run have in common, their numbers aside.

    Args:
        names: what the graph's value may be called.
        node: what makes it.
        shape: its shape.
        other: the value of the run.
    """
    score = 0
    if other.name and other.name in names:
        score += NAME
    elif other.name and any(name and stem(name) == other.stem for name in names):
        score += STEM
    score += OPERATOR if other.operator == node.op.name else 0
    score += PLACE if other.place and other.place == node.place else 0
    return score + (SHAPE if other.array.shape == shape else 0)
