"""Writing into a tensor at a position that the run decides."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.attention import positions
from mmconvert.ir.ops.logic import Equal, Where, require_same_dtype
from mmconvert.ir.ops.shape import Unsqueeze
from mmconvert.ir.types import Array, TensorType


@operator
class UpdateSlice(Op):
    """``x`` with ``update`` in the place of its slice ``index`` along ``axis``.

    x: any type. update: the type of ``x``, with extent 1 along ``axis``. index: i32 scalar, from
    0 on.
    """

    axis: int

    def infer(self, x: TensorType, update: TensorType, index: TensorType) -> TensorType:
        axis = x.axis(self.axis)
        require_same_dtype(x, update.require_rank(x.rank))
        update.require(update.shape[axis] == 1, f"extent 1 along axis {axis}")
        index.require(index.dtype == dtypes.I32, "an i32 index").require_rank(0)
        return x

    def evaluate(self, x: Array, update: Array, index: Array) -> Array:
        y = np.array(x)
        y[(slice(None),) * self.axis + (slice(int(index), int(index) + 1),)] = update
        return y

    def decompose(self, b: Builder, x: Value, update: Value, index: Value) -> Value:
        """The update where the position along the axis is the index."""
        here = b(Equal(), positions(b, x, self.axis, dtypes.I32), index)
        behind = tuple(range(1, x.type.rank - self.axis))
        return b(Where(), b(Unsqueeze(axes=behind), here) if behind else here, update, x)
