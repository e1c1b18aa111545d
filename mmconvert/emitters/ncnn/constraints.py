"""What NCNN can express: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from mmconvert.emitters.ncnn.rules import RULES
from mmconvert.emitters.ncnn.writer import Writer, require_carried
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op


def obstacle(node: Node[Op]) -> str | None:
    """Why NCNN cannot express ``node`` as it stands, or None when it can."""
    rule = RULES.find(type(node.op))
    if rule is None:
        return f"NCNN has no {node.op.name}"
    try:
        for value in node.outputs:
            require_carried(value.type)
        rule(node, Writer(dry=True))
    except UnsupportedError as error:
        return error.message
    return None
