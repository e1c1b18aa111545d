"""Sources whose results jump: what is quantized over its own range moves a whole step for one rounding.

One float32 run does not show how far rounding takes such a source from the truth: it may happen to stay on
the right side of every step. So it runs for a few more inputs, each a rounding away from the one tried.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, is_op
from mmconvert.ir.types import Array
from mmconvert.verification.inputs import Feed

TRIALS = 8
"""A model of ten layers jumps in about one run of four."""


def nudged(graph: Graph, feed: Feed) -> Iterator[Feed]:
    """Inputs that are one rounding away from ``feed``; none for a graph that does not jump."""
    if not any(is_op(node, ops.DynamicQuantize) for node in graph):
        return
    rng = np.random.default_rng(0)
    for _ in range(TRIALS):
        yield {name: _nudged(array, rng) for name, array in feed.items()}


def _nudged(array: Array, rng: np.random.Generator) -> Array:
    if not dtypes.is_float(array.dtype):
        return array
    return np.where(rng.random(array.shape) < 0.5, np.nextafter(array, array.dtype.type(0)), array)
