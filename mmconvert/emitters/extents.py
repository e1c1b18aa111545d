"""Shapes that are known only when the model runs, computed inside the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import UnsupportedError
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape, TensorType


class Output(Protocol):
    """What extents are written to."""

    def constant(self, data: npt.ArrayLike, dtype: DType | None = None) -> Value:
        """A constant."""

    def integers(self, numbers: Sequence[int]) -> Value:
        """A constant vector of i32."""

    def reshape(self, value: Value, shape: Shape) -> Value:
        """A value under another shape."""


class Extents(ABC):
    """Writes extents as i32 vectors: constants where they are numbers, else operators over shapes.

    A target says how it spells the few operators that are needed.
    """

    VECTOR_OF_ONE = TensorType(np.dtype(np.int32), (1,))

    def __init__(self, out: Output) -> None:
        self._target = out
        self.assume_known = False
        """True while nobody knows yet which tensors will be there."""
        self._seen: dict[str, tuple[Value, int]] = {}
        self._lines: dict[str, tuple[Value, int, int, int]] = {}
        self._vectors: dict[tuple[Extent, ...], Value] = {}
        self._atoms: dict[Atom, Value] = {}
        self._shapes: dict[Value, Value] = {}

    @abstractmethod
    def _shape(self, value: Value) -> Value:
        """Writes the shape of ``value``, an i32 vector."""

    @abstractmethod
    def _pick(self, shape: Value, axis: int) -> Value:
        """Writes element ``axis`` of a vector, as a vector of one."""

    @abstractmethod
    def _join(self, parts: list[Value], length: int) -> Value:
        """Writes vectors one after the other."""

    @abstractmethod
    def _add(self, a: Value, b: Value) -> Value: ...

    @abstractmethod
    def _multiply(self, a: Value, b: Value) -> Value: ...

    @abstractmethod
    def _divide(self, a: Value, b: Value) -> Value:
        """Writes the floor of the quotient."""

    @abstractmethod
    def _larger(self, a: Value, b: Value) -> Value: ...

    def learn(self, value: Value) -> None:
        """Remembers in which axis of which value each unknown extent can be found."""
        for axis, extent in enumerate(value.type.shape):
            line = extent.line if isinstance(extent, Dim) else None
            if line is not None and line[1:] == (1, 0):
                self._seen.setdefault(line[0], (value, axis))
            elif line is not None:
                self._lines.setdefault(line[0], (value, axis, *line[1:]))

    def vector(self, extents: Sequence[Extent]) -> Value:
        """An i32 vector of ``extents``.

        Raises:
            UnsupportedError: an unknown extent is that of no tensor so far.
        """
        key = tuple(extents)
        numbers = [e for e in key if isinstance(e, int)]
        if len(numbers) == len(key):
            return self._target.integers(numbers)
        if key not in self._vectors:
            self._vectors[key] = self._computed(key)
        return self._vectors[key]

    def scalar(self, extent: Extent) -> Value:
        """An i32 scalar."""
        if isinstance(extent, int):
            return self._target.constant(extent, dtypes.I32)
        return self._target.reshape(self.vector((extent,)), ())

    def _computed(self, extents: tuple[Extent, ...]) -> Value:
        if len(extents) == 1:
            (extent,) = extents
            assert isinstance(extent, Dim)
            return self._sum(extent)
        parts: list[Value] = []
        for known, group in groupby(extents, lambda e: isinstance(e, int)):
            run = list(group)
            parts += [self.vector(run)] if known else [self.vector((e,)) for e in run]
        return self._join(parts, len(extents))

    def _sum(self, extent: Dim) -> Value:
        total: Value | None = None
        for monomial, coefficient in extent.terms:
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(self._target.integers([coefficient]))
            term = factors[0]
            for factor in factors[1:]:
                term = self._multiply(term, factor)
            total = term if total is None else self._add(total, term)
        assert total is not None
        return total

    def _atom(self, atom: Atom) -> Value:
        if atom not in self._atoms:
            self._atoms[atom] = self._made(atom)
        return self._atoms[atom]

    def _made(self, atom: Atom) -> Value:
        if isinstance(atom, str):
            return self._symbol(atom)
        if isinstance(atom, FloorDiv):
            return self._divide(self.vector((atom.numerator,)), self.vector((atom.denominator,)))
        return self._larger(self.vector((atom.left,)), self.vector((atom.right,)))

    def _symbol(self, name: str) -> Value:
        if self.assume_known:
            return Value(self.VECTOR_OF_ONE)
        if name in self._seen:
            return self._extent(*self._seen[name])
        if name not in self._lines:
            raise UnsupportedError(f"the extent {name} is not that of an input")
        value, axis, factor, offset = self._lines[name]
        made = self._extent(value, axis)
        if offset:
            made = self._add(made, self._target.integers([-offset]))
        return made if factor == 1 else self._divide(made, self._target.integers([factor]))

    def _extent(self, value: Value, axis: int) -> Value:
        if value not in self._shapes:
            self._shapes[value] = self._shape(value)
        return self._pick(self._shapes[value], axis)
