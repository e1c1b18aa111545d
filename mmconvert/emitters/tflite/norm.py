"""TFLite rules for the normalizations that it has."""

from __future__ import annotations

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import LRN, L2Normalization
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_EPSILON = 1e-12
"""What L2_NORMALIZATION compares the sum of squares with; it cannot be set."""


@rule(L2Normalization)
def l2_normalization(node: Node[L2Normalization], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    if op.axes != (x.type.rank - 1,) or op.epsilon != _EPSILON:
        raise UnsupportedError("TFLite normalizes the last axis, with an epsilon of 1e-12")
    out(tfl.L2_NORMALIZATION, (x,), node.output)


@rule(LRN)
def local_response_normalization(node: Node[LRN], out: Writer) -> None:
    """Over the last of four axes; TFLite does not divide alpha by the size of the window."""
    op, x, y = node.op, node.operand(0), node.output
    if x.type.rank != 4 or op.size % 2 == 0:
        raise UnsupportedError("TFLite's LOCAL_RESPONSE_NORMALIZATION has four axes and an odd window")
    options = {"radius": op.size // 2, "bias": op.bias, "alpha": op.alpha / op.size, "beta": op.beta}
    if op.axis == 3:
        out(tfl.LOCAL_RESPONSE_NORMALIZATION, (x,), y, **options)
        return
    last = (*range(op.axis), *range(op.axis + 1, 4), op.axis)
    turned = out.transpose(x, last)
    normal = out.make(tfl.LOCAL_RESPONSE_NORMALIZATION, (turned,), turned.type, **options)
    out.transpose_into(normal, tuple(last.index(a) for a in range(4)), y)
