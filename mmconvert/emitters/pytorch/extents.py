"""Extents that are known only when the model runs, as Python expressions over ``x.shape``."""

from __future__ import annotations

from collections.abc import Callable

from mmconvert.emitters.pytorch.code import Names
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv
from mmconvert.ir.graph import Value


class Extents:
    """Names of extents: each is bound where a tensor has it first, if it is needed at all."""

    def __init__(self, names: Names, *, assume_known: bool = False) -> None:
        self._names, self._assume_known = names, assume_known
        self._bound: dict[str, str] = {}
        self._offers: dict[str, tuple[str, list[str]]] = {}
        self._open: list[tuple[Dim, str, list[str]]] = []

    def knows(self, extent: Extent) -> bool:
        """Whether all names in ``extent`` can be had."""
        return dims.symbols(extent) <= self._offers.keys()

    def learn(self, value: Value, name: str, place: list[str]) -> None:
        """Notes that ``name.shape`` holds extents; ``place`` takes the statements that bind them."""
        for axis, extent in enumerate(value.type.shape):
            self.learn_extent(extent, f"{name}.shape[{axis}]", place)

    def learn_extent(self, extent: Extent, source: str, place: list[str]) -> None:
        """Notes that the expression ``source`` is ``extent``."""
        if not isinstance(extent, Dim):
            return
        if extent.name is not None:
            self._offers.setdefault(extent.name, (source, place))
            return
        bindings = {name: Dim.symbol(name) for name in self._offers}
        # A multiple of one name, or its sum with known ones, says what the name is.
        open_names = extent.symbols - self._offers.keys()
        if len(open_names) == 1 and len(extent.terms) <= 2:
            (name,) = open_names
            (monomial, factor), *rest = sorted(extent.terms, key=lambda t: name not in t[0])
            if (
                monomial == (name,)
                and factor > 0
                and all(dims.symbols(_dim(t)) <= bindings.keys() for t in rest)
            ):
                left = source
                for term in rest:
                    left = f"({left} - ({_Spelling(self.text_of).extent(_dim(term))}))"
                self._offers[name] = (left if factor == 1 else f"{left} // {factor}", place)

    def text(self, extent: Extent) -> str:
        """The expression for ``extent``.

        Raises:
            UnsupportedError: a name in it is that of no tensor so far.
        """
        return str(extent) if isinstance(extent, int) else _Spelling(self.text_of).extent(extent)

    def text_of(self, name: str) -> str:
        """The variable for a name, which is bound where it can be."""
        if name in self._bound:
            return self._bound[name]
        if self._assume_known:
            return "n"
        if name not in self._offers:
            raise UnsupportedError(f"the extent {name} cannot be read off any tensor")
        source, place = self._offers[name]
        self._bound[name] = variable = self._names.take(name)
        place.append(f"{variable} = {source}")
        return variable


def _dim(term: tuple[tuple[Atom, ...], int]) -> Extent:
    monomial, coefficient = term
    return Dim((term,)) if monomial else coefficient


class _Spelling:
    """An extent in Python."""

    def __init__(self, name: Callable[[str], str]) -> None:
        self._name = name

    def extent(self, extent: Extent) -> str:
        if isinstance(extent, int):
            return str(extent)
        text = ""
        for monomial, coefficient in sorted(extent.terms, key=lambda t: t[1] < 0):
            factors = [self._atom(a, alone=len(monomial) == 1 and abs(coefficient) == 1) for a in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = (" - " if text else "-") if coefficient < 0 else " + " if text else ""
            text += sign + " * ".join(factors)
        return text

    def _atom(self, atom: Atom, *, alone: bool) -> str:
        if isinstance(atom, str):
            return self._name(atom)
        if isinstance(atom, FloorDiv):
            text = f"{self._group(atom.numerator)} // {self._group(atom.denominator)}"
            return text if alone else f"({text})"
        return f"max({self.extent(atom.left)}, {self.extent(atom.right)})"

    def _group(self, extent: Extent) -> str:
        text = self.extent(extent)
        return text if text.replace("_", "").isalnum() else f"({text})"
