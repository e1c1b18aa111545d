"""Extents that are only known when the model runs, computed in the graph.

What is the extent of a value that is there is read off that value; everything else is integer arithmetic::

    (h-1)//2+1   ->   Shape(x) {start=2, end=3} -> Sub 1 -> Div 2 -> Add 1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import numpy as np
from onnx import TensorProto

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.onnx.places import Places
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Scope, Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv, Monomial
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import ReadExtents
from mmconvert.ir.types import Shape

T = TypeVar("T")

Run: TypeAlias = tuple[Value, int, int]
"""A value, the first of its axes that is meant, and how many."""

PARTIAL_SHAPE: Final = 15
"""Since this opset Shape gives some of the extents."""


def extents(out: Writer, shape: Sequence[Extent]) -> str:
    """The name of an int64 vector of ``shape``: a constant where all of it is known, else computed.

    Raises:
        UnsupportedError: a symbol is the extent of no value, so that nothing can be read off.
    """
    if all(isinstance(e, int) for e in shape):
        return out.ints(dims.numbers(shape))
    key = tuple(shape)
    if out.dry and _is_given(out, key):
        return "dry"
    if (known := _recall(out, key)) is not None:
        return known
    if (same := _find(out, lambda places: places.vectors.get(key))) is not None:
        return _keep(out, key, out.name(same))
    parts: list[str] = []
    rest = key
    while rest:
        count = next((i for i, e in enumerate(rest) if not isinstance(e, int)), len(rest))
        if count:
            parts.append(out.ints(dims.numbers(rest[:count])))
        elif (run := _longest(out, rest)) is not None:
            parts.append(_read(out, *run))
            count = run[2]
        else:
            parts.append(_vector(out, rest[0]))
            count = 1
        rest = rest[count:]
    return _keep(out, key, out("Concat", *parts, axis=0) if len(parts) > 1 else parts[0])


def reshaped(out: Writer, have: Shape, want: Shape) -> str:
    """The operand of a Reshape from ``have`` to ``want``, without empty axes.

    A 0 keeps an unknown extent and one -1 stands for another, so that little has to be computed.
    """
    numbers = [e if isinstance(e, int) else 0 if have[i : i + 1] == (e,) else -1 for i, e in enumerate(want)]
    fits = numbers.count(-1) == 0 or (numbers.count(-1) == 1 and 0 not in want)
    return out.ints(numbers) if fits else extents(out, want)


def scalar(out: Writer, extent: Extent) -> str:
    """The name of an int64 scalar of ``extent``."""
    if isinstance(extent, int):
        return out.integer(extent)
    if (same := _find(out, lambda places: places.scalars.get(extent))) is not None:
        return out.name(same)
    return out("Squeeze", extents(out, (extent,)), out.ints([0]))


def positions(out: Writer, start: Extent, size: Extent, step: int) -> str:
    """The name of an int64 vector of ``size`` numbers, from ``start`` on in steps."""
    if isinstance(start, int) and isinstance(size, int):
        return out.ints(range(start, start + size * step, step))
    numbers = out("Mul", counted(out, extents(out, (size,))), out.ints([step]))
    return out("Add", numbers, extents(out, (start,)))


def counted(out: Writer, size: str) -> str:
    """The numbers from 0 on, as many as the int64 vector ``size`` says, at opsets that have no Range."""
    ones = out("ConstantOfShape", size, value=one_number(1, dtypes.I64))
    return out("Reshape", out("NonZero", ones), out.ints([-1]))


def one_number(value: float, dtype: DType) -> TensorProto:
    """A number as ConstantOfShape has it."""
    raw = np.asarray([value]).astype(dtype).tobytes()
    return TensorProto(dims=[1], data_type=element_type(dtype), raw_data=raw)


def _vector(out: Writer, extent: Extent) -> str:
    """An int64 vector of one element."""
    if isinstance(extent, int):
        return out.ints([extent])
    if (known := _recall(out, extent)) is not None:
        return known
    if (found := _measured(out, extent)) is not None:
        return _keep(out, extent, found)
    # What is taken away comes last, so that the first term needs no sign.
    terms = sorted(extent.terms, key=lambda t: t[1] < 0)
    total = _product(out, *terms[0])
    for monomial, coefficient in terms[1:]:
        total = out("Sub" if coefficient < 0 else "Add", total, _product(out, monomial, abs(coefficient)))
    return _keep(out, extent, total)


def _product(out: Writer, monomial: Monomial, coefficient: int) -> str:
    factors = [_atom(out, atom) for atom in monomial]
    if coefficient != 1 or not factors:
        factors.append(out.ints([coefficient]))
    total = factors[0]
    for factor in factors[1:]:
        total = out("Mul", total, factor)
    return total


def _atom(out: Writer, atom: Atom) -> str:
    if (known := _recall(out, atom)) is not None:
        return known
    if isinstance(atom, str):
        return _keep(out, atom, _symbol(out, atom))
    if isinstance(atom, FloorDiv):
        return _keep(out, atom, _divide(out, atom))
    return _keep(out, atom, out("Max", _vector(out, atom.left), _vector(out, atom.right)))


def _divide(out: Writer, atom: FloorDiv) -> str:
    above, below = _vector(out, atom.numerator), _vector(out, atom.denominator)
    if any(coefficient < 0 for _, coefficient in atom.numerator.terms):
        # ONNX divides towards zero: below zero, only a multiple of the divisor is divided as meant.
        above = out("Sub", above, out("Mod", above, below))
    return out("Div", above, below)


def _symbol(out: Writer, name: str) -> str:
    if (found := _measured(out, Dim.symbol(name))) is not None:
        return found
    if (node := _find(out, lambda places: places.names.get(name))) is not None:
        vector = out("Reshape", node.output, out.ints([-1]))
        return out("Gather", vector, out.ints([_position(node.op, name)]))
    if (known := _find(out, lambda places: places.lines.get(name))) is not None and known.line is not None:
        _, factor, offset = known.line
        found = _vector(out, known)
        found = out("Sub", found, out.ints([offset])) if offset else found
        return found if factor == 1 else out("Div", found, out.ints([factor]))
    raise UnsupportedError(f"the extent {name} cannot be read off any tensor")


def _position(op: ReadExtents, name: str) -> int:
    return next(i for i, extent in enumerate(op.names) if isinstance(extent, Dim) and extent.name == name)


def _measured(out: Writer, extent: Dim) -> str | None:
    """``extent`` as a vector of one element, read off a value that has it; None where there is none."""
    if (same := _find(out, lambda places: places.vectors.get((extent,)))) is not None:
        return out.name(same)
    run = _longest(out, (extent,))
    return None if run is None else _read(out, *run)


def _longest(out: Writer, shape: Shape) -> Run | None:
    """The value that has most of ``shape``, from its first extent on, side by side."""
    best: Run | None = None
    for scope in reversed(out.scopes):
        for (have, axis), value in _places(out, scope).axes.get(shape[0], {}).items():
            pairs = zip(have[axis:], shape, strict=False)
            count = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(have) - axis, len(shape)))
            if best is None or count > best[2]:
                best = value, axis, count
    return best


def _read(out: Writer, value: Value, axis: int, count: int) -> str:
    """``count`` extents of ``value``, from ``axis`` on."""
    key = value.type.shape[axis : axis + count]
    return _recall(out, key) or _keep(out, key, _cut(out, value, axis, count))


def _cut(out: Writer, value: Value, axis: int, count: int) -> str:
    if count == value.type.rank:
        return _shape(out, value)
    if out.opset >= PARTIAL_SHAPE:
        end = axis + count
        return out("Shape", value, start=axis or None, end=end if end < value.type.rank else None)
    if count == 1:
        return out("Gather", _shape(out, value), out.ints([axis]))
    return out("Slice", _shape(out, value), out.ints([axis]), out.ints([axis + count]))


def _is_given(out: Writer, shape: Shape) -> bool:
    """True when all symbols of ``shape`` are extents of the graph's inputs."""
    inputs = out.scope.graph.inputs if out.scope.graph is not None else ()
    lines = (e.line for v in inputs for e in v.type.shape if isinstance(e, Dim))
    return dims.symbols(*shape) <= {line[0] for line in lines if line is not None}


def _shape(out: Writer, value: Value) -> str:
    return _recall(out, value) or _keep(out, value, out("Shape", value))


def _find(out: Writer, look: Callable[[Places], T | None]) -> T | None:
    return next((f for s in reversed(out.scopes) if (f := look(_places(out, s))) is not None), None)


def _places(out: Writer, scope: Scope) -> Places:
    """What can be read at the node in hand: the inputs of the graph first, they cost nothing to keep."""
    places = scope.places
    if scope.graph is None:
        return places
    here = out.node if scope is out.scope else out.scopes[out.scopes.index(scope) + 1].owner
    assert here is not None, "what is inside of a graph belongs to one of its nodes"
    places.advance(scope.graph, here)
    return places


def _recall(out: Writer, key: object) -> str | None:
    return next((s.extents[key] for s in reversed(out.scopes) if key in s.extents), None)


def _keep(out: Writer, key: object, name: str) -> str:
    out.scope.extents[key] = name
    return name
