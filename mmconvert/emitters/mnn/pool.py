"""MNN rules for pooling."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.mnn.layouts import channels_first
from mmconvert.emitters.mnn.windows import CAFFE, heighten, higher, settle
from mmconvert.emitters.mnn.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import AveragePool, MaxPool, MaxPoolIndices
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_MAX, _AVERAGE = range(2)
_POOL_SAME = 2
_COUNT_PADDING, _COUNT_INSIDE = 1, 2


@rule(MaxPool, AveragePool)
@channels_first
def pool(node: Node[MaxPool | AveragePool], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if any(d != 1 for d in op.dilations):
        raise UnsupportedError("MNN has no dilated pooling")
    if not dtypes.is_float(x.type.dtype):
        raise UnsupportedError("MNN pools floats")
    if x.type.rank == 3:
        image = out.reshape(x, heighten(x.type.shape))
        inner = Value(y.type.with_shape(heighten(y.type.shape)), f"{out.scope}/row")
        wide: MaxPool | AveragePool = replace(
            op,
            kernel=(1, *op.kernel),
            strides=(1, *op.strides),
            dilations=(1, *op.dilations),
            padding=higher(op.padding),
        )
        _pool_2d(wide, image, inner, out)
        out.reshape_into(inner, y)
    elif x.type.rank == 4:
        _pool_2d(op, x, y, out)
    else:
        raise UnsupportedError(f"MNN pools over 1 or 2 axes, not {x.type.rank - 2}")


@rule(MaxPoolIndices)
def pool_indices(node: Node[MaxPoolIndices], out: Writer) -> None:
    """MNN counts in each plane from 0 on; what lies before a plane is added."""
    op, x, (y, positions) = node.op, node.operand(0), node.outputs
    if x.type.rank != 4 or any(d != 1 for d in op.dilations) or not dtypes.is_float(x.type.dtype):
        raise UnsupportedError("MNN finds maxima of images of floats, and not dilated")
    if op.storage_order:
        raise UnsupportedError("MNN counts positions in row-major order")
    pads = settle(op.padding, x.type.shape[2:], y.type.shape[2:], op.kernel, op.strides)
    if pads is None or any(pair != (0, 0) for pair in pads):
        raise UnsupportedError("MNN loses the positions of maxima in windows that reach into padding")
    batch, channels, *image = known(x.type.shape, "the shape of what is pooled")
    planes = np.arange(batch * channels, dtype=np.int32) * np.int32(math.prod(image))
    plain = MaxPool(
        kernel=op.kernel,
        strides=op.strides,
        dilations=op.dilations,
        padding=op.padding,
        ceil=op.ceil,
        layout=op.layout,
    )
    inside = Value(positions.type, f"{out.scope}/inside")
    _pool_2d(plain, x, y, out, inside)
    out.binary("ADD", inside, out.constant(planes.reshape(batch, channels, 1, 1)), positions)


def _pool_2d(
    op: MaxPool | AveragePool, x: Value, y: Value, out: Writer, positions: Value | None = None
) -> None:
    pads = settle(op.padding, x.type.shape[2:], y.type.shape[2:], op.kernel, op.strides)
    include = isinstance(op, AveragePool) and op.count_include_pad
    if include and pads is None:
        raise UnsupportedError("MNN counts the padding of a pool only where extents are known")
    if include and not isinstance(op.padding, Same) and pads != op.padding.pads:
        raise UnsupportedError("MNN counts what lies beyond the padding of a pool")
    if include and pads is not None and any(after > before for before, after in pads):
        raise UnsupportedError("MNN counts as much padding after as before")
    (top, bottom), (left, right) = pads or ((0, 0), (0, 0))
    out(
        "Pooling",
        (x,),
        (y,) if positions is None else (y, positions),
        packed=True,
        kernelX=op.kernel[1],
        kernelY=op.kernel[0],
        strideX=op.strides[1],
        strideY=op.strides[0],
        type=_AVERAGE if isinstance(op, AveragePool) else _MAX,
        padType=_POOL_SAME if pads is None else CAFFE,
        padX=left,
        padY=top,
        pads=[top, left, bottom, right],
        ceilModel=False,
        countType=_COUNT_PADDING if include else _COUNT_INSIDE,
    )
