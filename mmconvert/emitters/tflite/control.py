"""TFLite rules for control flow."""

from __future__ import annotations

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops.control import If, While
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(If)
def if_(node: Node[If], out: Writer) -> None:
    branches = {
        "then_subgraph_index": out.subgraph(node.op.then_branch),
        "else_subgraph_index": out.subgraph(node.op.else_branch),
    }
    out(tfl.IF, node.inputs, node.outputs, **branches)


@rule(While)
def while_(node: Node[While], out: Writer) -> None:
    parts = {
        "cond_subgraph_index": out.subgraph(node.op.condition),
        "body_subgraph_index": out.subgraph(node.op.body),
    }
    out(tfl.WHILE, node.inputs, node.outputs, **parts)
