"""Puts the branch that is always taken in the place of an If."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.passes.outcome import Outcome


def inline_constant_if(graph: Graph) -> Outcome:
    """Puts the branch that is always taken in the place of an If.

    ::

        %1 = If(true, x) {then_branch=@1 else_branch=@2}    →    %1 = Relu(x)
        graph @1 (a) -> { return Relu(a) }

    Declines when: the extents of the branch are not those that the graph around it was built for.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, ops.If):
            continue
        known = node.operand(0).content
        if known is None or not isinstance(known.item(), int):
            continue
        branch = node.op.then_branch if known.item() else node.op.else_branch
        if [v.type for v in branch.outputs] != [v.type for v in node.outputs]:
            outcome.decline(node, "its results have other extents than the branch that is taken")
            continue
        for old, new in zip(node.outputs, _inline(graph, node, branch), strict=True):
            graph.replace_uses(old, new)
        graph.remove(node)
        outcome.done += 1
    return outcome


def _inline(graph: Graph, node: Node[ops.If], branch: Graph) -> list[Value]:
    """Copies the nodes of ``branch`` to where ``node`` is; returns what they make of its operands."""
    outer = [node.operand(index) for index in range(1, len(node.inputs))]
    values: dict[Value, Value] = dict(zip(branch.inputs, outer, strict=True))

    def find(value: Value) -> Value:
        if value not in values:
            assert value.constant is not None
            values[value] = graph.constant(value.constant, value.name)
        return values[value]

    for part in branch:
        operands = [None if v is None else find(v) for v in part.inputs]
        copy = graph.add(part.op, operands, name=part.name, origin=part.origin, before=node)
        for old, new in zip(part.outputs, copy.outputs, strict=True):
            new.name, values[old] = old.name, new
    return [find(value) for value in branch.outputs]
