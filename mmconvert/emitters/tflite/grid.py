"""Scale and zero point of stored integers, as they stand in tensors of the file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.flat import Table
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Composite
from mmconvert.ir.ops.quantize import Scaled
from mmconvert.tensors import Array, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """``real = scale * (stored - zero)``.

    Attributes:
        scale: f32, a scalar or a vector along ``axis``.
        zero: i64, of the same shape.
        axis: 0 for scalars.
    """

    scale: Array
    zero: Array
    axis: int = 0

    def same(self, other: Grid) -> bool:
        """True when both mean the same numbers."""
        equal = np.array_equal(self.scale, other.scale) and np.array_equal(self.zero, other.zero)
        return equal and (self.axis == other.axis or not self.scale.ndim)

    def turned(self, perm: tuple[int, ...]) -> Grid:
        """The grid of the tensor with its axes in another order."""
        return replace(self, axis=perm.index(self.axis)) if self.scale.ndim else self

    def table(self) -> Table:
        """As the file has it."""
        return tfl.QUANTIZATION(
            scale=np.atleast_1d(self.scale),
            zero_point=np.atleast_1d(self.zero),
            quantized_dimension=self.axis,
        )

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        """Equal for grids that are the same."""
        return self.scale.tobytes(), self.zero.tobytes(), self.axis


class Dequantized(Tensor):
    """Constant f32 numbers that the file holds as integers.

    Moving the elements moves the integers; whatever computes with them gets plain numbers.

    Attributes:
        integers: what is held.
        grid: what it means.
    """

    __slots__ = ("grid", "integers")

    def __init__(self, integers: Tensor, grid: Grid) -> None:
        super().__init__(dtypes.F32, integers.shape, self._real)
        self.integers, self.grid = integers, grid

    def _real(self) -> Array:
        rest = (1,) * (len(self.shape) - 1 - self.grid.axis) if self.grid.scale.ndim else ()
        scale, zero = (np.reshape(v, (*v.shape, *rest)) for v in (self.grid.scale, self.grid.zero))
        centred = self.integers.numpy().astype(np.int64) - zero
        return np.asarray(centred.astype(np.float32) * scale, np.float32)

    def transpose(self, perm: tuple[int, ...]) -> Tensor:
        """The tensor with its axes in the order ``perm``."""
        return Dequantized(self.integers.transpose(perm), self.grid.turned(perm))

    def reshape(self, shape: tuple[int, ...]) -> Tensor:
        """The same values under another shape, over integers where the axis of the scales is still there."""
        axis, have = self.grid.axis, self.shape
        if self.grid.scale.ndim:
            before = math.prod(have[:axis])
            kept = [a for a, e in enumerate(shape) if e == have[axis] and math.prod(shape[:a]) == before]
            if not kept:
                return super().reshape(shape)
            axis = kept[0]
        return Dequantized(self.integers.reshape(shape), replace(self.grid, axis=axis))


def of_node(node: Node[Op], same_as: Grid | None = None) -> Grid | None:
    """The grid that a Quantize or Dequantize is about, when a file can hold it; None otherwise.

    Args:
        node: the node.
        same_as: it has to be this one.
    """
    op = node.op
    assert isinstance(op, Scaled)
    scale, zero = node.operand(1), node.optional(2)
    constants = [None if v is None else v.constant for v in (scale, zero)]
    if op.block or constants[0] is None or (zero is not None and constants[1] is None):
        return None
    if scale.type.dtype != dtypes.F32:
        return None
    scales = constants[0].numpy()
    zeros = (
        np.zeros(scales.shape, np.int64) if constants[1] is None else constants[1].numpy().astype(np.int64)
    )
    grid = Grid(scales, zeros, op.axis if scales.ndim else 0)
    return grid if same_as is None or grid.same(same_as) else None


def of_composite(node: Node[Composite]) -> dict[Value, Grid]:
    """What the stored operands and results of an operator mean."""
    ends = zip((*node.inputs, *node.outputs), node.op.grids, strict=True)
    return {value: of_numbers(*grid) for value, grid in ends if value is not None and grid[0]}


def of_numbers(scale: float, zero: int) -> Grid:
    """One scale and zero point."""
    return Grid(np.array(scale, np.float32), np.array(zero, np.int64))
