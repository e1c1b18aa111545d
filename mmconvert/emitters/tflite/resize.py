"""TFLite rules for resizing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.conv import heighten
from mmconvert.emitters.tflite.grid import of_node
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Dequantize, Quantize, Resize
from mmconvert.ir.ops.sampling import FIXED_POINT
from mmconvert.ir.types import Array, Extent, Layout
from mmconvert.passes.match import only_user
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@dataclass(frozen=True, slots=True)
class _Grid:
    """A way to place samples that TFLite's resizing operators have."""

    align_corners: bool
    half_pixel_centers: bool

    def positions(self, extent: int, size: int) -> Array:
        """Where the kernels place the samples, in their own single precision."""
        if self.align_corners and size > 1:
            scale = np.float32(extent - 1) / np.float32(size - 1)
        else:
            scale = np.float32(extent) / np.float32(size)
        shift = np.float32(0.5 if self.half_pixel_centers else 0)
        places: Array = (np.arange(size, dtype=np.float32) + shift) * scale
        return places

    def nearest(self, extent: int, size: int) -> Array:
        """The element that each sample takes."""
        places = self.positions(extent, size)
        rounded = np.floor(places + np.float32(0.5)) if self.align_corners else np.floor(places)
        return np.minimum(rounded, extent - 1)

    def linear(self, extent: int, size: int) -> Array:
        """The place between two elements that each sample weighs, held inside."""
        shift = 0.5 if self.half_pixel_centers else 0.0
        return np.clip(self.positions(extent, size) - shift, 0, extent - 1)


_GRIDS = (_Grid(False, True), _Grid(False, False), _Grid(True, False))
_BY_COORDINATES = dict(zip(FIXED_POINT, (_GRIDS[0], _GRIDS[2], _GRIDS[1]), strict=True))
_SAMPLES = ((2, 3), (3, 2), (4, 7), (7, 4), (5, 5), (3, 6), (5, 15), (6, 3), (1, 4), (4, 1))
"""Extents and sizes on which any two of the formulas differ, to tell them apart where neither is known."""


@rule(Resize)
def resize(node: Node[Resize], out: Writer) -> None:
    """By RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR where they take the same samples."""
    op, x, y = node.op, node.operand(0), node.output
    grid = _fixed_point_grid(node) if op.position_bits else _grid(op, x)
    rank = x.type.rank
    if rank == 3 and op.axes == (1,):
        image, result = (v.type.with_shape(heighten(v.type.shape)) for v in (x, y))
        inner = Value(result, f"{out.scope}/rows")
        _write(op, grid, out.reshape(x, image.shape), inner, out)
        out.reshape_into(inner, y)
    elif rank == 4 and set(op.axes) <= {1, 2}:
        _write(op, grid, x, y, out)
    elif rank == 4 and set(op.axes) <= {2, 3}:
        to, back = Layout.NCHW.permutation_to(Layout.NHWC, 4), Layout.NHWC.permutation_to(Layout.NCHW, 4)
        inner = Value(y.type.with_shape(tuple(y.type.shape[a] for a in to)), f"{out.scope}/nhwc")
        _write(op, grid, out.transpose(x, to), inner, out)
        out.transpose_into(inner, back, y)
    else:
        raise UnsupportedError(f"TFLite does not resize the axes {op.axes} of {x.type}")


def _write(op: Resize, grid: _Grid, x: Value, y: Value, out: Writer) -> None:
    out(
        tfl.RESIZE_NEAREST_NEIGHBOR if op.mode == "nearest" else tfl.RESIZE_BILINEAR,
        (x, out.extents.vector(y.type.shape[1:3])),
        y,
        align_corners=grid.align_corners,
        half_pixel_centers=grid.half_pixel_centers,
    )


def _grid(op: Resize, x: Value) -> _Grid:
    """The grid that takes the samples of ``op`` along every axis.

    Raises:
        UnsupportedError: there is none.
    """
    simple = not (op.antialias or op.exclude_outside) and op.coordinates != "tf_crop_and_resize"
    if op.mode in ("nearest", "linear") and simple:
        for grid in _GRIDS:
            if all(_agrees(op, i, x.type.shape[axis], grid) for i, axis in enumerate(op.axes)):
                return grid
    raise UnsupportedError(f"TFLite has no resizing with {op.mode}, {op.coordinates} and these extents")


def _fixed_point_grid(node: Node[Resize]) -> _Grid:
    """The grid of the kernel for i8, which computes positions with 10 bits behind the point.

    Raises:
        UnsupportedError: the operator does not stand between integers, or has other positions.
    """
    op, before, after = node.op, node.operand(0).producer, only_user(node.output)
    if is_op(before, Dequantize) and is_op(after, Quantize) and before.operand(0).type.dtype == dtypes.I8:
        grid, result = of_node(before), of_node(after)
        same = grid is not None and result is not None and grid.same(result)
        if same and op.mode == "linear" and op.position_bits == 10 and op.axes == (1, 2):
            return _BY_COORDINATES[op.coordinates]
    raise UnsupportedError("TFLite has positions in fixed-point arithmetic only of the kernel for i8")


def _agrees(op: Resize, index: int, extent: Extent, grid: _Grid) -> bool:
    pairs = list(_pairs(extent, op.sizes[index], op.scales[index] if op.scales else None))
    if not pairs:
        return False
    exact = isinstance(extent, int) and isinstance(op.sizes[index], int)
    for length, size in pairs:
        along = replace(op, axes=(0,), sizes=(size,), scales=op.scales[index : index + 1] if exact else ())
        # Of a ramp, interpolation gives the places and picking gives the indices that were sampled.
        sampled = along.evaluate(np.arange(length, dtype=np.float64))
        expected = (grid.nearest if op.mode == "nearest" else grid.linear)(length, size)
        tolerance = 0.0 if op.mode == "nearest" else 1e-6 * max(length, size)
        if not np.allclose(sampled, expected, rtol=0, atol=tolerance):
            return False
    return True


def _pairs(extent: Extent, size: Extent, scale: float | None) -> Iterator[tuple[int, int]]:
    """Extents and sizes that the samples are to be compared for; none where that proves nothing."""
    if isinstance(extent, int) and isinstance(size, int):
        yield extent, size
    elif scale is None:
        yield from _SAMPLES
    elif scale == int(scale) and size == extent * int(scale):
        # A whole factor: which element is taken depends on the place within the factor only.
        yield from ((length, length * int(scale)) for length in range(1, 6))
