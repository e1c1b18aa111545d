"""Extents as torch writes them: expressions of sympy spelled out, ``Add(Integer(1), Symbol('s0'))``."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from mmconvert.errors import InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent

MAX_LENGTH = 10_000
"""A longer expression is no extent that a model has."""

Number = Extent | float | None


class Sizes:
    """Reads expressions; the symbols in them get names of ours."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._known: dict[str, Number] = {}

    def read(self, text: str) -> Number:
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
            self._known[text] = self._value(tree)
        return self._known[text]

    def _value(self, tree: ast.expr) -> Number:
        match tree:
            case ast.Constant(value=bool()):
                return None
            case ast.Constant(value=int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._value(operand)
                return None if inner is None else inner * -1
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
    if any(isinstance(a, float) for a in known) and function not in ("Mul", "Add", "Integer"):
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
    return reduce(lambda a, b: a + b, parts)


def _product(*parts: Any) -> Any:
    return None if any(isinstance(p, float) for p in parts) and _symbolic(parts) else math.prod(parts)


def _symbolic(parts: tuple[Any, ...]) -> bool:
    return any(isinstance(p, Dim) for p in parts)


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
    "Max": lambda *parts: reduce(dims.maximum, parts),
    "Min": lambda *parts: reduce(dims.minimum, parts),
}
