"""Extents as torch writes them: expressions of sympy spelled out, ``Add(Integer(1), Symbol('s0'))``."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from mmconvert.errors import InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent

MAX_LENGTH = 10_000
"""A longer expression is no extent that a model has."""

CHECKED = 1 << 16
"""Up to which extent a product with a decimal number was compared with what floats make of it."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """``top / bottom``, which is no extent before it is rounded."""

    top: Extent
    bottom: int


Number = Extent | float | Ratio | None


class Sizes:
    """Reads expressions; the symbols in them get names of ours."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._known: dict[str, Extent | float | None] = {}

    def read(self, text: str) -> Extent | float | None:
        """What an expression stands for; None when it is no extent (a root, a logarithm, a relation).

        Raises:
            InvalidModelError: it is no expression.
        """
        if text not in self._known:
            if len(text) > MAX_LENGTH:
                raise InvalidModelError(f"an extent of {len(text)} letters")
            try:
                tree = ast.parse(text.strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise InvalidModelError(f"{text!r} is no extent") from error
            found = self._value(tree)
            self._known[text] = None if isinstance(found, Ratio) else found
        return self._known[text]

    def _value(self, tree: ast.expr) -> Number:
        match tree:
            case ast.Constant(value=bool()):
                return None
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._value(operand)
                return None if inner is None or isinstance(inner, Ratio) else inner * -1
            case ast.Name(id=name):
                return self._symbol(name)
            case ast.Call(func=ast.Name(id="Symbol" | "Dummy"), args=[ast.Constant(value=str(name)), *_]):
                return self._symbol(name)
            case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=text), *_]):
                return float(str(text))
            case ast.Call(func=ast.Name(id=function), args=args):
                return _apply(function, [self._value(a) for a in args])
        return None

    def _symbol(self, name: str) -> Extent:
        if not name.isidentifier():
            raise InvalidModelError(f"{name!r} is no name for an extent")
        return Dim.symbol(self.names.get(name, name))


def _apply(function: str, args: list[Number]) -> Number:
    known = [a for a in args if a is not None]
    if len(known) < len(args) or function not in _FUNCTIONS:
        return None
    if any(isinstance(a, float | Ratio) for a in known) and function not in _OF_REALS:
        return None
    try:
        return _FUNCTIONS[function](*known)
    except (TypeError, ZeroDivisionError) as error:
        raise InvalidModelError(f"{function} of {len(args)} numbers is no extent") from error


def _power(base: Extent, exponent: Any) -> Number:
    if not isinstance(exponent, int) or not 0 <= exponent <= 16:
        return None
    product: Extent = 1
    for _ in range(exponent):
        product = product * base
    return product


def _sum(*parts: Any) -> Any:
    return None if any(isinstance(p, Ratio) for p in parts) else reduce(lambda a, b: a + b, parts)


def _product(*parts: Any) -> Any:
    ratios = [p for p in parts if isinstance(p, Ratio)]
    factor = math.prod(p for p in parts if not isinstance(p, Ratio))
    if not ratios:
        return None if isinstance(factor, Dim) and any(isinstance(p, float) for p in parts) else factor
    return _scaled(ratios[0], factor) if len(ratios) == 1 and isinstance(factor, int | float) else None


def _scaled(x: Ratio, factor: float) -> Ratio | None:
    """``x * factor``; None where floats may round the product to another number than a fraction gives."""
    fraction = Fraction(factor).limit_denominator(CHECKED)
    above, below = fraction.numerator, fraction.denominator * x.bottom
    exact = fraction == factor
    if not exact and not (x.bottom == 1 and _is_that(factor, above, below)):
        return None
    return Ratio(x.top * above, below)


def _is_that(factor: float, above: int, below: int) -> bool:
    """True when ``n * factor`` in floats, and ``n * above / below``, lie between the same whole numbers."""
    numbers = np.arange(CHECKED, dtype=np.int64)
    products = numbers * factor
    low, high = numbers * above // below, -(-numbers * above // below)
    return bool((np.floor(products) == low).all() and (np.ceil(products) == high).all())


def _ratio(top: Any, bottom: Any = 1) -> Ratio | None:
    whole = isinstance(top, int | Dim) and isinstance(bottom, int) and bottom > 0
    return Ratio(top, bottom) if whole else None


def _rounded(up: bool) -> Callable[[Any], Number]:
    def apply(x: Any) -> Number:
        if not isinstance(x, Ratio):
            return (math.ceil(x) if up else math.floor(x)) if isinstance(x, int | float) else None
        return dims.ceildiv(x.top, x.bottom) if up else dims.floordiv(x.top, x.bottom)

    return apply


_OF_REALS = ("Mul", "Add", "Integer", "CeilToInt", "FloorToInt", "TruncToInt")
"""What is known of numbers that are no extents; these are never below 0 where it matters."""


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "Integer": lambda value: value,
    "Add": _sum,
    "Mul": _product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": dims.floordiv,
    "CleanDiv": dims.floordiv,
    "PythonMod": lambda a, b: a - dims.floordiv(a, b) * b,
    "Mod": lambda a, b: a - dims.floordiv(a, b) * b,
    "ToFloat": _ratio,
    "IntTrueDiv": _ratio,
    "CeilToInt": _rounded(up=True),
    "FloorToInt": _rounded(up=False),
    "TruncToInt": _rounded(up=False),
    "Max": lambda *parts: reduce(dims.maximum, parts),
    "Min": lambda *parts: reduce(dims.minimum, parts),
}
