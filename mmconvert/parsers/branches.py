"""What the two branches of a condition have in common, in any format."""

from __future__ import annotations

from collections.abc import Callable

from mmconvert.ir.dims import Extent, symbols
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Shape


def joined(then: Graph, other: Graph, fresh: Callable[[int], Extent]) -> tuple[Shape, ...] | None:
    """The shapes of the results, for ``If.shapes``.

    Args:
        then, other: the branches.
        fresh: a symbol for an extent that only the run decides, along this axis.

    Returns:
        Nothing when both branches have the same types; None when they differ in more than extents.
    """
    if len(then.outputs) != len(other.outputs):
        return None
    pairs = [(a.type, c.type) for a, c in zip(then.outputs, other.outputs, strict=True)]
    if any(a.dtype != c.dtype or a.rank != c.rank for a, c in pairs):
        return None
    if all(a == c for a, c in pairs):
        return ()
    outer = symbols(*(e for v in then.inputs for e in v.type.shape))

    def join(e: Extent, f: Extent, axis: int) -> Extent:
        return e if e == f and symbols(e) <= outer else fresh(axis)

    return tuple(
        tuple(join(e, f, i) for i, (e, f) in enumerate(zip(a.shape, c.shape, strict=True))) for a, c in pairs
    )
