"""Operators that move elements and leave their values alone, and those that make tensors out of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.types import Array, Extent, TensorType


@operator
class Reshape(Op):
    """The same elements in row-major order under another shape.

    x: any type. ``shape`` is resolved: it has no -1 and no 0 that means "as in the input".
    """

    symbolic: ClassVar[bool] = True

    shape: tuple[Extent, ...]

    def infer(self, x: TensorType) -> TensorType:
        difference = x.size - dims.product(natural(self.shape))
        x.require(
            not isinstance(difference, int) or difference == 0, f"as many elements as {_show(self.shape)} has"
        )
        return x.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return x.reshape(dims.numbers(self.shape))


@operator
class Transpose(Op):
    """The axes in another order: axis ``i`` of the output is axis ``perm[i]`` of ``x``."""

    symbolic: ClassVar[bool] = True

    perm: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        x.require(sorted(self.perm) == list(range(x.rank)), f"one axis for each of {self.perm}")
        return x.with_shape(tuple(x.shape[p] for p in self.perm))

    def evaluate(self, x: Array) -> Array:
        return x.transpose(self.perm)


@operator
class Expand(Op):
    """``x`` broadcast to ``shape`` by NumPy's rule; ``shape`` is that of the output."""

    symbolic: ClassVar[bool] = True

    shape: tuple[Extent, ...]

    def infer(self, x: TensorType) -> TensorType:
        x.require(x.rank <= len(natural(self.shape)), f"at most {len(self.shape)} axes")
        for have, want in zip(reversed(x.shape), reversed(self.shape), strict=False):
            fits = have in (1, want) or not (isinstance(have, int) and isinstance(want, int))
            x.require(fits, f"a tensor that broadcasts to {_show(self.shape)}")
        return x.with_shape(self.shape)

    def evaluate(self, x: Array) -> Array:
        return np.broadcast_to(x, dims.numbers(self.shape))


@operator
class Squeeze(Op):
    """Without ``axes``, which have the extent 1."""

    symbolic: ClassVar[bool] = True

    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        dropped = x.axes(self.axes)
        x.require(
            all(x.shape[a] == 1 or not isinstance(x.shape[a], int) for a in dropped), f"1 along {self.axes}"
        )
        return x.with_shape(tuple(e for a, e in enumerate(x.shape) if a not in dropped))

    def evaluate(self, x: Array) -> Array:
        return np.squeeze(x, self.axes)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Reshape(shape=self.infer(x.type).shape), x)


@operator
class Unsqueeze(Op):
    """With new axes of extent 1, at the positions ``axes`` of the output."""

    symbolic: ClassVar[bool] = True

    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        rank = x.rank + len(self.axes)
        fits = len(set(self.axes)) == len(self.axes) and all(0 <= a < rank for a in self.axes)
        x.require(fits, f"a rank to which axes can be added at {self.axes}")
        old = iter(x.shape)
        return x.with_shape(tuple(1 if a in self.axes else next(old) for a in range(rank)))

    def evaluate(self, x: Array) -> Array:
        return np.expand_dims(x, self.axes)

    def decompose(self, b: Builder, x: Value) -> Value:
        return b(Reshape(shape=self.infer(x.type).shape), x)


@operator
class Concat(Op):
    """The operands one after another along ``axis``; they agree in type and in every other extent."""

    symbolic: ClassVar[bool] = True

    axis: int

    def infer(self, *xs: TensorType) -> TensorType:
        if not xs:
            raise InferenceError("there is nothing to concatenate")
        first, axis = xs[0], xs[0].axis(self.axis)
        shape = list(first.shape)
        for x in xs[1:]:
            x.require(x.dtype == first.dtype and x.rank == first.rank, f"the type and rank of {first}")
            for a, extent in enumerate(x.shape):
                shape[a] = shape[a] + extent if a == axis else _agree(x, first, shape[a], extent)
        return first.with_shape(tuple(shape))

    def evaluate(self, *xs: Array) -> Array:
        return np.concatenate(xs, axis=self.axis)


def _agree(x: TensorType, first: TensorType, a: Extent, b: Extent) -> Extent:
    if isinstance(a, int) and isinstance(b, int):
        x.require(a == b, f"the extents of {first}")
    return a if isinstance(a, int) else b if isinstance(b, int) else a


@operator
class Split(Op):
    """``x`` cut along ``axis`` into parts of ``sizes``, which add up to its extent; one output for each."""

    axis: int
    sizes: tuple[Extent, ...]

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = x.axis(self.axis)
        rest: Extent = x.shape[axis]
        for size in self.sizes:
            rest = rest - size
        fits = not isinstance(rest, int) or rest == 0
        x.require(fits, f"an axis {axis} as long as {_show(natural(self.sizes))} together")
        return tuple(x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in self.sizes)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x, np.cumsum(dims.numbers(self.sizes))[:-1], axis=self.axis))

    def decompose(self, b: Builder, x: Value) -> tuple[Value, ...] | None:
        if x.type.shape[self.axis] == 0 and not all(isinstance(size, int) for size in self.sizes):
            return None  # no slice begins anywhere
        parts: list[Value] = []
        start: Extent = 0
        for size in self.sizes:
            parts.append(b(Slice(axes=(self.axis,), starts=(start,), sizes=(size,), steps=(1,)), x))
            start = start + size
        return tuple(parts)


@operator
class Tile(Op):
    """``x`` repeated ``repeats[a]`` times along each axis ``a``."""

    symbolic: ClassVar[bool] = True

    repeats: tuple[Extent, ...]

    def infer(self, x: TensorType) -> TensorType:
        x.require(x.rank == len(natural(self.repeats)), f"one axis for each of {_show(self.repeats)}")
        return x.with_shape(tuple(e * r for e, r in zip(x.shape, self.repeats, strict=True)))

    def evaluate(self, x: Array) -> Array:
        return np.tile(x, dims.numbers(self.repeats))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        if not all(isinstance(r, int) and r >= 1 for r in self.repeats):
            return None
        for axis, repeat in enumerate(dims.numbers(self.repeats)):
            if repeat > 1:
                x = b(Concat(axis=axis), *[x] * repeat)
        return x


@operator
class Shape(Op):
    """The extents of ``x``, as i64[rank]."""

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(dtypes.I64, (x.rank,))

    def evaluate(self, x: Array) -> Array:
        return np.array(x.shape, dtype=np.int64)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        (x,) = types
        assert x is not None
        return np.array(x.shape, dtype=object)


@operator
class Reverse(Op):
    """Back to front along each of ``axes``."""

    symbolic: ClassVar[bool] = True

    axes: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        x.axes(self.axes)
        return x

    def evaluate(self, x: Array) -> Array:
        return np.flip(x, self.axes)

    def decompose(self, b: Builder, x: Value) -> Value:
        sizes = tuple(x.type.shape[a] for a in self.axes)
        starts = tuple(size - 1 for size in sizes)
        return b(Slice(axes=self.axes, starts=starts, sizes=sizes, steps=(-1,) * len(self.axes)), x)


@operator
class Fill(Op):
    """A tensor of ``shape`` with ``value`` everywhere; it has no operands."""

    shape: tuple[Extent, ...]
    value: float | int | bool
    dtype: DType

    def infer(self) -> TensorType:
        return TensorType(self.dtype, natural(self.shape))

    def evaluate(self) -> Array:
        return np.full(dims.numbers(self.shape), self.value, dtype=self.dtype)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        if not all(isinstance(e, int) for e in self.shape):
            return None
        return np.full(dims.numbers(self.shape), int(self.value), dtype=object)


@operator
class Range(Op):
    """``start + i * delta`` for every ``i`` below ``size``, which is ``ceil((limit - start) / delta)``.

    start, limit, delta: numeric scalars of one type. Returns a vector of that type.
    """

    size: Extent

    def infer(self, start: TensorType, limit: TensorType, delta: TensorType) -> TensorType:
        for scalar in (start, limit, delta):
            scalar.require_numeric().require(
                scalar.dtype == start.dtype and not scalar.rank, f"a scalar like {start}"
            )
        return start.with_shape(natural((self.size,)))

    def evaluate(self, start: Array, limit: Array, delta: Array) -> Array:
        (size,) = dims.numbers((self.size,))
        return np.asarray(start + np.arange(size).astype(start.dtype) * delta)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        start, _, delta = contents
        if start is None or delta is None or not isinstance(self.size, int):
            return None
        return np.array([start.item() + i * delta.item() for i in range(self.size)], dtype=object)


def natural(shape: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """``shape``, when none of its extents is known to be negative.

    Raises:
        InferenceError: one is.
    """
    if any(isinstance(extent, int) and extent < 0 for extent in shape):
        raise InferenceError(f"there is a negative extent in {_show(shape)}")
    return shape


def _show(shape: tuple[Extent, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
