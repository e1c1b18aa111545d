"""What an ORT file can express: what ONNX can."""

from __future__ import annotations

from mmconvert.emitters import onnx
from mmconvert.emitters.onnx import constraints
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op


def obstacle(node: Node[Op], *, opset: int = onnx.DEFAULT_OPSET) -> str | None:
    """Why ``opset`` cannot express ``node``, or None when it can.

    Raises:
        UsageError: ``opset`` cannot be written.
    """
    return constraints.obstacle(node, opset=opset)


settle = constraints.settle
