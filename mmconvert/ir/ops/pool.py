"""Pooling: a number for each window, over any number of spatial axes, in either layout."""

from __future__ import annotations

import math
from typing import TypedDict

from mmconvert import dtypes
from mmconvert.ir import geometry
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Padding, Pads
from mmconvert.ir.graph import Value
from mmconvert.ir.kernels import average_pool, lp_pool, max_pool, max_pool_indices
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Mul, Pow
from mmconvert.ir.ops.conv import require_windows
from mmconvert.ir.ops.unary import Abs
from mmconvert.ir.types import Array, Layout, TensorType


@operator
class MaxPool(Op):
    """The largest element of each window; padding never wins.

    x: numeric, ``N C spatial`` or ``N spatial C``. Output extents: ``ir.geometry.windows``; with ``ceil`` the
    last window may hang over the padded input.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        return _infer(self, x.require_numeric())

    def evaluate(self, x: Array) -> Array:
        return max_pool(x, **_windows(self, x))


@operator
class MaxPoolIndices(Op):
    """MaxPool, and where in ``x`` each maximum was found.

    x: numeric, ``N C spatial`` (the only layout). Returns the maxima and i64 positions in the whole of
    ``x``, counted in row-major order, or with ``storage_order`` 1 with the first spatial axis varying fastest
    (ONNX). Among equals the first position in row-major order wins.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout
    storage_order: int = 0

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        x.require_numeric().require(self.layout is Layout.NCHW, "the layout NCHW")
        values = _infer(self, x)
        return values, values.with_dtype(dtypes.I64)

    def evaluate(self, x: Array) -> tuple[Array, Array]:
        return max_pool_indices(x, **_windows(self, x), column_major=bool(self.storage_order))


@operator
class AveragePool(Op):
    """The mean of each window.

    x: floating, ``N C spatial`` or ``N spatial C``. The divisor counts the elements inside ``x``, and with
    ``count_include_pad`` those of the padding as well; where a window hangs over the padding because of
    ``ceil``, what lies beyond is never counted (PyTorch, ONNX).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    count_include_pad: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        return _infer(self, x.require_float())

    def evaluate(self, x: Array) -> Array:
        return average_pool(x, **_windows(self, x), count_include_pad=self.count_include_pad)


@operator
class LpPool(Op):
    """The p-norm of each window: ``(sum |x|^p)^(1/p)``; padding is 0.

    x: floating, ``N C spatial`` or ``N spatial C``.
    """

    p: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    ceil: bool = False
    layout: Layout

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require(self.p >= 1, "a norm of order 1 or more")
        return _infer(self, x)

    def evaluate(self, x: Array) -> Array:
        return lp_pool(x, p=self.p, **_windows(self, x))

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """A mean of ``|x|^p``, times the window's size; not where windows may hang over the padding."""
        if self.ceil:
            return None
        mean = AveragePool(
            kernel=self.kernel,
            strides=self.strides,
            dilations=self.dilations,
            padding=self.padding,
            count_include_pad=True,
            layout=self.layout,
        )
        total = b(Mul(), b(mean, b(Pow(), b(Abs(), x), float(self.p))), float(math.prod(self.kernel)))
        return b(Pow(), total, 1 / self.p)


Pool = MaxPool | MaxPoolIndices | AveragePool | LpPool


def _infer(op: Pool, x: TensorType) -> TensorType:
    x.require(x.rank >= 3, "a batch, a channel and a spatial axis")
    require_windows(x, op.strides, op.dilations, op.padding)
    x.require(
        len(op.kernel) == x.rank - 2 and min(op.kernel) >= 1,
        "one positive kernel extent for each spatial axis",
    )
    axes = op.layout.spatial_axes(x.rank)
    covered = geometry.dilated(op.kernel, op.dilations)
    found = geometry.windows([x.shape[a] for a in axes], covered, op.strides, op.padding, ceil=op.ceil)
    shape = list(x.shape)
    for axis, extent in zip(axes, found, strict=True):
        shape[axis] = extent
    return x.with_shape(tuple(shape))


class _Windows(TypedDict):
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads
    out: tuple[int, ...]
    channels_last: bool


def _windows(op: Pool, x: Array) -> _Windows:
    """What every pooling kernel wants to know about its windows over ``x``."""
    axes = op.layout.spatial_axes(x.ndim)
    found = _infer(op, TensorType(x.dtype, x.shape)).static_shape
    covered = geometry.dilated(op.kernel, op.dilations)
    return {
        "kernel": op.kernel,
        "strides": op.strides,
        "dilations": op.dilations,
        "pads": geometry.resolve(op.padding, [x.shape[a] for a in axes], covered, op.strides),
        "out": tuple(found[a] for a in axes),
        "channels_last": op.layout is Layout.NHWC,
    }
