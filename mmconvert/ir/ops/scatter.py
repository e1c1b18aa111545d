"""Operators that write elements at given positions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.indexing import element_index, require_elements, tuple_index, tuple_length
from mmconvert.ir.types import Array, TensorType

Reduction = Literal["none", "add", "mul", "max", "min"]


@operator
class ScatterElements(Op):
    """``x`` with ``y[i, indices[i, j, k], k]`` set to ``updates[i, j, k]`` (for ``axis=1``).

    x: any type. indices: integers of the rank of ``x``, no larger than it along the other axes; negative
    ones count from the end. updates: the type of ``x`` and the shape of ``indices``. With a ``reduction`` the
    update is combined with what stands there, each in turn where positions repeat; without, the last stays.
    """

    axis: int
    reduction: Reduction = "none"

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        require_elements(x, indices, x.axis(self.axis))
        _require_updates(x, indices.shape, updates)
        return x

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        return _scatter(x, element_index(x, indices, self.axis), updates, self.reduction)


@operator
class ScatterND(Op):
    """``x`` with the slices at index tuples set: ``y[*indices[i...]] = updates[i...]``.

    x: any type. indices: integers; the last axis holds tuples of ``k`` positions into the first ``k`` axes.
    updates: the type of ``x``, of shape ``indices.shape[:-1] + x.shape[k:]``. With a ``reduction`` the
    update is combined with what stands there, each in turn where positions repeat; without, the last stays.
    """

    reduction: Reduction = "none"

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        length = tuple_length(x, indices)
        _require_updates(x, (*indices.shape[:-1], *x.shape[length:]), updates)
        return x

    def evaluate(self, x: Array, indices: Array, updates: Array) -> Array:
        return _scatter(x, tuple_index(x, indices), updates, self.reduction)


_UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _scatter(x: Array, index: tuple[Array, ...], updates: Array, reduction: Reduction) -> Array:
    y = x.copy()
    if reduction == "none":
        y[index] = updates
    else:
        _UFUNCS[reduction].at(y, index, updates)
    return y


def _require_updates(x: TensorType, shape: tuple[object, ...], updates: TensorType) -> None:
    fits = len(shape) == updates.rank and all(
        have == want or not (isinstance(have, int) and isinstance(want, int))
        for have, want in zip(updates.shape, shape, strict=False)
    )
    updates.require(
        fits and updates.dtype == x.dtype, f"updates of shape {list(shape)} and of the type of {x}"
    )
