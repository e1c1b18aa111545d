"""What TFLite can express: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from mmconvert.emitters.tflite.rehearsal import Rehearsal
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op


def obstacle(node: Node[Op]) -> str | None:
    """Why TFLite cannot express ``node`` as it stands, or None when it can.

    The answer does not look beyond the node: sub-graphs of control flow are asked about node by node.
    """
    rule = RULES.find(type(node.op))
    if rule is None:
        return f"TFLite has no {node.op.name}"
    try:
        rule(node, Rehearsal())
    except UnsupportedError as error:
        return error.message
    return None
