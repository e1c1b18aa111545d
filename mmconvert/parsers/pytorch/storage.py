"""Tensors where they lie: a run of bytes, and how the elements stand in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.tensors import Array, Tensor

MAX_RANK, MAX_EXTENT = 64, 1 << 63
"""No tensor has more axes, nor longer ones."""

FREE_COUNT = 1 << 24
"""A tensor of more elements than this may not have more than its storage."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a storage that others may share.

    Attributes:
        data: the bytes of the storage.
        dtype: element type.
        shape, strides, offset: in elements.
    """

    data: memoryview
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @property
    def span(self) -> int:
        """How many elements of the storage lie between the first and the last of the tensor."""
        if not math.prod(self.shape):
            return 0
        return 1 + sum((e - 1) * s for e, s in zip(self.shape, self.strides, strict=True))

    @property
    def address(self) -> int:
        """Where the storage begins in memory."""
        found: int = (
            np.frombuffer(self.data, np.uint8).__array_interface__["data"][0] if len(self.data) else 0
        )
        return found

    @property
    def place(self) -> tuple[Any, ...]:
        """Equal for tensors that are one and the same."""
        return self.address, self.dtype, self.shape, self.strides, self.offset

    def require_room(self, name: str, where: str) -> None:
        """Makes sure that all elements are inside of the storage.

        Raises:
            InvalidModelError: they are not, or an expanded tensor is far larger than its storage.
        """
        numbers = (self.offset, *self.shape, *self.strides)
        if len(numbers) > 2 * MAX_RANK or not all(0 <= number < MAX_EXTENT for number in numbers):
            raise InvalidModelError(f"{name} does not have the elements of this shape", where=where)
        room, count = len(self.data) // self.dtype.itemsize, math.prod(self.shape)
        if self.offset + self.span > room or count > max(room, FREE_COUNT):
            raise InvalidModelError(f"{name} has {room} elements, and not those of {self.shape}", where=where)

    def tensor(self) -> Tensor:
        """The tensor, over the bytes of the storage."""
        if not self.span:
            return Tensor.of(np.empty(self.shape, self.dtype))
        flat = np.frombuffer(self.data, self.dtype, self.span, self.offset * self.dtype.itemsize)
        return Tensor.of(strided(flat, self.shape, self.strides))


def row_major_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of elements that stand in row-major order."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def strided(flat: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view of the elements of ``flat``, whose strides are counted in elements and stay inside of it."""
    steps = tuple(stride * flat.itemsize for stride in strides)
    view: Array = np.ndarray(shape, flat.dtype, flat.view(np.uint8), 0, steps)  # as_strided lacks float8
    view.flags.writeable = False
    return view
