"""TFLite rules for operators that move elements."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.layouts import channels_last
from mmconvert.emitters.tflite.positions import as_index
from mmconvert.emitters.tflite.windows import pad_table
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    BatchToSpace,
    BitCast,
    Concat,
    DepthToSpace,
    Expand,
    Fill,
    Range,
    Reshape,
    Reverse,
    ReverseSequence,
    Shape,
    SpaceToBatch,
    SpaceToDepth,
    Split,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(Reshape, Squeeze, Unsqueeze)
def reshape(node: Node[Op], out: Writer) -> None:
    out.reshape_into(node.operand(0), node.output)


@rule(Transpose)
def transpose(node: Node[Transpose], out: Writer) -> None:
    out.transpose_into(node.operand(0), node.op.perm, node.output)


@rule(Expand)
def expand(node: Node[Expand], out: Writer) -> None:
    out(tfl.BROADCAST_TO, (node.operand(0), out.extents.vector(node.op.shape)), node.output)


@rule(Concat)
def concat(node: Node[Concat], out: Writer) -> None:
    operands = [node.operand(index) for index in range(len(node.inputs))]
    grid = next((out.grids[v] for v in (node.output, *operands) if v in out.grids), None)
    if grid is not None and node.output not in out.forms:
        # Plain integers, put side by side; the kernel wants to read everywhere that they mean the same.
        out.grids.setdefault(node.output, grid)
        operands = [out.on_grid(v, grid) for v in operands]
    out(tfl.CONCATENATION, operands, node.output, axis=node.op.axis)


@rule(Split)
def split(node: Node[Split], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    axis = out.constant(op.axis, dtypes.I32)
    if len(set(op.sizes)) == 1:
        out(tfl.SPLIT, (axis, x), node.outputs, num_splits=len(op.sizes))
    else:
        sizes = out.extents.vector(op.sizes)
        out(tfl.SPLIT_V, (x, sizes, axis), node.outputs, num_splits=len(op.sizes))


@rule(Tile)
def tile(node: Node[Tile], out: Writer) -> None:
    out(tfl.TILE, (node.operand(0), out.extents.vector(node.op.repeats)), node.output)


@rule(Shape)
def shape(node: Node[Shape], out: Writer) -> None:
    out(tfl.SHAPE, (node.operand(0),), node.output, out_type=tensor_type(node.output.type.dtype))


@rule(Reverse)
def reverse(node: Node[Reverse], out: Writer) -> None:
    """Neighbouring axes at once: the kernel has no others."""
    x, axes = node.operand(0), sorted(node.op.axes)
    if not axes:
        out.copy(x, node.output)
        return
    runs: list[list[int]] = []
    for axis in axes:
        if runs and axis == runs[-1][-1] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    for run in runs[:-1]:
        x = out.make(tfl.REVERSE_V2, (x, out.integers(run)), x.type)
    out(tfl.REVERSE_V2, (x, out.integers(runs[-1])), node.output)


@rule(DepthToSpace)
@channels_last
def depth_to_space(node: Node[DepthToSpace], out: Writer) -> None:
    """In the order DCR; from CRD the channels are put in that order first."""
    op, x = node.op, node.operand(0)
    if op.mode == "CRD":
        channels = x.type.shape[-1]
        if not isinstance(channels, int):
            raise UnsupportedError("the number of channels of a DepthToSpace is not known")
        cells = op.block * op.block
        order = np.arange(channels, dtype=np.int32).reshape(channels // cells, cells).T.reshape(-1)
        x = out.make(tfl.GATHER, (x, out.constant(order)), x.type, axis=3)
    out(tfl.DEPTH_TO_SPACE, (x,), node.output, block_size=op.block)


@rule(SpaceToDepth)
@channels_last
def space_to_depth(node: Node[SpaceToDepth], out: Writer) -> None:
    out(tfl.SPACE_TO_DEPTH, (node.operand(0),), node.output, block_size=node.op.block)


@rule(SpaceToBatch)
def space_to_batch(node: Node[SpaceToBatch], out: Writer) -> None:
    _require_blocks(node.operand(0).type.rank, node.op.block)
    operands = (node.operand(0), out.integers(node.op.block), pad_table(out, node.op.pads))
    out(tfl.SPACE_TO_BATCH_ND, operands, node.output)


@rule(BatchToSpace)
def batch_to_space(node: Node[BatchToSpace], out: Writer) -> None:
    _require_blocks(node.operand(0).type.rank, node.op.block)
    operands = (node.operand(0), out.integers(node.op.block), pad_table(out, node.op.crops))
    out(tfl.BATCH_TO_SPACE_ND, operands, node.output)


def _require_blocks(rank: int, block: tuple[int, ...]) -> None:
    if rank not in (3, 4) or len(block) != rank - 2:
        raise UnsupportedError("TFLite moves blocks of one or two axes into the batch, channels being last")


@rule(Fill)
def fill(node: Node[Fill], out: Writer) -> None:
    op = node.op
    value = out.constant(np.asarray(op.value, op.dtype))
    out(tfl.FILL, (out.extents.vector(op.shape), value), node.output)


@rule(Range)
def range_(node: Node[Range], out: Writer) -> None:
    if node.op.size == 0:  # the kernel insists on a limit beyond the start
        out(tfl.FILL, (out.integers((0,)), node.operand(0)), node.output)
    else:
        out(tfl.RANGE, node.inputs, node.output)


@rule(ReverseSequence)
def reverse_sequence(node: Node[ReverseSequence], out: Writer) -> None:
    x, lengths, op = node.operand(0), as_index(node.operand(1), out), node.op
    out(tfl.REVERSE_SEQUENCE, (x, lengths), node.output, seq_dim=op.time_axis, batch_dim=op.batch_axis)


@rule(BitCast)
def bit_cast(node: Node[BitCast], out: Writer) -> None:
    out(tfl.BITCAST, (node.operand(0),), node.output)
