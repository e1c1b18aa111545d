"""How far rounding alone can take a source from the truth: runs in which every operation rounds otherwise.

One float32 run may happen to come close to the truth, and then a target that sums in another order, with the
same right as the source, looks wrong beside it. What arithmetic can do to an output shows in several runs,
each with a random error of one rounding in every number that an operation makes, and in every input (Monte
Carlo arithmetic: Parker, "Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic", 1997).
That follows the graph: an error that a later operator magnifies is magnified here too, and in a source that
jumps (because it quantizes over a range of its own) some of the runs jump.

The runs are made when a target is over the budget of the first one, and only until it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.interpreter import Session
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.verification.inputs import Feed

TRIALS = 8
"""A model of ten layers that quantize over their own range jumps in about one run of four."""

_FINFO: Any = ml_dtypes.finfo

Outputs = Mapping[str, Array]


class Trials:
    """The outputs of such runs of one graph on one input, each computed when it is first asked for."""

    def __init__(self, graph: Graph, feed: Feed) -> None:
        self._graph, self._feed = graph, feed
        self._done: list[Outputs] = []
        self._session: Session | None = None

    def __iter__(self) -> Iterator[Outputs]:
        for number in count():
            if number == TRIALS:
                return
            if number == len(self._done):
                self._done.append(self._run(number))
            yield self._done[number]

    def _run(self, number: int) -> Outputs:
        if self._session is None:
            self._session = Session(self._graph)
        rng = np.random.default_rng(number)

        def revise(node: Node[Op], outputs: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(disturbed(array, rng) for array in outputs)

        feed = {name: disturbed(array, rng) for name, array in self._feed.items()}
        return self._session.run(feed, revise=revise)


def disturbed(array: Array, rng: np.random.Generator) -> Array:
    """``array`` with a random error of up to one rounding in each of its numbers.

    Whole numbers stay as they are: they are counts, marks, zeros that an activation made or results of
    rounding to integers, which are exact in any arithmetic.
    """
    if not dtypes.is_float(array.dtype) or not array.size:
        return array
    if array.dtype.itemsize == 8:
        return np.asarray(_disturbed(array, rng.random(array.shape), np.finfo(np.float64).eps))
    epsilon = float(_FINFO(array.dtype).eps)
    return np.asarray(_disturbed(array, rng.random(array.shape, np.float32), epsilon))


def _disturbed(array: Array, numbers: Array, epsilon: float) -> Array:
    """``array`` times ``1 + epsilon * (2 * numbers - 1)``, but for whole numbers."""
    numbers *= numbers.dtype.type(2 * epsilon)
    numbers += numbers.dtype.type(1 - epsilon)
    wide = array.astype(numbers.dtype, copy=False)
    with np.errstate(all="ignore"):
        return np.where(wide == np.rint(wide), array, (wide * numbers).astype(array.dtype))
