"""What the numbers of a verification do not say by themselves: when they prove little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Array
from mmconvert.verification import compare, quanta
from mmconvert.verification.saturation import is_approximate, is_beyond_sight
from mmconvert.verification.verdict import OutputVerdict

COARSE = 0.0025
"""A source whose own error is above this share of the output's scale gives a budget that lets much pass."""


def insights(
    graph: Graph, truths: Sequence[Mapping[str, Array]], outputs: Sequence[OutputVerdict]
) -> list[str]:
    """Notes on outputs for which the verdict says less than it seems to.

    Args:
        graph: the source.
        truths: its outputs in float64, for each input that was tried.
        outputs: how the target did.
    """
    notes = []
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        arrays = [truth[name] for truth in truths]
        if not any(np.any(np.isfinite(a)) for a in arrays):
            notes.append(f"the output {name!r} is NaN, infinite or empty throughout: nothing was compared")
        elif is_approximate(value) and all(is_beyond_sight(a, value.type.dtype) for a in arrays):
            notes.append(
                f"the output {name!r} is 0 up to what runtimes round a Sigmoid to, for all inputs that were "
                "tried: give typical ones (--inputs) for a verdict that means more"
            )
        elif _is_constant(value, arrays):
            notes.append(
                f"the output {name!r} does not depend on the inputs that were tried: "
                "give typical ones (--inputs) for a verdict that means more"
            )
    notes += [
        f"the output {o.name!r} is quantized: {o.moved:.2%} of its values are off by one unit{_rounded(o)}"
        for o in outputs
        if o.moved and (o.passed or o.error.within(o.budget))
    ]
    coarse = [o for o in outputs if o.source_error.maximum > COARSE]
    return notes + [
        f"the source's own arithmetic is off by {o.source_error.maximum:.1%} in the output {o.name!r}: "
        "on these inputs the verdict says little"
        for o in coarse
    ]


def _rounded(output: OutputVerdict) -> str:
    if not output.passed:
        return ": more than rounding explains"
    return ", which is how runtimes round" + (", more than usual" if output.moved > quanta.USUAL else "")


def _is_constant(value: Value, arrays: Sequence[Array]) -> bool:
    """True when all samples are equal up to what the comparison could see."""
    samples = list(_samples(value, arrays))
    if len(samples) < 2 or len({s.shape for s in samples}) > 1:
        return False
    first = samples[0]
    differences = [compare.measure(s, first) for s in samples[1:]]
    noise = compare.budget(compare.NONE, value.type.dtype)
    return all(d.within(noise) for d in differences)


def _samples(value: Value, arrays: Sequence[Array]) -> Iterator[Array]:
    """Each array, or each of its rows where the first axis is the batch."""
    batched = value.type.rank > 0 and isinstance(value.type.shape[0], Dim)
    for array in arrays:
        yield from array if batched else [array]
