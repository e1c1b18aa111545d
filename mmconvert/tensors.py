"""Weights: lazy, read-only tensors that are loaded when they are needed and not before.

A ``Tensor`` knows its type at once and its bytes on demand. ``numpy()`` of a memory-mapped tensor copies
nothing; of a derived tensor (``transpose``, ``map``) it computes on each call and keeps nothing, so a
conversion holds one tensor at a time however large the model is. Memory-mapped pages that were looked at are
given back now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mmconvert.dtypes import F16, F32, DType
from mmconvert.errors import InvalidModelError
from mmconvert.files import release_pages

Array = npt.NDArray[Any]

_BLOCK = 1 << 22  # bytes of a block
_FEWEST_ROWS = 64  # of a block whose elements lie apart: it walks over the pages of the whole
_TILE = 256  # rows and columns of a matrix that stay in the L2 cache
_LINE = 64  # bytes of a line of the cache
_RESIDENT = 1 << 26  # bytes of weights that may be looked at before mapped pages are given back

_seen = 0


class Tensor:
    """A constant: element type, shape, and a way to its values.

    Attributes:
        dtype: element type.
        shape: extents.
        stored: the tensor of a narrower element type that this one was widened from, and that has the same
            values; None where there is none. A file may hold that one, and widen it when it is read.
        scale: what a unit of each element of ``stored`` is worth, where that holds integers: the values are
            their product.
    """

    __slots__ = ("_array", "_load", "_view", "dtype", "scale", "shape", "stored")

    def __init__(self, dtype: DType, shape: tuple[int, ...], load: Callable[[], Array]) -> None:
        """
        Args:
            dtype: element type.
            shape: extents.
            load: returns an array of exactly this dtype and shape; called at every ``numpy()``.
        """
        self.dtype, self.shape = dtype, shape
        self.stored: Tensor | None = None
        self.scale: Tensor | None = None
        self._load = load
        self._view = self.numpy  # the values, wherever they lie
        self._array: Array | None = None

    @classmethod
    def of(cls, array: npt.ArrayLike) -> Tensor:
        """A tensor over an array in memory (or memory-mapped), which becomes read-only."""
        view = np.asarray(array).view()
        view.flags.writeable = False
        tensor = cls(view.dtype, view.shape, lambda: view)
        tensor._array = view
        return tensor

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes of the values, unpacked."""
        return self.size * self.dtype.itemsize

    @property
    def in_memory(self) -> bool:
        """True when ``numpy()`` costs nothing."""
        return self._array is not None

    def numpy(self) -> Array:
        """The values, as a read-only array.

        Raises:
            InvalidModelError: the bytes behind the tensor do not have the type they were announced with.
        """
        _count(self.nbytes)
        if self._array is not None:
            return self._array
        array = np.asarray(self._load())  # arithmetic makes a scalar of an array without axes
        if array.dtype != self.dtype or array.shape != self.shape:
            raise InvalidModelError(
                f"a weight announced as {self.dtype}{list(self.shape)} is {array.dtype}{list(array.shape)}"
            )
        view = array.view()
        view.flags.writeable = False
        return view

    def blocks(self) -> Iterator[Array]:
        """The elements in row-major order, as vectors of some megabytes; all but the last in multiples of 8.

        A mapped tensor is gone through without ever being in memory as a whole, transposed or not.
        """
        array = self._view()
        if not array.flags.c_contiguous and array.size:
            yield from _turned_blocks(array)
            return
        flat = array.reshape(-1)
        step = _BLOCK // self.dtype.itemsize
        for start in range(0, flat.size, step):
            part = flat[start : start + step]
            yield part
            _count(part.nbytes)

    def map(
        self,
        function: Callable[[Array], Array],
        *,
        dtype: DType | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Tensor:
        """A tensor whose values are ``function`` of these, computed when asked for.

        Small tensors are computed at once: a chain of closures would cost more than the bytes.
        """
        dtype = self.dtype if dtype is None else dtype
        shape = self.shape if shape is None else shape
        derived = Tensor(dtype, shape, lambda: function(self.numpy()))
        if self.in_memory and self.nbytes <= 4096:
            return Tensor.of(derived.numpy())
        return derived

    def rearrange(self, function: Callable[[Array], Array], shape: tuple[int, ...]) -> Tensor:
        """A tensor of some of these elements, or zeros, in other places; so are ``stored`` and ``scale``."""
        moved = self.map(function, shape=shape)
        moved.stored = self.stored and self.stored.rearrange(function, shape)
        moved.scale = self.scale and self.scale.rearrange(function, shape)
        return moved

    def transpose(self, perm: tuple[int, ...]) -> Tensor:
        """The tensor with its axes in the order ``perm``, contiguous when read."""
        if perm == tuple(range(len(perm))):
            return self
        shape = tuple(self.shape[p] for p in perm)
        moved = self.rearrange(lambda a: row_major(a.transpose(perm)), shape)
        for source, tensor in ((self, moved), (self.stored, moved.stored)):
            if source and tensor and not tensor.in_memory:
                tensor._view = partial(_transposed, source, perm)
        return moved

    def reshape(self, shape: tuple[int, ...]) -> Tensor:
        """The same values in row-major order under another shape."""
        return self if shape == self.shape else self.rearrange(lambda a: a.reshape(shape), shape)

    def cast(self, dtype: DType) -> Tensor:
        """The values converted to ``dtype``."""
        if dtype == self.dtype:
            return self
        converted = self.map(lambda a: a.astype(dtype), dtype=dtype)
        if (self.dtype, dtype) == (F16, F32):
            converted.stored = self
        return converted


def _transposed(tensor: Tensor, perm: tuple[int, ...]) -> Array:
    return tensor._view().transpose(perm)


def row_major(array: Array) -> Array:
    """``array`` itself when its elements lie in row-major order, else a copy in which they do.

    A matrix goes tile by tile: NumPy would walk along whole columns, and miss the cache at each element.
    """
    if array.flags.c_contiguous:
        return array
    made = np.empty(array.shape, array.dtype)
    matrix = array.reshape(_merged(array))
    if matrix.ndim == 2:
        _turn(matrix, made.reshape(matrix.shape))
    else:
        made[...] = array
    return made


def _merged(array: Array) -> tuple[int, ...]:
    """The extents with neighbouring axes taken for one where their elements lie like those of one."""
    axes: list[tuple[int, int]] = []
    for extent, stride in zip(array.shape, array.strides, strict=True):
        if axes and axes[-1][1] == extent * stride:
            axes[-1] = axes[-1][0] * extent, stride
        elif extent != 1:
            axes.append((extent, stride))
    return tuple(extent for extent, _ in axes)


def _turn(matrix: Array, made: Array) -> None:
    """Copies a matrix whose columns are contiguous.

    Rows that lie a power of two apart share few places in the cache, so a tile is read into rows that do not.
    """
    tile = np.empty((_TILE, _TILE + _LINE // matrix.itemsize), matrix.dtype)
    for row in range(0, matrix.shape[0], _TILE):
        for column in range(0, matrix.shape[1], _TILE):
            part = matrix[row : row + _TILE, column : column + _TILE].T
            near = tile[: part.shape[0], : part.shape[1]]
            near[...] = part
            made[row : row + _TILE, column : column + _TILE] = near.T


def _turned_blocks(array: Array) -> Iterator[Array]:
    """The elements of an array that does not lie in row-major order, some of the first axis at a time."""
    step = max(_FEWEST_ROWS, _BLOCK * array.shape[0] // array.nbytes // 8 * 8)
    for start in range(0, array.shape[0], step):
        part = row_major(array[start : start + step]).reshape(-1)
        yield part
        _count(part.nbytes)


def _count(nbytes: int) -> None:
    """Notes that ``nbytes`` bytes of weights are looked at."""
    global _seen
    _seen += nbytes
    if _seen > _RESIDENT:
        _seen = 0
        release_pages()
