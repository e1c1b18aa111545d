"""The memory of values that are over, handed to new ones of the same shape.

Fresh memory is slow: the kernel finds and clears a page at every first touch, and none of it is in a cache.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LIMIT = 1 << 24
"""How many bytes a pool keeps at most: the large early layers of a CNN."""

SCRATCH = 1 << 22
"""How many bytes of scratch memory a thread keeps at most."""

_state = threading.local()


class Pool:
    """Arrays without a user, newest last.

    Args:
        limit: how many bytes they may be.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._free: list[Array] = []
        self._bytes = 0

    def give(self, array: Array) -> None:
        """Takes over an array that owns its memory and that nobody else refers to.

        One whose elements lie in another order is left alone: whoever reshapes memory to write into it would
        write into a copy.
        """
        if array.nbytes > self._limit or not array.flags.c_contiguous:
            return
        self._free.append(array)
        self._bytes += array.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._free.pop(0).nbytes

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array with arbitrary elements."""
        for index in range(len(self._free) - 1, -1, -1):
            array = self._free[index]
            if array.shape == shape and array.dtype == dtype:
                self._bytes -= array.nbytes
                return self._free.pop(index)
        return np.empty(shape, dtype)


@contextmanager
def pooled(pool: Pool | None) -> Iterator[None]:
    """Lets ``empty`` take from ``pool`` in this thread; None lets it take from nowhere."""
    before = getattr(_state, "pool", None)
    _state.pool = pool
    try:
        yield
    finally:
        _state.pool = before


def empty(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """``np.empty``, from the pool where there is one."""
    pool: Pool | None = getattr(_state, "pool", None)
    return np.empty(shape, dtype) if pool is None else pool.take(tuple(shape), np.dtype(dtype))


def scratch(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """A contiguous array with arbitrary elements that the next call in this thread overwrites."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    if nbytes > SCRATCH:
        return np.empty(shape, dtype)
    buffer: Array | None = getattr(_state, "scratch", None)
    if buffer is None or buffer.nbytes < nbytes:
        buffer = _state.scratch = np.empty(nbytes, np.uint8)
    return buffer[:nbytes].view(dtype).reshape(shape)
