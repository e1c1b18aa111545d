"""TFLite rules for what recurrent layers are made of.

The layers themselves become a While: the fused sequence operators keep their state from one run to the next,
which no other format means by a layer, and take a fixed batch.
"""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import UpdateSlice
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(UpdateSlice)
def update_slice(node: Node[UpdateSlice], out: Writer) -> None:
    x, update, index = (node.operand(i) for i in range(3))
    rank = x.type.rank
    along = out.constant(np.eye(rank, dtype=np.int32)[node.op.axis])
    starts = out.make(tfl.MUL, (along, index), TensorType(dtypes.I32, (rank,)))
    out(tfl.DYNAMIC_UPDATE_SLICE, (x, update, starts), node.output)
