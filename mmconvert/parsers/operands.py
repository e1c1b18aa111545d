"""Operands whose elements a rule has to know: axes, sizes, bounds; of any format."""

from __future__ import annotations

import abc
import math
from typing import Protocol

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import CONTENT_LIMIT, Origin, Value
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.symbols import Symbols
from mmconvert.tensors import Array

_COMPUTED = "simplify the model so that this becomes constant, or export it with fixed sizes"


class Shared(Protocol):
    """What the operators of a file share, as far as it is needed here."""

    @property
    def symbols(self) -> Symbols:
        """The names of unknown extents."""

    @property
    def constants(self) -> Constants:
        """What is known of computed values."""


class Operands(abc.ABC):
    """One operator of a file, with what its rule can ask about the elements of its operands.

    Attributes:
        origin: where the operator comes from.
    """

    origin: Origin

    def __init__(self, shared: Shared, builder: Builder | None = None) -> None:
        """
        Args:
            shared: what it shares with the other operators.
            builder: writes where the operator is; with it, extents may be computed while the model runs.
        """
        self._shared, self._builder = shared, builder

    @abc.abstractmethod
    def operand(self, index: int) -> Value:
        """Operand ``index``; an error where it is missing."""

    @abc.abstractmethod
    def invalid(self, message: str) -> InvalidModelError:
        """The error that this operator is not valid."""

    @abc.abstractmethod
    def unsupported(self, message: str, hint: str = "") -> UnsupportedError:
        """The error that this operator is valid, and cannot be represented."""

    def known(self, index: int) -> Array | None:
        """The elements of operand ``index`` when they follow from constants, else None."""
        return self._shared.constants.array(self.operand(index))

    def array(self, index: int, what: str) -> Array:
        """The elements of operand ``index``, which must follow from constants.

        Raises:
            UnsupportedError: they are computed while the model runs; ``what`` names the operand.
        """
        array = self.known(index)
        if array is None:
            raise self.unsupported(f"{what} computed while the model runs", hint=_COMPUTED)
        return array

    def scalar(self, index: int, what: str) -> bool | int | float:
        """The only element of operand ``index``; raises as ``array`` does."""
        array = self.array(index, what)
        if array.size != 1 or array.dtype.kind == "c":
            raise self.invalid(f"{what} must be one number")
        element: bool | int | float = array.astype(_wide(array.dtype)).reshape(-1)[0].item()
        return element

    def whole(self, index: int, what: str) -> int:
        """The only element of operand ``index``, cut to an integer; raises as ``array`` does."""
        number = self.scalar(index, what)
        if not math.isfinite(number):
            raise self.invalid(f"{what} cannot be {number}")
        return int(number)

    def integers_of(self, index: int, what: str) -> tuple[int, ...]:
        """The elements of operand ``index`` as integers; raises as ``array`` does."""
        array = self.array(index, what)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.invalid(f"{what} must be a list of integers")
        return tuple(int(v) for v in array.reshape(-1))

    def extents(self, index: int, what: str) -> tuple[Extent, ...]:
        """The elements of operand ``index`` as extents: numbers, or symbols that the run decides.

        Raises:
            UnsupportedError: it is not known how many they are; ``what`` names the operand.
        """
        value = self.operand(index)
        if value.extents is None and self.known(index) is None:
            return self.read(value, what)
        known = value.extents
        return self.integers_of(index, what) if known is None else known

    def follows(self, index: int) -> bool:
        """True when the elements of operand ``index`` follow from constants and shapes."""
        return self.operand(index).extents is not None or self.known(index) is not None

    def read(self, value: Value, what: str) -> tuple[Extent, ...]:
        """Names for the elements of ``value``, which are computed while the model runs."""
        count = value.type.size
        if self._builder is None or not isinstance(count, int) or count > CONTENT_LIMIT:
            raise self.unsupported(f"{what} computed while the model runs", hint=_COMPUTED)
        if not dtypes.is_integer(value.type.dtype) or value.type.rank > 1:
            raise self.invalid(f"{what} must be a list of integers")
        if value.type.dtype != dtypes.I64:
            value = self._builder(ops.Cast(to=dtypes.I64), value)
        hint = "_".join([self.origin.name, what.split()[-1]])
        names = tuple(self._shared.symbols.fresh(hint) for _ in range(count))
        found = self._builder(ops.ReadExtents(names=names), value).extents
        assert found is not None
        return found

    def extent(self, index: int, what: str) -> Extent:
        """The only element of operand ``index`` as an extent; raises as ``extents`` does."""
        extents = self.extents(index, what)
        if len(extents) != 1:
            raise self.invalid(f"{what} must be one number")
        return extents[0]


def _wide(dtype: DType) -> DType:
    """The NumPy type that holds any element of ``dtype`` exactly."""
    return dtype if dtype.kind in "iub" else np.dtype(np.float64)
