"""Symbolic extents: exact integer arithmetic over names, kept in one canonical form.

An ``Extent`` is an ``int`` when known and a ``Dim`` when not. A ``Dim`` is a polynomial with integer
coefficients over atoms; an atom is a name, a floor division or a maximum that could not be resolved::

    n, h = Dim.symbol("n"), Dim.symbol("h")
    (h + 2 - 3) // 2 + 1      ->  (h-1)//2+1
    2 * h - h - h             ->  0, an int
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mmconvert.errors import InvalidModelError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """``numerator // denominator`` that does not divide out."""

    numerator: Dim
    denominator: Extent

    def __str__(self) -> str:
        return f"{_group(self.numerator)}//{_group(self.denominator)}"


@dataclass(frozen=True, slots=True)
class Maximum:
    """``max(left, right)``: the broadcast of two unrelated extents."""

    left: Extent
    right: Extent

    def __str__(self) -> str:
        return f"max({self.left},{self.right})"


@dataclass(frozen=True, slots=True)
class Dim:
    """A symbolic extent: the sum of ``coefficient * atom * atom * ...`` in canonical order."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def symbol(name: str) -> Dim:
        """The unknown extent called ``name`` (an identifier)."""
        if not _NAME.fullmatch(name):
            raise InvalidModelError(f"{name!r} is not a name for an extent")
        return Dim((((name,), 1),))

    @property
    def name(self) -> str | None:
        """The name, when this is a bare symbol."""
        match self.terms:
            case (((str(name),), 1),):
                return name
        return None

    @property
    def line(self) -> tuple[str, int, int] | None:
        """A name, a factor and an offset, when this is ``factor * name + offset`` and so tells the name."""
        match self.terms:
            case (((str(name),), int(factor)),):
                return name, factor, 0
            case (((str(name),), int(factor)), ((), int(offset))):
                return name, factor, offset
        return None

    @property
    def symbols(self) -> frozenset[str]:
        """All names that this extent depends on."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= {atom} if isinstance(atom, str) else symbols(*_parts(atom))
        return frozenset(found)

    def __add__(self, other: Extent) -> Extent:
        return _canonical([*self.terms, *_terms(other)])

    __radd__ = __add__

    def __neg__(self) -> Extent:
        return self * -1

    def __sub__(self, other: Extent) -> Extent:
        return self + other * -1

    def __rsub__(self, other: Extent) -> Extent:
        return self * -1 + other

    def __mul__(self, other: Extent) -> Extent:
        return _canonical(
            [((*a, *b), x * y) for a, x in self.terms for b, y in _terms(other)],
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Extent) -> Extent:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Extent) -> Extent:
        return floordiv(other, self)

    def __mod__(self, other: Extent) -> Extent:
        return self - floordiv(self, other) * other

    def substitute(self, bindings: Bindings) -> Extent:
        """This extent with the names and the other atoms in ``bindings`` replaced."""
        total: Extent = 0
        for monomial, coefficient in self.terms:
            product: Extent = coefficient
            for atom in monomial:
                product = product * _substitute_atom(atom, bindings)
            total = total + product
        return total

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [_factor(a, len(monomial) > 1 or abs(coefficient) != 1) for a in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            text += ("-" if coefficient < 0 else "+" if text else "") + "*".join(factors)
        return text

    __repr__ = __str__


Extent: TypeAlias = int | Dim
Atom: TypeAlias = str | FloorDiv | Maximum
Monomial: TypeAlias = tuple[Atom, ...]
Bindings: TypeAlias = Mapping[Any, Extent]
"""What stands for a name, or for an atom as a whole."""


def substitute(extent: Extent, bindings: Bindings) -> Extent:
    """``extent`` with the names and the other atoms in ``bindings`` replaced."""
    return extent.substitute(bindings) if isinstance(extent, Dim) else extent


def solve(extent: Extent, result: Extent, bindings: Bindings) -> tuple[Atom, Extent] | None:
    """An atom that ``bindings`` leaves open, and what it has to be so that ``extent`` is ``result``.

    Returns:
        None when no such atom stands alone in ``extent``.
    """
    for monomial, coefficient in _terms(extent):
        if len(monomial) == 1 and abs(coefficient) == 1:
            (atom,) = monomial
            names = {atom} if isinstance(atom, str) else symbols(*_parts(atom))
            if atom not in bindings and not names <= bindings.keys():
                rest = _canonical([t for t in _terms(extent) if t[0] != monomial])
                return atom, (result - substitute(rest, bindings)) * coefficient
    return None


def symbols(*extents: Extent) -> frozenset[str]:
    """All names in ``extents``."""
    return frozenset().union(*(e.symbols for e in extents if isinstance(e, Dim)))


def numbers(extents: Iterable[Extent]) -> tuple[int, ...]:
    """``extents``, every one of them known.

    Raises:
        InvalidModelError: one is symbolic.
    """
    found = tuple(extents)
    if symbolic := [str(e) for e in found if not isinstance(e, int)]:
        raise InvalidModelError(f"a number is needed where the extent is {', '.join(symbolic)}")
    return tuple(int(e) for e in found if isinstance(e, int))


def floordiv(a: Extent, b: Extent) -> Extent:
    """``a // b``; divides out whatever is a multiple of ``b``."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    if a == b:
        return 1
    if isinstance(b, Dim):
        return _divide_monomial(a, b) or Dim((((FloorDiv(_as_dim(a), b),), 1),))
    whole: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for monomial, coefficient in _terms(a):
        divides = not monomial or coefficient % b == 0
        quotient, remainder = divmod(coefficient, b) if divides else (0, coefficient)
        whole.append((monomial, quotient))
        rest.append((monomial, remainder))
    left = _canonical(rest)
    if isinstance(left, int):
        return _canonical([*whole, ((), left // b)])
    common = math.gcd(b, *(coefficient for _, coefficient in left.terms))
    fraction = FloorDiv(_as_dim(_canonical([(m, c // common) for m, c in left.terms])), b // common)
    return _canonical([*whole, ((fraction,), 1)])


def ceildiv(a: Extent, b: int) -> Extent:
    """``ceil(a / b)``."""
    return floordiv(a + (b - 1), b)


def maximum(a: Extent, b: Extent) -> Extent:
    """``max(a, b)`` for extents, which are never negative."""
    difference = a - b
    if isinstance(difference, int):
        return a if difference >= 0 else b
    if a == 0 or b == 0:
        return b if a == 0 else a
    left, right = sorted((a, b), key=str)
    return Dim((((Maximum(left, right),), 1),))


def minimum(a: Extent, b: Extent) -> Extent:
    """``min(a, b)`` for extents, which are never negative."""
    return a + b - maximum(a, b)


def product(extents: tuple[Extent, ...]) -> Extent:
    """The number of elements of a shape."""
    return math.prod(extents, start=1) if all(isinstance(e, int) for e in extents) else _product(extents)


def _product(extents: tuple[Extent, ...]) -> Extent:
    total: Extent = 1
    for extent in extents:
        total = total * extent
    return total


def _divide_monomial(a: Extent, b: Dim) -> Extent | None:
    """``a // b`` where the names of ``b``, one monomial, divide every term of ``a``; else None."""
    if len(b.terms) != 1:
        return None
    (divisor, scale), quotient = b.terms[0], []
    for monomial, coefficient in _terms(a):
        left = list(monomial)
        for atom in divisor:
            if atom not in left:
                return None
            left.remove(atom)
        quotient.append((tuple(left), coefficient))
    return floordiv(_canonical(quotient), scale)


def _as_dim(extent: Extent) -> Dim:
    return extent if isinstance(extent, Dim) else Dim(((((), extent)),))


def _parts(atom: FloorDiv | Maximum) -> tuple[Extent, Extent]:
    return (atom.numerator, atom.denominator) if isinstance(atom, FloorDiv) else (atom.left, atom.right)


def _substitute_atom(atom: Atom, bindings: Bindings) -> Extent:
    if atom in bindings:
        return bindings[atom]
    if isinstance(atom, str):
        return Dim.symbol(atom)
    left, right = (substitute(part, bindings) for part in _parts(atom))
    return floordiv(left, right) if isinstance(atom, FloorDiv) else maximum(left, right)


def _terms(extent: Extent) -> tuple[tuple[Monomial, int], ...]:
    return extent.terms if isinstance(extent, Dim) else (((), int(extent)),)


def _canonical(terms: list[tuple[Monomial, int]]) -> Extent:
    summed: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        key = tuple(sorted(monomial, key=str))
        summed[key] = summed.get(key, 0) + coefficient
    left = [(m, c) for m, c in summed.items() if c]
    if not left:
        return 0
    if len(left) == 1 and not left[0][0]:
        return left[0][1]
    # Constants last, names in alphabetical order: one form for one value, whatever the history.
    return Dim(tuple(sorted(left, key=lambda t: (not t[0], -len(t[0]), [str(a) for a in t[0]]))))


def _group(extent: Extent) -> str:
    text = str(extent)
    return text if re.fullmatch(r"[A-Za-z0-9_]+", text) else f"({text})"


def _factor(atom: Atom, inside_product: bool) -> str:
    return f"({atom})" if inside_product and isinstance(atom, FloorDiv) else str(atom)


_TOKEN = re.compile(r"\s*(//|[-+*(),]|\d+|[A-Za-z_][A-Za-z0-9_]*)")


def parse(text: str) -> Extent:
    """Reads what ``str(extent)`` writes.

    Raises:
        InvalidModelError: ``text`` is not an extent.
    """
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidModelError(f"{text!r} is not an extent")
        tokens.append(match[1])
        position = match.end()
    parser = _Parser(tokens, text)
    extent = parser.sum()
    if parser.tokens:
        raise InvalidModelError(f"{text!r} is not an extent")
    return extent


class _Parser:
    def __init__(self, tokens: list[str], text: str) -> None:
        self.tokens, self.text = tokens[::-1], text

    def take(self, *options: str) -> str | None:
        return self.tokens.pop() if self.tokens and self.tokens[-1] in options else None

    def sum(self) -> Extent:
        negative = self.take("-") is not None
        total = self.product() * (-1 if negative else 1)
        while sign := self.take("+", "-"):
            total = total + self.product() * (1 if sign == "+" else -1)
        return total

    def product(self) -> Extent:
        total = self.atom()
        while operator := self.take("*", "//"):
            total = total * self.atom() if operator == "*" else floordiv(total, self.atom())
        return total

    def atom(self) -> Extent:
        token = self.tokens.pop() if self.tokens else ""
        if token.isdigit():
            return int(token)
        if token == "(":
            inner = self.sum()
            if self.take(")"):
                return inner
        elif token == "max" and self.take("("):
            left = self.sum()
            if self.take(","):
                right = self.sum()
                if self.take(")"):
                    return maximum(left, right)
        elif _NAME.fullmatch(token):
            return Dim.symbol(token)
        raise InvalidModelError(f"{self.text!r} is not an extent")
