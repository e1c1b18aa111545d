"""Extents that are only known when the model runs, computed in the graph.

A symbol is read off a value that has it as an extent of its own; everything else is integer arithmetic::

    (h-1)//2+1   ->   Shape(x) -> Gather -> Sub 1 -> Div 2 -> Add 1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from mmconvert.emitters.onnx.writer import Scope, Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv, Monomial
from mmconvert.ir.graph import Value, is_op
from mmconvert.ir.ops import ReadExtents
from mmconvert.ir.types import Shape


def extents(out: Writer, shape: Sequence[Extent]) -> str:
    """The name of an int64 vector of ``shape``: a constant where all of it is known, else computed.

    Raises:
        UnsupportedError: a symbol is the extent of no value, so that nothing can be read off.
    """
    if all(isinstance(e, int) for e in shape):
        return out.ints(dims.numbers(shape))
    key = tuple(shape)
    if (known := _recall(out, key)) is not None:
        return known
    parts: list[str] = []
    for is_known, group in groupby(shape, lambda e: isinstance(e, int)):
        run = list(group)
        parts += [out.ints(dims.numbers(run))] if is_known else [_vector(out, e) for e in run]
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
    return out("Squeeze", extents(out, (extent,)), out.ints([0]))


def _vector(out: Writer, extent: Extent) -> str:
    """An int64 vector of one element."""
    if isinstance(extent, int):
        return out.ints([extent])
    if (known := _recall(out, extent)) is not None:
        return known
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
    for scope in reversed(out.scopes):
        for value in _earlier(out, scope):
            for axis, extent in enumerate(value.type.shape):
                if isinstance(extent, Dim) and extent.name == name:
                    return out("Gather", _shape(out, value), out.ints([axis]))
            if is_op(value.producer, ReadExtents) and (axis := _position(value.producer.op, name)) >= 0:
                vector = out("Reshape", value, out.ints([-1]))
                return out("Gather", vector, out.ints([axis]))
    raise UnsupportedError(f"the extent {name} cannot be read off any tensor")


def _position(op: ReadExtents, name: str) -> int:
    found = (i for i, extent in enumerate(op.names) if isinstance(extent, Dim) and extent.name == name)
    return next(found, -1)


def _shape(out: Writer, value: Value) -> str:
    return _recall(out, value) or _keep(out, value, out("Shape", value))


def _earlier(out: Writer, scope: Scope) -> Iterator[Value]:
    """What can be read at the node in hand: the inputs of the graph first, they cost nothing to keep."""
    if scope.graph is None:
        return
    yield from scope.graph.inputs
    here = out.node if scope is out.scope else out.scopes[out.scopes.index(scope) + 1].owner
    for node in scope.graph:
        if node is here:
            return
        yield from node.outputs


def _recall(out: Writer, key: object) -> str | None:
    return next((s.extents[key] for s in reversed(out.scopes) if key in s.extents), None)


def _keep(out: Writer, key: object, name: str) -> str:
    out.scope.extents[key] = name
    return name
