"""Pad: more elements around a tensor, or fewer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.ops.shape import Concat, Expand
from mmconvert.ir.types import Array, Extent, TensorType

PadMode = Literal["constant", "edge", "reflect", "symmetric", "wrap"]


@operator
class Pad(Op):
    """Elements added before and after each axis; a negative number takes elements away, before any are added.

    ==============  ======================================
    mode            ``[a b c d]`` with 2 before and after
    ==============  ======================================
    ``constant``    ``v v [a b c d] v v``, v is ``value``
    ``edge``        ``a a [a b c d] d d``
    ``reflect``     ``c b [a b c d] c b``
    ``symmetric``   ``b a [a b c d] d c``
    ``wrap``        ``c d [a b c d] a b``
    ==============  ======================================

    x: any type and rank. ``pads`` holds (before, after) for every axis. What ``reflect``, ``symmetric`` and
    ``wrap`` lack in elements they get by going on in the same way (NumPy).
    """

    pads: tuple[tuple[Extent, Extent], ...]
    mode: PadMode = "constant"
    value: float = 0.0

    def infer(self, x: TensorType) -> TensorType:
        x.require(len(self.pads) == x.rank, f"one axis for each pair of pads {self.pads}")
        needed = 0 if self.mode == "constant" else 1
        for extent, pair in zip(x.shape, self.pads, strict=True):
            kept = extent + sum(p for p in pair if isinstance(p, int) and p < 0)
            least = needed if any(isinstance(p, int) and p > 0 for p in pair) else 0
            fits = not isinstance(kept, int) or kept >= least
            x.require(fits, f"more than is taken away by {self.pads} ({self.mode})")
        return x.with_shape(tuple(e + sum(pair) for e, pair in zip(x.shape, self.pads, strict=True)))

    def evaluate(self, x: Array) -> Array:
        pads = [dims.numbers(pair) for pair in self.pads]
        index = [
            slice(max(-before, 0), e - max(-after, 0))
            for e, (before, after) in zip(x.shape, pads, strict=True)
        ]
        inner = x[tuple(index)]
        added = [(max(before, 0), max(after, 0)) for before, after in pads]
        if not any(map(any, added)):
            return inner
        if self.mode == "constant":
            return np.pad(inner, added, constant_values=x.dtype.type(self.value))
        return np.pad(inner, added, mode=self.mode)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """Cropping becomes Slice; every mode but ``constant`` becomes Slice and Concat."""
        crops = any(_is_negative(p) for pair in self.pads for p in pair)
        if (self.mode == "constant" and not crops) or not self._reaches(x.type):
            return None
        for axis, (before, after) in enumerate(self.pads):
            x = _crop(b, x, axis, before, after)
        added = tuple((_added(before), _added(after)) for before, after in self.pads)
        if self.mode == "constant":
            return b(Pad(pads=added, value=self.value), x) if any(map(any, added)) else x
        for axis, (before, after) in enumerate(added):
            x = _pad_axis(b, x, axis, before, after, self.mode)
        return x

    def _reaches(self, x: TensorType) -> bool:
        """True when one run over the elements is enough on either side of every axis, as far as is known."""
        spare = {"reflect": 1, "symmetric": 0, "wrap": 0}.get(self.mode)
        for extent, pair in zip(x.shape, self.pads, strict=True):
            kept = extent + sum(p for p in pair if isinstance(p, int) and p < 0)
            for p in pair:
                if spare is None or _added(p) == 0:
                    continue
                # An extent that may be 0 when the model runs still needs an element to begin with.
                room = kept - (_added(p) if isinstance(p, int) else 1) - spare
                if isinstance(room, int) and room < 0:
                    return False
        return True


def _is_negative(pad: Extent) -> bool:
    return isinstance(pad, int) and pad < 0


def _added(pad: Extent) -> Extent:
    return max(pad, 0) if isinstance(pad, int) else pad


def _crop(b: Builder, x: Value, axis: int, before: Extent, after: Extent) -> Value:
    front, back = _added(-before) if _is_negative(before) else 0, _added(-after) if _is_negative(after) else 0
    return x if front == back == 0 else _take(b, x, axis, front, x.type.shape[axis] - front - back)


def _take(b: Builder, x: Value, axis: int, start: Extent, size: Extent, step: int = 1) -> Value:
    return b(Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(step,)), x)


def _pad_axis(b: Builder, x: Value, axis: int, before: Extent, after: Extent, mode: PadMode) -> Value:
    extent = x.type.shape[axis]
    match mode:
        case "edge":
            sides = [_repeat(b, x, axis, 0, before), _repeat(b, x, axis, extent - 1, after)]
        case "wrap":
            sides = [_part(b, x, axis, extent - before, before, 1), _part(b, x, axis, 0, after, 1)]
        case _:
            skip = 1 if mode == "reflect" else 0
            sides = [
                _part(b, x, axis, before - 1 + skip, before, -1),
                _part(b, x, axis, extent - 1 - skip, after, -1),
            ]
    parts = [part for part in (sides[0], x, sides[1]) if part is not None]
    return b(Concat(axis=axis), *parts) if len(parts) > 1 else x


def _part(b: Builder, x: Value, axis: int, start: Extent, size: Extent, step: int) -> Value | None:
    return None if size == 0 else _take(b, x, axis, start, size, step)


def _repeat(b: Builder, x: Value, axis: int, start: Extent, size: Extent) -> Value | None:
    if size == 0:
        return None
    shape = (*x.type.shape[:axis], size, *x.type.shape[axis + 1 :])
    return b(Expand(shape=shape), _take(b, x, axis, start, 1))
