"""Weights in a quarter or an eighth of the bytes, for targets that widen them when they load the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose, Gemm, MatMul
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.passes.store_weights_as_float16 import SMALLEST, place
from mmconvert.tensors import Array, Tensor

BLOCK = 32
"""How many weights share a scale where there are 4 bits for each."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """The integers that weights are rounded to.

    The element of the largest magnitude becomes ``end``. Where the numbers on both sides of 0 are not as
    many, that is the end of the longer side, so that all of them are used: a scale may then be negative.
    """

    dtype: DType
    end: int
    least: int
    most: int
    block: int = 0

    def scale(self, blocks: Array) -> Array:
        """What a unit is worth in each of the blocks along the last axis; not finite where they are not."""
        low, high = blocks.min(axis=-1, keepdims=True), blocks.max(axis=-1, keepdims=True)
        extreme = np.where(high >= -low, high, low)
        if self.least == -self.most:
            extreme = np.abs(extreme)
        scale: Array = np.where(extreme == 0, np.float32(1), extreme / np.float32(self.end))
        return scale


_GRIDS = {8: _Grid(dtypes.I8, 127, -127, 127), 4: _Grid(dtypes.BY_NAME["i4"], -8, -8, 7, BLOCK)}


def store_weights_as_integers(bits: int) -> Pass:
    """A pass that rounds float32 weights of products to integers, kept in ``Tensor.stored`` and ``scale``.

    ::

        %1 = MatMul(x, %w: f32)     →    %1 = MatMul(x, %v: f32)        # %v = integers * scales

    Integers of 8 bits have a scale for each filter; those of 4 bits for each ``BLOCK`` weights of a filter,
    where its weights are a multiple of that. The graph still computes with float32 constants.

    Declines when: the weights of a product are not finite, or of a transposed convolution.
    """
    grid = _GRIDS[bits]
    rounded: dict[tuple[Tensor, int], Tensor | str] = {}

    def store(graph: Graph) -> Outcome:
        outcome = Outcome()
        for node in list(graph):
            weight = _weight(node)
            if weight is None or weight.constant is None:
                continue
            tensor, axis = weight.constant, _filters(node)
            if (tensor, axis) not in rounded:
                rounded[tensor, axis] = (
                    "stays float32: a filter of a transposed convolution does not lie in one piece"
                    if is_op(node, ConvTranspose)
                    else _rounded(tensor, axis, grid)
                )
            found = rounded[tensor, axis]
            if isinstance(found, str):
                outcome.declined.append((place(weight), found))
            else:
                graph.set_input(node, 1, graph.constant(found, weight.name))
                outcome.done += 1
        return outcome

    store.__name__ = f"store_weights_as_int{bits}"
    return store


def _weight(node: Node[Op]) -> Value | None:
    """The constant matrix or kernel of a product, if it is large enough to be worth the rounding."""
    if not is_op(node, Conv, ConvTranspose, Gemm, MatMul):
        return None
    weight = node.operand(1)
    tensor = weight.constant
    if tensor is None or tensor.dtype != dtypes.F32 or tensor.stored or tensor.size < SMALLEST:
        return None
    return weight if weight.type.rank == 2 or is_op(node, Conv, ConvTranspose) else None


def _filters(node: Node[Op]) -> int:
    """The axis of a weight along which there is one filter after the other."""
    return 1 if is_op(node, MatMul) or (is_op(node, Gemm) and not node.op.transpose_b) else 0


def _rounded(tensor: Tensor, axis: int, grid: _Grid) -> Tensor | str:
    """``tensor`` rounded, or why it cannot be."""
    perm = (axis, *(i for i in range(len(tensor.shape)) if i != axis))
    turned = tensor.transpose(perm)
    matrix = turned.reshape((tensor.shape[axis], tensor.size // tensor.shape[axis]))
    width = matrix.shape[1]
    block = grid.block if grid.block and width % grid.block == 0 else width
    shape = (matrix.shape[0], width // block, block)
    scale = grid.scale(matrix.numpy().reshape(shape))
    if not np.isfinite(scale).all():
        return "stays float32: it has elements that are not finite"

    def integers() -> Array:
        whole = np.rint(matrix.numpy().reshape(shape) / scale)
        return np.clip(whole, grid.least, grid.most).astype(np.int8).reshape(matrix.shape)

    def values() -> Array:
        return (integers().reshape(shape) * scale).reshape(matrix.shape)

    made = Tensor(dtypes.F32, matrix.shape, values)
    made.stored = Tensor(grid.dtype, matrix.shape, lambda: integers().astype(grid.dtype))
    made.scale = Tensor(dtypes.F32, matrix.shape, lambda: np.broadcast_to(scale, shape).reshape(matrix.shape))
    return made.reshape(turned.shape).transpose(tuple(int(i) for i in np.argsort(perm)))
