"""What ONNX can express: the rules themselves are asked, so that there is one truth."""

from __future__ import annotations

from mmconvert.emitters.onnx import DEFAULT_OPSET
from mmconvert.emitters.onnx.operators import RULES
from mmconvert.emitters.onnx.schema import check_opset
from mmconvert.emitters.onnx.writer import Scope, Writer
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op


def obstacle(node: Node[Op], *, opset: int = DEFAULT_OPSET) -> str | None:
    """Why ``opset`` cannot express ``node``, or None when it can.

    The node is written alone and thrown away: a rule must exist, accept the attributes, and write operators
    that the opset has, for element types that they take.

    Raises:
        UsageError: ``opset`` cannot be written.
    """
    check_opset(opset)
    out = Writer(RULES, opset, dry=True)
    out.scopes.append(Scope(node.graph))
    out.write(node)
    return out.problems[0].what.removeprefix(f"{node.op.name}: ") if out.problems else None
