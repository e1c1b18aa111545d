"""Extents that are known only when the model runs, as formulas over the extents of blobs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmconvert.emitters.ncnn.blob import LETTERS, Blob
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv
from mmconvert.ir.types import Shape

_LONGEST = 240
_MOST = 10


class Extents:
    """Knows which blobs tell the value of an unknown extent."""

    def __init__(self, *, assume_known: bool = False) -> None:
        self._sources: dict[Extent, tuple[Blob, str]] = {}
        self._assume_known = assume_known

    def learn(self, blob: Blob) -> None:
        """What is in the shape of ``blob`` can be read off it."""
        for letter, extent in zip(LETTERS[blob.rank], blob.shape, strict=True):
            if isinstance(extent, Dim):
                self._sources.setdefault(extent, (blob, letter))

    def formula(self, shape: Shape, first: Blob) -> tuple[str, list[Blob]]:
        """The extents of ``shape`` in NCNN's order (w first), over ``first`` and the blobs that are returned.

        Raises:
            UnsupportedError: an extent does not follow from the extents of blobs.
        """
        order = sorted(zip(LETTERS[len(shape)], shape, strict=True), key=lambda pair: "whdc".index(pair[0]))
        (text,), others = self.formulas([[extent for _, extent in order]], first)
        return text, others

    def formulas(self, lists: Sequence[Sequence[Extent]], first: Blob) -> tuple[list[str], list[Blob]]:
        """Lists of extents as texts, over ``first`` and the blobs that are returned.

        Raises:
            UnsupportedError: an extent does not follow from the extents of blobs.
        """
        formula = _Formula(self._sources, first, assume_known=self._assume_known)
        texts = [",".join(map(formula.extent, extents)) for extents in lists]
        if any(len(text) > _LONGEST for text in texts):
            raise UnsupportedError("the formula of an extent is longer than NCNN's texts may be")
        return texts, formula.blobs[1:]


class _Formula:
    def __init__(self, sources: dict[Extent, tuple[Blob, str]], first: Blob, *, assume_known: bool) -> None:
        self._sources, self.blobs, self._assume_known = sources, [first], assume_known

    def extent(self, extent: Extent) -> str:
        if isinstance(extent, int):
            return str(extent)
        for letter, have in zip(LETTERS[self.blobs[0].rank], self.blobs[0].shape, strict=True):
            if have == extent:
                return f"0{letter}"
        if extent in self._sources:
            return self._read(*self._sources[extent])
        common = math.gcd(*(coefficient for _, coefficient in extent.terms))
        if common > 1:
            return f"*({self.extent(dims.floordiv(extent, common))},{common})"
        total = ""
        for monomial, coefficient in extent.terms:
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(str(coefficient))
            term = factors[0]
            for factor in factors[1:]:
                term = f"*({term},{factor})"
            total = f"+({total},{term})" if total else term
        return total

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, FloorDiv):
            return f"//({self.extent(atom.numerator)},{self.extent(atom.denominator)})"
        if not isinstance(atom, str):
            return f"max({self.extent(atom.left)},{self.extent(atom.right)})"
        if self._assume_known:
            return f"0{LETTERS[self.blobs[0].rank][0]}"
        if Dim.symbol(atom) not in self._sources:
            raise UnsupportedError(f"NCNN cannot tell the extent {atom}, which no blob has")
        return self._read(*self._sources[Dim.symbol(atom)])

    def _read(self, blob: Blob, letter: str) -> str:
        if blob not in self.blobs:
            self.blobs.append(blob)
        if len(self.blobs) > _MOST:
            raise UnsupportedError(f"NCNN computes an extent of at most {_MOST} blobs")
        return f"{self.blobs.index(blob)}{letter}"
