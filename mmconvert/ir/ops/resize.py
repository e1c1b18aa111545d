"""Resize: sampling on another grid, axis by axis, by the formulas of ONNX and TensorFlow."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import cast

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.indexing import Gather
from mmconvert.ir.ops.logic import Where
from mmconvert.ir.ops.matmul import MatMul
from mmconvert.ir.ops.sampling import FIXED_POINT, Axis, Coordinates, Mode, Nearest, Samples, apply, sample
from mmconvert.ir.ops.shape import Expand, Reshape, Unsqueeze, natural
from mmconvert.ir.ops.unary import Cast
from mmconvert.ir.types import Array, DType, Extent, Shape, TensorType


@operator
class Resize(Op):
    """``x`` sampled at ``sizes`` positions along ``axes``.

    Position ``i`` of ``size`` along an axis of ``extent`` lies at, with ``scale = size / extent`` unless the
    source gave one in ``scales``:

    ========================  ==================================================================
    coordinates               place in ``x``
    ========================  ==================================================================
    ``half_pixel``            ``(i + 0.5) / scale - 0.5``
    ``half_pixel_symmetric``  the same about the middle: ``+ extent / 2 * (1 - size / (scale * extent))``
    ``pytorch_half_pixel``    ``half_pixel``, and 0 when ``size`` is 1
    ``align_corners``         ``i * (extent - 1) / (size - 1)``, and 0 when ``size`` is 1
    ``asymmetric``            ``i / scale``
    ``tf_half_pixel_for_nn``  ``(i + 0.5) / scale``
    ``tf_crop_and_resize``    ``(start + i * (end - start) / (size - 1)) * (extent - 1)`` for the
                              ``roi`` (start, end); ``(start + end) / 2 * (extent - 1)`` when
                              ``size`` is 1
    ========================  ==================================================================

    ``nearest`` takes the element there, rounded as ``nearest`` says; ``linear`` and ``cubic`` (with
    ``cubic_coeff``) weigh the 2 or 4 nearest. Beyond the edge the edge goes on; with ``exclude_outside`` its
    weight is shared among the others instead; ``tf_crop_and_resize`` gives ``extrapolation_value`` there.
    With ``antialias`` the filter widens by ``1 / scale`` where that is above 1.

    With ``position_bits`` positions are fixed-point numbers with that many bits behind the point: of
    ``half_pixel``, ``align_corners`` and ``asymmetric`` without ``scales``, multiples of the step between two
    samples, which is rounded to as many bits first (TensorFlow Lite's kernels for 8 bits).

    x: any type for ``nearest``, floating for the others. TensorFlow's and Keras's nearest neighbour with half
    pixel centres is ``tf_half_pixel_for_nn`` with ``floor``.
    """

    axes: tuple[int, ...]
    sizes: tuple[Extent, ...]
    scales: tuple[float, ...] = ()
    mode: Mode
    coordinates: Coordinates
    nearest: Nearest = "round_prefer_floor"
    cubic_coeff: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation_value: float = 0.0
    roi: tuple[tuple[float, float], ...] = ()
    position_bits: int = 0

    def infer(self, x: TensorType) -> TensorType:
        axes = (x if self.mode == "nearest" else x.require_float()).axes(self.axes)
        counts = {len(self.sizes), len(axes), len(self.scales) or len(axes), len(self.roi) or len(axes)}
        x.require(len(counts) == 1, "one size, scale and region for each axis")
        x.require(bool(self.roi) or self.coordinates != "tf_crop_and_resize", "a region to crop")
        # A filter as wide as the inverse of a scale is built: a broken file is not to ask for all the memory.
        x.require(
            all(1e-6 < s < 1e6 for s in self.scales), f"scales of a sensible size instead of {self.scales}"
        )
        fixed = self.coordinates in FIXED_POINT and not self.scales and 0 <= self.position_bits <= 20
        x.require(fixed or not self.position_bits, f"positions that can have {self.position_bits} bits")
        shape = list(x.shape)
        for axis, size in zip(axes, natural(self.sizes), strict=True):
            x.require(not isinstance(size, int) or size == 0 or shape[axis] != 0, "something to sample")
            shape[axis] = size
        return x.with_shape(tuple(shape))

    def evaluate(self, x: Array) -> Array:
        wide = np.float32 if dtypes.is_float(x.dtype) and x.itemsize < 4 else x.dtype
        y = x if self.mode == "nearest" else x.astype(wide, copy=False)
        found = self._samples(x.shape, y.dtype)
        # The axes that shrink go first: less is left for the others to do.
        for axis in sorted(found, key=lambda a: len(found[a].index) / x.shape[a]):
            y = apply(y, axis, found[axis])
        return self._extrapolated(y, found).astype(x.dtype, copy=False)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """Gathers for ``nearest``, matrix products for the others, where the resized extents are known.

        Of extents that are not known, whole numbers of copies of each element.
        """
        extents = {axis: x.type.shape[axis] for axis in self.axes}
        if not all(isinstance(e, int) for e in (*extents.values(), *self.sizes)):
            return self._repeated(b, x)
        if dtypes.is_float(x.type.dtype) and x.type.dtype.itemsize < 4 and self.mode != "nearest":
            return b(Cast(to=x.type.dtype), b(self, b(Cast(to=dtypes.F32), x)))
        found = self._samples(x.type.shape, np.dtype(np.float64))
        y = x
        for axis in sorted(found, key=lambda a: len(found[a].index) / max(cast(int, extents[a]), 1)):
            samples, extent = found[axis], cast(int, extents[axis])
            if samples.is_identity(extent):
                continue
            if samples.weights is None:
                y = b(Gather(axis=axis), y, samples.index[:, 0].astype(np.int64))
            else:
                y = along(b, y, axis, samples.matrix(extent).astype(y.type.dtype))
        outside = _outside(found, len(y.type.shape))
        if not outside.any():
            return y
        return b(Where(), np.ascontiguousarray(outside), np.array(self.extrapolation_value, x.type.dtype), y)

    def _repeated(self, b: Builder, x: Value) -> Value | None:
        """Every element as often as the scale says; None where it is not that."""
        shape, y = x.type.shape, x
        if self.mode != "nearest" or not self.scales or self.coordinates == "tf_crop_and_resize":
            return None
        for i, (axis, size, scale) in enumerate(zip(self.axes, self.sizes, self.scales, strict=True)):
            factor = int(scale)
            if factor != scale or size != shape[axis] * factor or not self._repeats(i, factor):
                return None
            have = y.type.shape
            wide = b(Unsqueeze(axes=(axis + 1,)), y)
            copies = b(Expand(shape=(*have[: axis + 1], factor, *have[axis + 1 :])), wide)
            y = b(Reshape(shape=(*have[:axis], size, *have[axis + 1 :])), copies)
        return y

    def _repeats(self, index: int, factor: int) -> bool:
        """True when an axis becomes ``factor`` copies of each element; short ramps show it."""
        line = replace(self, axes=(0,), scales=self.scales[index : index + 1])
        ramps = [np.arange(extent) for extent in range(1, 6)]
        return all(
            np.array_equal(replace(line, sizes=(len(r) * factor,)).evaluate(r), np.repeat(r, factor))
            for r in ramps
        )

    def _samples(self, shape: Shape, dtype: DType) -> dict[int, Samples]:
        """Which elements each axis reads, and with which weights; ``shape`` is known there."""
        found = {}
        for i, (axis, size) in enumerate(zip(self.axes, dims.numbers(self.sizes), strict=True)):
            scale = self.scales[i] if self.scales else None
            region = self.roi[i] if self.roi else (0.0, 1.0)
            line = Axis(cast(int, shape[axis]), size, scale, region, self.position_bits)
            found[axis] = sample(
                line,
                dtype,
                mode=self.mode,
                coordinates=self.coordinates,
                nearest=self.nearest,
                cubic_coeff=self.cubic_coeff,
                exclude_outside=self.exclude_outside,
                antialias=self.antialias,
            )
        return found

    def _extrapolated(self, y: Array, found: dict[int, Samples]) -> Array:
        if not any(samples.outside.any() for samples in found.values()):
            return y
        return np.where(_outside(found, y.ndim), y.dtype.type(self.extrapolation_value), y)


def _outside(found: dict[int, Samples], rank: int) -> Array:
    """Which output positions lie outside ``x``; broadcasts against the output."""
    masks = [
        samples.outside.reshape([-1 if a == axis else 1 for a in range(rank)])
        for axis, samples in found.items()
    ]
    return reduce(np.logical_or, masks, np.zeros((1,) * rank, dtype=bool))


def along(b: Builder, x: Value, axis: int, matrix: Array) -> Value:
    """``x`` with ``matrix`` [size, extent] applied along ``axis``: what is behind it becomes the columns."""
    shape = x.type.shape
    if axis == len(shape) - 1:
        return b(MatMul(), x, b.constant(np.ascontiguousarray(matrix.T)))
    if axis == len(shape) - 2:
        return b(MatMul(), b.constant(matrix), x)
    flat = b(Reshape(shape=(*shape[: axis + 1], dims.product(shape[axis + 1 :]))), x)
    product = b(MatMul(), b.constant(matrix), flat)
    return b(Reshape(shape=(*shape[:axis], matrix.shape[0], *shape[axis + 1 :])), product)
