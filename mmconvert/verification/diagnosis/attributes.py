"""Another attribute: align_corners for half_pixel, SAME with the odd row at the other end, an epsilon."""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Iterator
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from mmconvert.ir import ops
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant

_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0.0, 1e-2, 1e-4, 2e-5, 1e-1)

_NUMBERS = (0.0, 1.0, -1.0, 0.01, 0.1, 0.2, 0.3, 0.5, 2.0, 6.0, 1 / 6, -0.5, -0.75, 1.702)
"""What slopes, limits and coefficients usually are."""

_MOST_AXES = 4


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """Every operator of the segment with one attribute changed."""
    for node in suspect.segment.nodes:
        for name, value in (*_limits(node, suspect), *_changes(node)):
            op = cast(Op, dataclasses.replace(cast(Any, node.op), **{name: value}))
            text = f"with {name}={_shown(value)}"
            yield Hypothesis(text, varied(suspect.segment, Variant(ops={node: op})), node)


def _limits(node: Node[Op], suspect: Suspect) -> Iterator[tuple[str, Any]]:
    """What a result is limited to shows in the result."""
    if isinstance(node.op, ops.Clip):
        yield "high", float(suspect.actual.max())
        yield "low", float(suspect.actual.min())


def _changes(node: Node[Op]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(type(node.op))
    rank = max((v.type.rank for v in (*node.inputs, *node.outputs) if v is not None), default=0)
    for field in dataclasses.fields(cast(Any, node.op)):
        value = getattr(node.op, field.name)
        for other in _alternatives(field.name, value, hints.get(field.name), rank):
            if other != value:
                yield field.name, other


def _alternatives(name: str, value: Any, hint: Any, rank: int) -> Iterator[Any]:
    if isinstance(value, Graph):
        return
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, enum.Enum):
        yield from type(value)
    elif isinstance(value, str) and get_origin(hint) is Literal:
        yield from get_args(hint)
    elif isinstance(value, float) or (value is None and "float" in str(hint)):
        yield from _EPSILONS if name == "epsilon" else _numbers(value)
    elif isinstance(value, int):
        yield from range(rank) if name == "axis" else [value + 1, value - 1]
    elif isinstance(value, Explicit | Same):
        yield from _paddings(value)
    elif isinstance(value, tuple):
        yield from _tuples(value, rank, name)


def _numbers(value: float | None) -> Iterator[float | None]:
    yield None
    yield from _NUMBERS
    if value:
        yield from (-value, 1 / value, 2 * value, value / 2, value**2, abs(value) ** 0.5)


def _paddings(padding: Explicit | Same) -> Iterator[Explicit | Same]:
    if isinstance(padding, Same):
        yield Same(extra_after=not padding.extra_after)
        return
    yield Same(extra_after=True)
    yield Same(extra_after=False)
    pads = padding.pads
    yield Explicit(tuple((after, before) for before, after in pads))
    yield Explicit(tuple(reversed(pads)))
    yield Explicit(tuple((0, 0) for _ in pads))
    for by in (1, -1):
        yield Explicit(tuple((before + by, after - by) for before, after in pads))
    for axis, (before, after) in enumerate(pads):
        for pair in ((before + 1, after - 1), (before - 1, after + 1)):
            yield Explicit((*pads[:axis], pair, *pads[axis + 1 :]))


def _tuples(value: tuple[Any, ...], rank: int, name: str) -> Iterator[tuple[Any, ...]]:
    if not all(isinstance(e, int) for e in value):
        if all(isinstance(e, str) for e in value):
            yield tuple(reversed(value))
        return
    if 1 < len(value) <= _MOST_AXES:
        yield from itertools.permutations(value)
    if name == "axes":
        yield from itertools.combinations(range(rank), len(value))
    elif name in ("strides", "dilations"):
        yield tuple(1 for _ in value)
    elif name in ("starts", "ends"):
        yield from (tuple(e + by for e in value) for by in (1, -1))


def _shown(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Explicit):
        return str(value.pads).replace(" ", "")
    return str(value).replace(" ", "") if isinstance(value, tuple) else str(value)
