"""Operators that pick elements by position: Slice and the gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from mmconvert.errors import InferenceError, InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.op import Op, operator
from mmconvert.ir.types import Array, Extent, TensorType


@operator
class Slice(Op):
    """Every ``step``-th element along some axes: ``y[i] = x[start + i * step]``.

    x: any type and rank. ``axes`` are the sliced axes; for each ``starts`` is the first index, counted
    from the front, ``sizes`` the output extent and ``steps`` the distance, which may be negative.
    ``ir.slicing.normalize_slice`` turns ``start:end:step`` into this form.
    """

    symbolic: ClassVar[bool] = True

    axes: tuple[int, ...]
    starts: tuple[Extent, ...]
    sizes: tuple[Extent, ...]
    steps: tuple[int, ...]

    def infer(self, x: TensorType) -> TensorType:
        lengths = {len(self.axes), len(self.starts), len(self.sizes), len(self.steps)}
        x.require(
            len(lengths) == 1 and 0 not in self.steps, "one start, size and non-zero step for each axis"
        )
        shape = list(x.shape)
        for axis, start, size, step in zip(
            x.axes(self.axes), self.starts, self.sizes, self.steps, strict=True
        ):
            _require_inside(x, shape[axis], start, size, step)
            shape[axis] = size
        return x.with_shape(tuple(shape))

    def evaluate(self, x: Array) -> Array:
        index: list[slice] = [slice(None)] * x.ndim
        starts, sizes = dims.numbers(self.starts), dims.numbers(self.sizes)
        for axis, start, size, step in zip(self.axes, starts, sizes, self.steps, strict=True):
            _require_run(x.shape[axis], start, size, step)
            stop = start + size * step
            index[axis] = slice(start, stop if stop >= 0 else None, step) if size else slice(0, 0)
        return x[tuple(index)]


def _require_inside(x: TensorType, extent: Extent, start: Extent, size: Extent, step: int) -> None:
    x.require(
        not isinstance(size, int) or size >= 0, f"a size of {size} is not possible; a size of at least 0"
    )
    if size == 0:
        return
    last = start + (size - 1) * step
    for position in (start, last):
        room = extent - 1 - position
        low = not isinstance(position, int) or position >= 0
        x.require(low and (not isinstance(room, int) or room >= 0), f"an axis with an element {position}")


def _require_run(extent: int, start: int, size: int, step: int) -> None:
    # Symbolic bounds are checked here, where they have become numbers; NumPy would clamp them silently.
    last = start + (size - 1) * step
    if size < 0 or (size and not (0 <= start < extent and 0 <= last < extent)):
        raise InvalidModelError(
            f"a slice of {size} from {start} by {step} does not lie inside an axis of {extent}"
        )


@operator
class Gather(Op):
    """Slices of ``x`` along one axis: ``y[a..., i..., b...] = x[a..., indices[i...], b...]``.

    x: any type. indices: integers of any rank, negative ones count from the end.
    Returns ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``.
    """

    symbolic: ClassVar[bool] = True

    axis: int

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        indices.require_integer()
        axis = x.axis(self.axis)
        return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))

    def evaluate(self, x: Array, indices: Array) -> Array:
        return np.take(x, as_index(indices, x.shape[self.axis]), axis=self.axis)

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        if contents[1] is None or not all(isinstance(i, int) for i in contents[1].flat):
            return None
        return Op.content(self, types, contents)


@operator
class GatherElements(Op):
    """One element of ``x`` for each index: ``y[i, j, k] = x[i, indices[i, j, k], k]`` for ``axis=1``.

    x: any type. indices: integers of the same rank, no larger than ``x`` along the other axes; negative ones
    count from the end. Returns the shape of ``indices``.
    """

    axis: int

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        require_elements(x, indices, x.axis(self.axis))
        return x.with_shape(indices.shape)

    def evaluate(self, x: Array, indices: Array) -> Array:
        return x[element_index(x, indices, self.axis)]


@operator
class GatherND(Op):
    """Slices of ``x`` at index tuples: ``y[b..., i...] = x[b..., *indices[b..., i...]]``.

    x: any type. indices: integers; the last axis holds tuples of ``k`` positions into the axes of ``x`` that
    follow the ``batch_dims`` leading ones, which both have in common. Negative positions count from the end.
    Returns ``indices.shape[:-1] + x.shape[batch_dims + k:]``.
    """

    batch_dims: int = 0

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        return x.with_shape(
            (*indices.shape[:-1], *x.shape[self.batch_dims + tuple_length(x, indices, self.batch_dims) :])
        )

    def evaluate(self, x: Array, indices: Array) -> Array:
        return x[tuple_index(x, indices, self.batch_dims)]


def as_index(indices: Array, extent: int) -> Array:
    """Integers of any kind (of objects too) as NumPy's index type, checked against ``extent``.

    Raises:
        InvalidModelError: an index lies outside ``[-extent, extent)``.
    """
    index = np.asarray(indices).astype(np.intp)
    if index.size and not (-extent <= index.min() and index.max() < extent):
        raise InvalidModelError(f"an index of {index.min()}..{index.max()} is outside an axis of {extent}")
    return index


def require_elements(x: TensorType, indices: TensorType, axis: int) -> None:
    """Checks the operands that GatherElements and ScatterElements have in common."""
    indices.require_integer().require_rank(x.rank)
    for a, (have, want) in enumerate(zip(x.shape, indices.shape, strict=True)):
        fits = a == axis or not (isinstance(have, int) and isinstance(want, int)) or want <= have
        indices.require(fits, f"indices no larger than {x} outside axis {axis}")


def element_index(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """The fancy index that picks one element of ``x`` for each of ``indices``."""
    grid: list[Array] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = as_index(indices, x.shape[axis])
    return tuple(grid)


def tuple_length(x: TensorType, indices: TensorType, batch_dims: int = 0) -> int:
    """The length of the index tuples of GatherND and ScatterND, after checking what they have in common."""
    indices.require_integer().require(indices.rank > batch_dims >= 0, f"a rank above {batch_dims}")
    length = indices.shape[-1]
    if not isinstance(length, int) or not 1 <= length <= x.rank - batch_dims:
        raise InferenceError(
            f"index tuples of 1 to {x.rank - batch_dims} positions are needed, not {indices}"
        )
    for have, want in zip(x.shape[:batch_dims], indices.shape[:batch_dims], strict=True):
        difference = have - want
        indices.require(not isinstance(difference, int) or difference == 0, f"the batch axes of {x}")
    return length


def tuple_index(x: Array, indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    """The fancy index that picks a slice of ``x`` for each tuple along the last axis of ``indices``."""
    grid: list[Array] = list(np.indices(indices.shape[:-1], sparse=True))[:batch_dims]
    positions = [as_index(indices[..., k], x.shape[batch_dims + k]) for k in range(indices.shape[-1])]
    return (*grid, *positions)
