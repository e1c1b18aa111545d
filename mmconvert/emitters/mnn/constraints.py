"""What MNN can express: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from mmconvert.emitters.mnn.rules import RULES
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op


class Rehearsal(Writer):
    """Goes through everything that writing does, for operands that nobody has made."""

    def __init__(self) -> None:
        super().__init__()
        self.extents.assume_known = True

    def index(self, value: Value, *, packed: bool = False) -> int:
        """The index of a tensor, made when it is not there."""
        if value.constant is None and (value, packed) not in self._indices:
            return self._add(value, packed=packed)
        return super().index(value, packed=packed)


def obstacle(node: Node[Op]) -> str | None:
    """Why MNN cannot express ``node`` as it stands, or None when it can.

    The answer does not look beyond the node: sub-graphs of control flow are asked about node by node.
    """
    rule = RULES.find(type(node.op))
    if rule is None:
        return f"MNN has no {node.op.name}"
    try:
        rule(node, Rehearsal())
    except UnsupportedError as error:
        return error.message
    return None
