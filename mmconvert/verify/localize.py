"""Names the first operator of the source whose value is wrong in the target."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array, Layout
from mmconvert.verify import compare
from mmconvert.verify.compare import Error
from mmconvert.verify.inputs import Feed
from mmconvert.verify.sides import Side, interpreted
from mmconvert.verify.verdict import Divergence


def first_divergence(graph: Graph, target: Side, feed: Feed, k: float) -> Divergence | None:
    """Compares inner values that carry the same name in source and target, in the source's order.

    A value counts as right when it agrees in the source's order of axes or in the other layout's. Values that
    the target does not have (fused, renamed) are passed over, so the fault lies at the named operator or
    between it and the last value before it that the target has.

    Returns:
        The first value outside its budget; None when all that can be compared agree.
    """
    moved = target.permutations.inputs
    fed = {n: a.transpose(moved[n]) if n in moved else a for n, a in feed.items()}
    actual = target.runnable.intermediates(fed)
    truth = interpreted(graph, "float64").runnable.intermediates(feed)
    own = interpreted(graph).runnable.intermediates(feed)
    for node in graph:
        for value in node.outputs:
            if value.name not in actual or value.name not in truth:
                continue
            allowed = compare.budget(compare.measure(own[value.name], truth[value.name]), value.type.dtype, k)
            error = _closest(actual[value.name], truth[value.name])
            if not error.within(allowed):
                return Divergence(node.op.name, node.place, value.name, error, allowed)
    return None


def _closest(actual: Array, truth: Array) -> Error:
    return min((compare.measure(a, truth) for a in _arrangements(actual)), key=lambda e: e.maximum)


def _arrangements(array: Array) -> Iterator[Array]:
    yield array
    if array.ndim >= 3:
        yield array.transpose(Layout.NCHW.permutation_to(Layout.NHWC, array.ndim))
        yield array.transpose(Layout.NHWC.permutation_to(Layout.NCHW, array.ndim))
