"""The TFLite rule for sums of products that are no matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import count

import numpy as np

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.dims import maximum
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Einsum
from mmconvert.ir.ops.einsum import find_product, parse
from mmconvert.ir.types import Extent
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_FRESH = 0xF000
"""Private characters, which no equation has, name the axes that a diagonal takes apart."""


@rule(Einsum)
def einsum(node: Node[Einsum], out: Writer) -> None:
    """Every product, summed up: what is left over when there is no decomposition into matrix products."""
    values = [v for v in node.inputs if v is not None]
    terms, output = parse(node.op.equation, tuple(v.type.rank for v in values))
    plain = all(len(set(term)) == len(term) for term in terms)
    if (plain and len(terms) == 1) or find_product(terms, output, tuple(v.type.shape for v in values)):
        raise UnsupportedError("TFLite has no Einsum")
    fresh = (chr(code) for code in count(_FRESH))
    operands = [
        part
        for term, value in zip(terms, values, strict=True)
        for part in _without_diagonals(term, value, fresh, out)
    ]
    labels = output + "".join(sorted({c for term, _ in operands for c in term} - set(output)))
    aligned = [_aligned(term, value, labels, out) for term, value in operands]
    product = reduce(lambda a, b: _times(a, b, out), aligned)
    summed = tuple(range(len(output), len(labels)))
    if summed:
        out(tfl.SUM, (product, out.integers(summed)), node.output, keep_dims=False)
    else:
        out.copy(product, node.output)


def _without_diagonals(term: str, value: Value, fresh: Iterator[str], out: Writer) -> list[tuple[str, Value]]:
    """A label that stands twice becomes two, and the unit matrix over both another operand."""
    own, matrices = "", []
    for axis, label in enumerate(term):
        if label in own:
            (extent,) = known((value.type.shape[axis],), "the extent of a diagonal")
            other = next(fresh)
            matrices.append((label + other, out.constant(np.eye(extent, dtype=value.type.dtype))))
            own += other
        else:
            own += label
    return [(own, value), *matrices]


def _aligned(term: str, value: Value, labels: str, out: Writer) -> Value:
    """``value`` with one axis for each of ``labels``, of extent 1 where it has none."""
    order = sorted(range(len(term)), key=lambda axis: labels.index(term[axis]))
    turned = out.transpose(value, tuple(order))
    extents = dict(zip((term[axis] for axis in order), turned.type.shape, strict=True))
    return out.reshape(turned, tuple(extents.get(label, 1) for label in labels))


def _times(a: Value, b: Value, out: Writer) -> Value:
    shape: tuple[Extent, ...] = tuple(maximum(x, y) for x, y in zip(a.type.shape, b.type.shape, strict=True))
    return out.make(tfl.MUL, (a, b), a.type.with_shape(shape))
