"""MNN rules for regions of images."""

from __future__ import annotations

from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import RoiAlign
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_AVERAGE = 1
_AS_LONG_AS_THE_BIN = -1


@rule(RoiAlign)
def roi_align(node: Node[RoiAlign], out: Writer) -> None:
    op, operands = node.op, [node.operand(i) for i in range(3)]
    if op.mode != "avg":
        raise UnsupportedError("MNN takes the maximum of the samples, not of their weighted neighbours")
    out(
        "ROIAlign",
        operands,
        node.output,
        packed=True,
        pooledWidth=op.width,
        pooledHeight=op.height,
        spatialScale=op.scale,
        samplingRatio=op.ratio or _AS_LONG_AS_THE_BIN,
        aligned=op.half_pixel,
        poolType=_AVERAGE,
    )
