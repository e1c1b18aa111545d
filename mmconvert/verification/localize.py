"""Names the first operator of the source whose value is wrong in the target.

Names alone would not do: a target fuses operators, renames values and holds them in another layout. So inner
values are matched by their numbers. A value of the source is *found* when some value of the target is within
its budget of it, in any layout. The first wrong operator is one whose inputs are all found and whose output
is not, on a path of values that are not found to an output that is wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mmconvert.interpreter import run
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Reshape
from mmconvert.ir.types import Array, DType, Layout
from mmconvert.verification import compare
from mmconvert.verification.compare import Error
from mmconvert.verification.inputs import Feed
from mmconvert.verification.saturation import logarithm, saturates
from mmconvert.verification.verdict import Divergence

Arrangement = Callable[[Array], Array]


def first_divergence(graph: Graph, feed: Feed, actual: Mapping[str, Array], k: float) -> Divergence | None:
    """Looks for the first wrong operator.

    Args:
        graph: the source.
        feed: an input on which the target is wrong.
        actual: the values of the target on that input, inner ones included, by name.
        k: how many times the source's error the target may have.

    Returns:
        The first wrong operator in the source's order; None when every output of the source is somewhere
        among the values of the target (under another name, say).
    """
    own: dict[Value, Array] = {}
    run(graph, feed, trace=lambda node, arrays: own.update(zip(node.outputs, arrays, strict=True)))
    search = _Search(graph, actual, own, k)
    search.shapes.update({v: feed[v.name].shape for v in graph.inputs})
    run(graph, feed, precision="float64", trace=search.look)
    return search.result()


@dataclass
class _Missing:
    """A value that was not found."""

    error: Error
    budget: Error
    label: str


class _Wanted:
    """What a value of the target should be like: a value of the source, or its logarithm."""

    def __init__(
        self, truth: Array, own: Array, dtype: DType, k: float, *, is_logarithm: bool = False
    ) -> None:
        self.truth, self.own, self._dtype, self._is_logarithm = truth, own, dtype, is_logarithm
        self.allowed = compare.budget(compare.measure(own, truth, own), dtype, k)

    def error(self, actual: Array, arrangement: Arrangement) -> Error:
        """The error of ``actual``, of the same number of elements, when they lie as in ``arrangement``."""
        truth = arrangement(self.truth)
        actual = logarithm(actual, self._dtype) if self._is_logarithm else actual
        return compare.measure(actual.reshape(truth.shape), truth, arrangement(self.own))


@dataclass
class _Search:
    graph: Graph
    actual: Mapping[str, Array]
    own: dict[Value, Array]
    k: float
    shapes: dict[Value, tuple[int, ...]] = field(default_factory=dict)
    missing: dict[Value, _Missing] = field(default_factory=dict)
    fixed: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._by_size: dict[int, list[tuple[Array, float]]] = {}
        for array in self.actual.values():
            self._by_size.setdefault(array.size, []).append((array, _norm(array)))
        self._outputs = dict(zip(self.graph.outputs, self.graph.output_names, strict=True))

    def look(self, node: Node[Op], truths: tuple[Array, ...]) -> None:
        """Looks for what one node makes among the values of the target."""
        if all(v is None or v.constant is not None or v in self.fixed for v in node.inputs):
            self.fixed.update(node.outputs)  # does not depend on the input, and may be folded away
        for value, truth in zip(node.outputs, truths, strict=True):
            self.shapes[value] = truth.shape
            own = self.own.pop(value)
            if value not in self.fixed:
                self._find(node, value, truth if own.shape == truth.shape else own, own)

    def _find(self, node: Node[Op], value: Value, truth: Array, own: Array) -> None:
        wanted = [_Wanted(truth, own, own.dtype, self.k)]
        if saturates(value):
            log_truth, log_own = (logarithm(array, own.dtype) for array in (truth, own))
            wanted.append(_Wanted(log_truth, log_own, own.dtype, self.k, is_logarithm=True))
        arrangements = _arrangements(node, truth, self.shapes)
        if self._is_found(wanted, arrangements):
            return
        label = self._label(node, value)
        error = compare.UNLIKE
        if label and self.actual[label].size == truth.size:
            errors = [wanted[0].error(self.actual[label], a) for a in arrangements]
            error = min(errors, key=lambda e: e.maximum)
        self.missing[value] = _Missing(error, wanted[0].allowed, label)

    def result(self) -> Divergence | None:
        """The first node whose inputs are found and whose output is not, on the way to a wrong output."""
        wrong = self._upstream([v for v in self.graph.outputs if v in self.missing])
        # What comes first of these has no input that is missing: its producer would come before it.
        first = next((node for node in self.graph if node in wrong), None)
        return None if first is None else self._describe(first, wrong)

    def _is_found(self, wanted: list[_Wanted], arrangements: list[Arrangement]) -> bool:
        first = wanted[0]
        norm = _norm(first.truth)
        slack = first.allowed.l2 * norm + compare.floor(first.own.dtype)
        for array, other in self._by_size.get(first.truth.size, ()):
            # The norms of two arrays are no further apart than the arrays are.
            if np.isfinite(norm) and abs(other - norm) > slack:
                continue
            if any(all(w.error(array, a).within(w.allowed) for w in wanted) for a in arrangements):
                return True
        return False

    def _label(self, node: Node[Op], value: Value) -> str:
        """What the target calls a value, if it kept a name of the source."""
        names = (self._outputs.get(value, ""), value.name, node.name)
        return next((n for n in names if n in self.actual), "")

    def _upstream(self, values: list[Value]) -> set[Node[Op]]:
        """The nodes that make ``values``, and those before them as far as values are missing."""
        found: set[Node[Op]] = set()
        while values:
            node = values.pop().producer
            if node is not None and node not in found:
                found.add(node)
                values += [v for v in node.inputs if v is not None and v in self.missing]
        return found

    def _describe(self, first: Node[Op], wrong: set[Node[Op]]) -> Divergence:
        """``first``, and the operators after it up to the first wrong value that the target shows."""
        node, places = first, [first.place]
        while True:
            seen = next(
                (self.missing[v] for v in node.outputs if v in self.missing and self.missing[v].label), None
            )
            following = [n for v in node.outputs for n in v.users if n in wrong]
            if seen is not None or len(following) != 1:
                break
            node = following[0]
            places.append(node.place)
        seen = seen or next(self.missing[v] for v in node.outputs if v in self.missing)
        fused = tuple(dict.fromkeys(p for p in places if p != first.place))
        return Divergence(
            first.op.name, first.place, str(first.op), seen.label, seen.error, seen.budget, fused
        )


def _arrangements(node: Node[Op], truth: Array, shapes: Mapping[Value, tuple[int, ...]]) -> list[Arrangement]:
    """The orders of elements in which a target may hold what ``node`` makes: its own, and either layout's.

    A Reshape of a value that the target holds in the other layout gives the same elements in that order.
    """
    found = [_same, *_layouts(truth.ndim)]
    if is_op(node, Reshape):
        before = shapes.get(node.operand(0), ())
        found += [functools.partial(_flattened, before, move) for move in _layouts(len(before))]
    return found


def _layouts(rank: int) -> list[Arrangement]:
    if rank < 3:
        return []
    pairs = ((Layout.NCHW, Layout.NHWC), (Layout.NHWC, Layout.NCHW))
    perms = sorted({a.permutation_to(b, rank) for a, b in pairs})
    return [functools.partial(_moved, perm) for perm in perms]


def _same(array: Array) -> Array:
    return array


def _moved(perm: tuple[int, ...], array: Array) -> Array:
    return array.transpose(perm)


def _flattened(before: tuple[int, ...], move: Arrangement, array: Array) -> Array:
    return move(array.reshape(before)).reshape(-1)


def _norm(array: Array) -> float:
    with np.errstate(all="ignore"):
        return float(
            np.linalg.norm(array.astype(np.complex128 if np.iscomplexobj(array) else np.float64).reshape(-1))
        )
