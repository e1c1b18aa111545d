"""What can be written in PyTorch: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import TORCH_TYPES
from mmconvert.emitters.pytorch.layers import Layers
from mmconvert.emitters.pytorch.rules import RULES
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op


def obstacle(node: Node[Op]) -> str | None:
    """Why PyTorch cannot express ``node`` as it stands, or None when it can."""
    out = Writer(RULES, Layers(), dry=True)
    for value in node.outputs:
        if value.type.dtype not in TORCH_TYPES:
            return f"PyTorch does not compute with {dtypes.name(value.type.dtype)}"
    if out.write_node(node):
        return None
    return out.problems[0].what.removeprefix(f"{node.op.name}: ")
