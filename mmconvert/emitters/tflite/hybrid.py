"""Which operators are written as hybrid ones: floats that the kernel quantizes itself, times integers.

::

    %1, %s, %z = DynamicQuantize(%x)
    %2 = Dequantize(%1, %s, %z)
    %3 = Conv(%2, Dequantize(%w, ...))     →    CONV_2D over the floats %x and the integers %w
"""

from __future__ import annotations

from collections.abc import Mapping

from mmconvert import dtypes
from mmconvert.emitters.tflite.grid import Grid, of_node
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, Dequantize, DynamicQuantize, Gemm, MatMul

OPTION = "asymmetric_quantize_inputs"


def source(real: Value) -> Node[DynamicQuantize] | None:
    """What quantizes the floats behind ``real`` as the kernels do; None when nothing does."""
    node = real.producer
    made = node.operand(0).producer if is_op(node, Dequantize) else None
    if node is None or not is_op(made, DynamicQuantize) or not is_op(node, Dequantize):
        return None
    op, zero = made.op, None if made.op.symmetric else made.outputs[2]
    whole = (*node.inputs[:2], node.optional(2)) == (*made.outputs[:2], zero) and node.op.axis == 0
    native = op.axis == 0 and op.dtype == dtypes.I8 and op.rounding != "half_even"
    return made if whole and native else None


def forms(node: Node[Op], grids: dict[Value, Grid]) -> dict[Value, Value]:
    """The floats and the stored weights behind the operands of a product; empty when it is no hybrid one."""
    if not is_op(node, Conv, Gemm, MatMul):
        return {}
    data, weight = node.operand(0), node.operand(1)
    made, producer = source(data), weight.producer
    if made is None or not is_op(producer, Dequantize):
        return {}
    stored, grid = producer.operand(0), of_node(producer)
    if stored.constant is None or grid is None or grid.zero.any() or stored.type.dtype != dtypes.I8:
        return {}
    own = Value(stored.type, stored.name, constant=stored.constant)
    grids[own] = grid
    return {data: made.operand(0), weight: own}


def is_hybrid(
    node: Node[Op], builtin: str, stored: Mapping[Value, Value], grids: Mapping[Value, Grid]
) -> bool:
    """True when the kernel of ``builtin`` quantizes its floats as ``node`` says, which has these forms."""
    made = source(node.operand(0))
    assert made is not None, "it has forms"
    scale = grids[stored[node.operand(1)]].scale
    if builtin == "CONV_2D":
        return made.op.symmetric == (not scale.ndim or bool((scale == scale[0]).all()))
    if builtin == "DEPTHWISE_CONV_2D":
        return not made.op.symmetric and scale.ndim == 1
    return builtin == "FULLY_CONNECTED"


def is_asymmetric(node: Node[Op]) -> bool:
    """True for a hybrid operator whose floats are quantized with a zero point."""
    made = source(node.operand(0)) if is_op(node, Conv, Gemm, MatMul) else None
    return made is not None and not made.op.symmetric
