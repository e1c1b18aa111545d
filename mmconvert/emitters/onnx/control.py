"""Control flow."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_COUNT, _CONDITION = TensorType(dtypes.I64, ()), TensorType(dtypes.BOOL, ())


@rule(ops.If)
def if_(node: Node[ops.If], out: Writer) -> None:
    # The branches of ONNX have no inputs: they read the values around them by name.
    names = [out.name(node.operand(i)) for i in range(1, len(node.inputs))]
    bodies = {}
    for branch in ("then_branch", "else_branch"):
        graph: Graph = getattr(node.op, branch)
        with out.nested(branch) as body:
            for name, value in zip(out.inline(graph, names), graph.outputs, strict=True):
                out.give(body, name, value.type)
        bodies[branch] = body
    out("If", node.operand(0), into=node, **bodies)


@rule(ops.Loop)
def loop(node: Node[ops.Loop], out: Writer) -> None:
    op, graph = node.op, node.op.body
    operands = [node.operand(i) for i in range(2, len(node.inputs))]
    state, constant = operands[: op.carried], operands[op.carried :]
    outside = [out.name(v) for v in constant]
    with out.nested("body") as body:
        names = [out.take(body, v.name or "state", v.type) for v in graph.inputs[: 2 + len(state)]]
        for name, value in zip(out.inline(graph, [*names, *outside]), graph.outputs, strict=True):
            out.give(body, name, value.type)
    out("Loop", node.optional(0), node.optional(1), *state, into=node, body=body)


@rule(ops.Scan)
def scan(node: Node[ops.Scan], out: Writer) -> None:
    op, graph = node.op, node.op.body
    operands = [node.operand(i) for i in range(len(node.inputs))]
    count = op.carried + len(op.axes)
    outside = [out.name(v) for v in operands[count:]]
    with out.nested("body") as body:
        names = [out.take(body, v.name or "slice", v.type) for v in graph.inputs[:count]]
        for name, value in zip(out.inline(graph, [*names, *outside]), graph.outputs, strict=True):
            out.give(body, name, value.type)
    out(
        "Scan",
        *operands[:count],
        into=node,
        body=body,
        num_scan_inputs=len(op.axes),
        scan_input_axes=op.axes,
        scan_input_directions=[int(r) for r in op.reverse],
        scan_output_axes=op.output_axes or None,
        scan_output_directions=[int(r) for r in op.output_reverse] or None,
    )


@rule(ops.While)
def while_(node: Node[ops.While], out: Writer) -> None:
    # ONNX evaluates the condition at the end of the body, for the next round; the first time it is done here.
    op, state = node.op, [node.operand(i) for i in range(len(node.inputs))]
    (begins,) = out.inline(op.condition, [out.name(v) for v in state])
    with out.nested("body") as body:
        out.take(body, "round", _COUNT)
        out.take(body, "goes_on", _CONDITION)
        names = [out.take(body, v.name or "state", v.type) for v in op.body.inputs]
        names = out.inline(op.body, names)
        (goes_on,) = out.inline(op.condition, names)
        out.give(body, goes_on, _CONDITION)
        for name, value in zip(names, state, strict=True):
            out.give(body, name, value.type)
    out("Loop", None, begins, *state, into=node, body=body)
