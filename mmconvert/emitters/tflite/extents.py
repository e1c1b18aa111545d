"""Shapes that are known only when the model runs, computed inside the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.errors import UnsupportedError
from mmconvert.ir.dims import Atom, Dim, Extent, FloorDiv
from mmconvert.ir.graph import Value
from mmconvert.ir.types import TensorType

if TYPE_CHECKING:
    from mmconvert.emitters.tflite.writer import Writer


class Extents:
    """Writes extents as i32 vectors: constants where they are numbers, else operators over SHAPE."""

    def __init__(self, out: Writer) -> None:
        self._out = out
        self.assume_known = False
        """True while nobody knows yet which tensors will be there."""
        self._seen: dict[str, tuple[Value, int]] = {}
        self._vectors: dict[tuple[Extent, ...], Value] = {}
        self._atoms: dict[Atom, Value] = {}
        self._shapes: dict[Value, Value] = {}

    def learn(self, value: Value) -> None:
        """Remembers in which axis of which value each unknown extent can be found."""
        for axis, extent in enumerate(value.type.shape):
            if isinstance(extent, Dim) and extent.name is not None:
                self._seen.setdefault(extent.name, (value, axis))

    def vector(self, extents: Sequence[Extent]) -> Value:
        """An i32 vector of ``extents``.

        Raises:
            UnsupportedError: an unknown extent is that of no tensor so far.
        """
        key = tuple(extents)
        numbers = [e for e in key if isinstance(e, int)]
        if len(numbers) == len(key):
            return self._out.integers(numbers)
        if key not in self._vectors:
            self._vectors[key] = self._computed(key)
        return self._vectors[key]

    def scalar(self, extent: Extent) -> Value:
        """An i32 scalar."""
        if isinstance(extent, int):
            return self._out.constant(extent, dtypes.I32)
        return self._out.reshape(self.vector((extent,)), ())

    def _computed(self, extents: tuple[Extent, ...]) -> Value:
        if len(extents) == 1:
            (extent,) = extents
            assert isinstance(extent, Dim)
            return self._sum(extent)
        parts: list[Value] = []
        for known, group in groupby(extents, lambda e: isinstance(e, int)):
            run = list(group)
            parts += [self.vector(run)] if known else [self.vector((e,)) for e in run]
        return self._out.make(tfl.CONCATENATION, parts, TensorType(dtypes.I32, (len(extents),)), axis=0)

    def _sum(self, extent: Dim) -> Value:
        total: Value | None = None
        for monomial, coefficient in extent.terms:
            factors = [self._atom(atom) for atom in monomial]
            if coefficient != 1 or not factors:
                factors.append(self._out.integers([coefficient]))
            term = self._fold(tfl.MUL, factors)
            total = term if total is None else self._combine(tfl.ADD, total, term)
        assert total is not None
        return total

    def _fold(self, builtin: tfl.Builtin, values: list[Value]) -> Value:
        result = values[0]
        for value in values[1:]:
            result = self._combine(builtin, result, value)
        return result

    def _atom(self, atom: Atom) -> Value:
        if atom not in self._atoms:
            self._atoms[atom] = self._made(atom)
        return self._atoms[atom]

    def _made(self, atom: Atom) -> Value:
        if isinstance(atom, str):
            return self._symbol(atom)
        if isinstance(atom, FloorDiv):
            return self._combine(
                tfl.FLOOR_DIV, self.vector((atom.numerator,)), self.vector((atom.denominator,))
            )
        return self._combine(tfl.MAXIMUM, self.vector((atom.left,)), self.vector((atom.right,)))

    def _symbol(self, name: str) -> Value:
        if self.assume_known:
            return Value(TensorType(dtypes.I32, (1,)))
        if name not in self._seen:
            raise UnsupportedError(f"the extent {name} is not that of an input")
        value, axis = self._seen[name]
        shape = self._shape(value)
        begin, size = self._out.integers([axis]), self._out.integers([1])
        return self._out.make(tfl.SLICE, (shape, begin, size), TensorType(dtypes.I32, (1,)))

    def _shape(self, value: Value) -> Value:
        if value not in self._shapes:
            vector = TensorType(dtypes.I32, (value.type.rank,))
            kind = tfl.TENSOR_TYPES[dtypes.I32]
            self._shapes[value] = self._out.make(tfl.SHAPE, (value,), vector, out_type=kind)
        return self._shapes[value]

    def _combine(self, builtin: tfl.Builtin, a: Value, b: Value) -> Value:
        return self._out.make(builtin, (a, b), TensorType(dtypes.I32, (1,)))
