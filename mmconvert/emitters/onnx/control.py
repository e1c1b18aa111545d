"""Control flow."""

from __future__ import annotations

from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.If)
def if_(node: Node[ops.If], out: Writer) -> None:
    # The branches of ONNX have no inputs: they read the values around them by name.
    names = [out.name(node.operand(i)) for i in range(1, len(node.inputs))]
    branches = [out.body(graph, node, names) for graph in (node.op.then_branch, node.op.else_branch)]
    out("If", node.operand(0), into=node, then_branch=branches[0], else_branch=branches[1])


@rule(ops.Loop)
def loop(node: Node[ops.Loop], out: Writer) -> None:
    out("Loop", *node.inputs, into=node, body=out.body(node.op.body, node))
