"""The arithmetic of Resize along one axis: where each output lies, what it reads, and with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, assert_never

import numpy as np

from mmconvert.dtypes import F32
from mmconvert.ir.types import Array, DType

Mode = Literal["nearest", "linear", "cubic"]
Coordinates = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
]
Nearest = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]

FIXED_POINT: tuple[Coordinates, ...] = ("half_pixel", "align_corners", "asymmetric")
"""The formulas that have a form in fixed-point arithmetic."""

_TIE = 1e-6  # what ONNX Runtime allows a position to be away from half way between two elements
_DENSE = 4  # taps from which on a dense matrix product beats a sum over taps


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis to resize: from ``extent`` to ``size``, by ``scale`` where the source gave one.

    Positions have ``bits`` behind the point where they are fixed-point numbers, which is where that is not 0.
    """

    extent: int
    size: int
    scale: float | None
    region: tuple[float, float]
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """What the outputs along an axis read.

    Attributes:
        index: ``[size, taps]``, positions inside the axis.
        weights: ``[size, taps]``, or None where each output is one element.
        outside: ``[size]``, the outputs that lie outside the axis and read nothing.
    """

    index: Array
    weights: Array | None
    outside: Array

    def is_identity(self, extent: int) -> bool:
        """True when the outputs are the ``extent`` elements as they are."""
        if len(self.index) != extent:
            return False
        chosen = self.index[:, 0]
        if self.weights is not None:
            # A weight of 1 leaves nothing for the other taps, in every mode.
            best = np.argmax(self.weights, axis=1)[:, None]
            if np.any(np.take_along_axis(self.weights, best, axis=1) != 1):
                return False
            chosen = np.take_along_axis(self.index, best, axis=1)[:, 0]
        return bool(np.array_equal(chosen, np.arange(extent)))

    def matrix(self, extent: int) -> Array:
        """``[size, extent]``: the same as a matrix to multiply the axis with."""
        assert self.weights is not None
        dense = np.zeros((len(self.index), extent), dtype=self.weights.dtype)
        np.add.at(dense, (np.arange(len(self.index))[:, None], self.index), self.weights)
        return dense


def apply(x: Array, axis: int, samples: Samples) -> Array:
    """``x`` sampled along ``axis``."""
    extent = x.shape[axis]
    if samples.is_identity(extent):
        return x
    if samples.weights is None:
        return np.take(x, samples.index[:, 0], axis=axis)
    if samples.index.shape[1] > _DENSE:
        matrix = samples.matrix(extent)
        if axis == x.ndim - 1:
            return np.asarray(x @ matrix.T)
        rows = x.reshape(*x.shape[:axis], extent, -1)
        return np.asarray(matrix @ rows).reshape(*x.shape[:axis], len(matrix), *x.shape[axis + 1 :])
    tail = (1,) * (x.ndim - 1 - axis)
    total: Array | None = None
    for index, weights in zip(samples.index.T, samples.weights.T, strict=True):
        part = np.take(x, index, axis=axis)
        part *= weights.reshape(-1, *tail)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def sample(
    axis: Axis,
    dtype: DType,
    *,
    mode: Mode,
    coordinates: Coordinates,
    nearest: Nearest,
    cubic_coeff: float,
    exclude_outside: bool,
    antialias: bool,
) -> Samples:
    """What every output along ``axis`` reads, with weights of the floating ``dtype``.

    For ``nearest``, and for what lies outside, positions are in single precision whatever the ``dtype``: so
    they are in every runtime, and a double precision run is to read the same elements.
    """
    single = positions(axis, coordinates, F32).astype(np.float64)
    outside = np.zeros(axis.size, dtype=bool)
    if coordinates == "tf_crop_and_resize":
        outside = (single < 0) | (single > axis.extent - 1)
    if mode == "nearest":
        index = _ROUNDED[nearest](single)[:, None].astype(np.intp)
        return Samples(np.clip(index, 0, axis.extent - 1), None, outside)
    where = positions(axis, coordinates, dtype).astype(np.float64)
    stretch = min(axis.scale or axis.size / axis.extent, 1.0) if antialias else 1.0
    index, weights = _taps(where, stretch, mode, cubic_coeff)
    if exclude_outside:
        weights = np.where((index >= 0) & (index < axis.extent), weights, 0)
    if exclude_outside or stretch < 1:
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
    return Samples(np.clip(index, 0, axis.extent - 1), weights.astype(dtype), outside)


_ROUNDED: dict[Nearest, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda where: np.ceil(where - 0.5 - _TIE),
    "round_prefer_ceil": lambda where: np.floor(where + 0.5 + _TIE),
}


def positions(axis: Axis, coordinates: Coordinates, dtype: DType) -> Array:
    """Where each output lies, in elements of the input, as the floating ``dtype``.

    Without a scale every position is one division of whole numbers, rounded once. A given scale has been
    rounded already; then each step is rounded to ``dtype``, as the runtimes do: 3 / 0.6 is 5 in single
    precision, although the single precision 0.6 is a little more than that.
    """
    n, m = axis.extent, axis.size
    if axis.bits:
        return _fixed_point(axis, coordinates).astype(dtype)
    i = np.arange(m, dtype=np.float64)
    if axis.scale is not None and coordinates not in ("align_corners", "tf_crop_and_resize"):
        return _scaled(axis, coordinates, dtype.type(axis.scale), i.astype(dtype))
    match coordinates:
        case "half_pixel" | "half_pixel_symmetric":
            where = ((2 * i + 1) * n - m) / (2 * m)
        case "pytorch_half_pixel":
            where = ((2 * i + 1) * n - m) / (2 * m) if m > 1 else np.zeros(m)
        case "align_corners":
            where = i * (n - 1) / (m - 1) if m > 1 else np.zeros(m)
        case "asymmetric":
            where = i * n / m
        case "tf_half_pixel_for_nn":
            where = (2 * i + 1) * n / (2 * m)
        case "tf_crop_and_resize":
            start, end = axis.region
            step = (end - start) / (m - 1) if m > 1 else 0.0
            where = ((start if m > 1 else (start + end) / 2) + i * step) * (n - 1)
        case _:
            assert_never(coordinates)
    return where.astype(dtype)


def _fixed_point(axis: Axis, coordinates: Coordinates) -> Array:
    """Multiples of a step that is rounded itself; half a step is rounded downwards."""
    corners = coordinates == "align_corners" and axis.size > 1
    extent, size = (axis.extent - corners, axis.size - corners)
    one = 1 << axis.bits
    step = (one * extent + size // 2) // size if size else 0
    start = step // 2 - one // 2 if coordinates == "half_pixel" else 0
    return np.asarray((np.arange(axis.size) * step + start) / one)


def _scaled(axis: Axis, coordinates: Coordinates, scale: np.floating[Any], i: Array) -> Array:
    if coordinates == "asymmetric":
        return np.asarray(i / scale)
    if coordinates == "pytorch_half_pixel" and axis.size == 1:
        return np.zeros_like(i)
    if coordinates == "tf_half_pixel_for_nn":
        return np.asarray((i + 0.5) / scale)
    where = np.asarray((i + 0.5) / scale - 0.5)
    if coordinates == "half_pixel_symmetric":
        kept = i.dtype.type(axis.size) / (scale * i.dtype.type(axis.extent))
        where += i.dtype.type(axis.extent / 2) * (1 - kept)
    return where


def _taps(where: Array, stretch: float, mode: Mode, cubic_coeff: float) -> tuple[Array, Array]:
    """The elements within the filter's reach of each position, and the filter's values there."""
    reach = (1 if mode == "linear" else 2) / stretch
    first = np.floor(where - reach).astype(np.intp) + 1
    index = first[:, None] + np.arange(math.ceil(2 * reach))
    distance = np.abs(index - where[:, None]) * stretch
    if mode == "linear":
        return index, np.maximum(1 - distance, 0)
    return index, _cubic(distance, cubic_coeff)


def _cubic(d: Array, a: float) -> Array:
    """Keys' kernel (Cubic convolution interpolation for digital image processing, 1981)."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
