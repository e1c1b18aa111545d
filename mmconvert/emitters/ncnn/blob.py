"""What a rule handles: a blob of the file, with its shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.types import Shape

LETTERS = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
"""What NCNN calls the axes of a blob, in NumPy's order, by rank."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob: a key that stands for its name, and its shape in NumPy's order."""

    key: str
    shape: Shape

    @property
    def rank(self) -> int:
        """The number of axes, 1 to 4."""
        return len(self.shape)


def known(extents: Iterable[Extent], what: str) -> tuple[int, ...]:
    """``extents``, all of them numbers.

    Raises:
        UnsupportedError: one is not; ``what`` says what it is an extent of.
    """
    found = tuple(extents)
    if any(isinstance(e, Dim) for e in found):
        shown = ",".join(map(str, found))
        raise UnsupportedError(
            f"NCNN needs to know {what}, which is [{shown}]", hint="give the extents with --fix-dims"
        )
    return dims.numbers(found)


def together(shapes: Sequence[Shape], result: Shape) -> tuple[list[Shape], Shape]:
    """Shapes that broadcast to ``result`` as shapes of equal rank, 1 to 4, without the batch axis.

    Elements keep their order. Axes that all operands share, or all lack, may become one.

    Raises:
        UnsupportedError: four axes are not enough.
    """
    rank = len(result)
    rows = [(*(1,) * (rank - len(shape)), *shape) for shape in shapes]
    axes = [[axis] for axis in range(rank)]
    if rank > 1 and result[0] == 1:
        axes = axes[1:]
    if len(axes) > 4:
        axes = [group for group in axes if result[group[0]] != 1] or axes[:1]
    while len(axes) > 4:
        pair = next(
            (i for i in range(len(axes) - 1) if _alike(rows, result, axes[i][0], axes[i + 1][0])), None
        )
        if pair is None:
            raise UnsupportedError(f"NCNN has four axes, and broadcasting here needs {len(axes)}")
        axes[pair : pair + 2] = [axes[pair] + axes[pair + 1]]
    found = [
        tuple(dims.product(tuple(row[a] for a in group)) for group in axes) or (1,) for row in (*rows, result)
    ]
    return found[:-1], found[-1]


def _alike(rows: Sequence[Shape], result: Shape, a: int, b: int) -> bool:
    """Whether every operand has both axes as the result has them, or neither."""
    return all((row[a] == result[a] and row[b] == result[b]) or (row[a] == 1 and row[b] == 1) for row in rows)


def merged(shape: Shape, perm: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """A transposition without axes of extent 1, and with those as one that stay side by side."""
    kept = [axis for axis in perm if shape[axis] != 1]
    groups: list[list[int]] = []
    for axis in kept:
        between = range(groups[-1][-1] + 1, axis) if groups else range(0)
        if groups and axis > groups[-1][-1] and all(shape[a] == 1 for a in between):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    order = sorted(groups)
    extents = tuple(dims.product(tuple(shape[a] for a in group)) for group in order)
    return extents, tuple(order.index(group) for group in groups)


def swaps(perm: Sequence[int]) -> Iterable[tuple[int, int, int]]:
    """A transposition as exchanges of neighbouring blocks of axes.

    Yields (start, middle, end): the axes from ``start`` to ``middle`` change places with those up to ``end``.
    """
    current = list(range(len(perm)))
    for place, axis in enumerate(perm):
        at = current.index(axis)
        if at == place:
            continue
        run = 1
        while at + run < len(perm) and place + run < len(perm) and current[at + run] == perm[place + run]:
            run += 1
        yield place, at, at + run
        current[place : at + run] = [*current[at : at + run], *current[place:at]]


ORDERS = {
    rank: {perm: number for number, perm in enumerate(itertools.permutations(range(rank)))}
    for rank in (1, 2, 3, 4)
}
"""The numbers that Permute has for the orders of axes."""
