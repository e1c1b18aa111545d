"""Random sliding windows, and arrays in either layout, for the kernel tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Geometry:
    """One sliding window: what every kernel takes by keyword, and the extents it slides over."""

    extents: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def rank(self) -> int:
        return len(self.extents)

    @property
    def reach(self) -> tuple[int, ...]:
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Windows of rank 1 to 3 that fit into the padded input at least once."""
    rank = draw(st.integers(1, 3))
    axes = []
    for _ in range(rank):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        least = max(1, (kernel - 1) * dilation + 1 - before - after)
        axes.append(
            (draw(st.integers(least, least + 6)), kernel, draw(st.integers(1, 4)), dilation, (before, after))
        )
    return Geometry(*zip(*axes, strict=True))


def normal(seed: int, *shape: int, dtype: npt.DTypeLike = np.float64) -> Array:
    """Normal random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def to_last(a: Array) -> Array:
    """`[A, B, *rest]` to a contiguous `[A, *rest, B]`."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1))


def to_first(a: Array) -> Array:
    """`[A, *rest, B]` to `[A, B, *rest]`, a view."""
    return np.moveaxis(a, -1, 1)
