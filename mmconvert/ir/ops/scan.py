"""Running sums and products along an axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, attributes, operator
from mmconvert.ir.ops.binary import Add, Mul
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.ops.shape import Concat, Fill, Reverse
from mmconvert.ir.types import Array, Extent, TensorType


@attributes
class Cumulative(Op):
    """Each element combined with all before it along ``axis``; integers wrap around.

    x: numeric. ``exclusive`` leaves out the element itself, so that the first result is the neutral element;
    ``reverse`` runs from the end.
    """

    _f: ClassVar[np.ufunc]
    _step: ClassVar[type[Op]]
    _neutral: ClassVar[int]

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, x: TensorType) -> TensorType:
        x.require_numeric().axis(self.axis)
        return x

    def evaluate(self, x: Array) -> Array:
        wide = widen(np.flip(x, self.axis) if self.reverse else x)
        if self.exclusive and wide.shape[self.axis]:
            first = np.full_like(wide[self._head(1)], self._neutral)
            wide = np.concatenate([first, wide[self._head(-1)]], axis=self.axis)
        total = self._f.accumulate(wide, axis=self.axis, dtype=wide.dtype).astype(x.dtype, copy=False)
        return np.flip(total, self.axis) if self.reverse else total

    def _head(self, count: int) -> tuple[Any, ...]:
        return (*(slice(None),) * self.axis, slice(count))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """The doubling scan: after step ``i`` every element has taken in the ``2 ** i`` before it.

        W. Daniel Hillis and Guy L. Steele, "Data parallel algorithms", 1986.
        """
        extent = x.type.shape[self.axis]
        if not isinstance(extent, int) or extent == 0:
            return None
        if self.reverse:
            backwards = b(Reverse(axes=(self.axis,)), x)
            return b(Reverse(axes=(self.axis,)), b(replace(self, reverse=False), backwards))
        if self.exclusive:
            x = self._delay(b, x, extent)
        distance = 1
        while distance < extent:
            grown = b(
                self._step(), self._part(b, x, distance, extent), self._part(b, x, 0, extent - distance)
            )
            x = b(Concat(axis=self.axis), self._part(b, x, 0, distance), grown)
            distance *= 2
        return x

    def _delay(self, b: Builder, x: Value, extent: int) -> Value:
        shape: tuple[Extent, ...] = (*x.type.shape[: self.axis], 1, *x.type.shape[self.axis + 1 :])
        first = b(Fill(shape=shape, value=self._neutral, dtype=x.type.dtype))
        return b(Concat(axis=self.axis), first, self._part(b, x, 0, extent - 1)) if extent > 1 else first

    def _part(self, b: Builder, x: Value, start: int, stop: int) -> Value:
        return b(Slice(axes=(self.axis,), starts=(start,), sizes=(stop - start,), steps=(1,)), x)


@operator
class CumSum(Cumulative):
    """The running sum along ``axis``."""

    _f = np.add
    _step = Add
    _neutral = 0


@operator
class CumProd(Cumulative):
    """The running product along ``axis``."""

    _f = np.multiply
    _step = Mul
    _neutral = 1
