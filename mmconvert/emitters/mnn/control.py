"""MNN rules for control flow.

A graph inside an operator has the names ``name/i0``, ``name/i1``, ... for its inputs and ``name/o0``, ... for
its outputs; an operator's parameters refer to them.
"""

from __future__ import annotations

from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.mnn.schema import table
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.control import If, Loop, While
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")

_FOR_EVER = 1 << 30
_NUMBER, _FLAG = TensorType(dtypes.I32, ()), TensorType(dtypes.BOOL, ())


@rule(If)
def if_(node: Node[If], out: Writer) -> None:
    branches = [out.subgraph(part) for part in (node.op.then_branch, node.op.else_branch)]
    given = [table("StringVec")]
    given += [table("StringVec", data=[f"{b}/i{i}" for b in branches]) for i in range(len(node.inputs) - 1)]
    made = [table("StringVec", data=[f"{b}/o{i}" for b in branches]) for i in range(len(node.outputs))]
    names: dict[str, Any] = dict(zip(("then_graph", "else_graph"), branches, strict=True))
    operands = [v for v in node.inputs if v is not None]
    out("If", operands, node.outputs, **names, aliases_inputs=given, aliases_outputs=made)


@rule(While)
def while_(node: Node[While], out: Writer) -> None:
    """MNN's loop asks before the first round, and after that its body says whether there is another."""
    op, state = node.op, [v for v in node.inputs if v is not None]
    (goes_on,) = out.inline(op.condition, state)

    def write(inner: Writer) -> tuple[list[Value], list[Value]]:
        taken = [Value(v.type) for v in state]
        given = [Value(_NUMBER), Value(_FLAG), *taken]
        inner.inputs(given)
        made = inner.inline(op.body, taken)
        return given, [*inner.inline(op.condition, made), *made]

    out(
        "While",
        (out.constant([_FOR_EVER], dtypes.I32), goes_on, *state),
        node.outputs,
        body_graph=out.part(write),
    )


@rule(Loop)
def loop(node: Node[Loop], out: Writer) -> None:
    """What is the same in each round is state that does not change."""
    op, (count, condition, *operands) = node.op, node.inputs
    if len(op.body.outputs) - 1 > op.carried:
        raise UnsupportedError("MNN's loop collects nothing")
    inputs = [v for v in operands if v is not None]

    def write(inner: Writer) -> tuple[list[Value], list[Value]]:
        given = [Value(v.type) for v in op.body.inputs]
        inner.inputs(given)
        return given, [*inner.inline(op.body, given), *given[2 + op.carried :]]

    rounds = out.constant([_FOR_EVER], dtypes.I32) if count is None else out.reshape(count, (1,))
    first = out.constant(1, dtypes.I32) if condition is None else condition
    unused = [Value(v.type, f"{out.scope}/unchanged") for v in inputs[op.carried :]]
    out("While", (rounds, first, *inputs), (*node.outputs, *unused), body_graph=out.part(write))
