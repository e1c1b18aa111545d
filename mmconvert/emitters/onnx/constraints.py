"""What ONNX can express: the rules themselves are asked, so that there is one truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mmconvert.emitters.onnx import DEFAULT_OPSET
from mmconvert.emitters.onnx.operators import RULES
from mmconvert.emitters.onnx.quantize import FOUR_BITS, SINCE_BLOCKS
from mmconvert.emitters.onnx.schema import NEWEST, check_opset
from mmconvert.emitters.onnx.writer import Scope, Writer
from mmconvert.errors import Problem, UnsupportedError, merge_problems
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph, Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Dequantize
from mmconvert.passes.legalize import legalize
from mmconvert.passes.pipeline import subgraphs


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


def settle(graph: Graph, *, opset: int | None = None) -> dict[str, int]:
    """The opset to write ``graph`` at, as an option of ``obstacle``.

    That is the one asked for; without one, the lowest from the default on that can express the graph and
    keeps weights as small as they are.

    Raises:
        UsageError: ``opset`` cannot be written.
        UnsupportedError: the opset cannot express the graph, or none can. Everything it lacks is listed, and
            the hint names the lowest opset that does not lack any of it.
    """
    parts = [*subgraphs(graph), graph]
    first = opset or max(DEFAULT_OPSET, *(_keeping(node) for part in parts for node in part), 0)
    if all(obstacle(node, opset=first) is None for part in parts for node in part):
        return {"opset": first}
    problems = _lacking(parts, first)
    if not problems:
        return {"opset": first}
    for candidate in range(first + 1, NEWEST + 1):
        lacking = _lacking(parts, candidate)
        if lacking and opset is None:
            problems = lacking  # what even the newest lacks is the reason
        elif not lacking and opset is None:
            return {"opset": candidate}
        elif not lacking:
            raise _unsupported(first, problems, hint=f"choose --opset {candidate} or newer")
    raise _unsupported(first if opset else NEWEST, problems)


def _lacking(parts: Sequence[Graph], opset: int) -> Sequence[Problem]:
    """What ``opset`` cannot express, not even decomposed."""
    problems: list[Problem] = []
    for part in parts:
        try:
            legalize(copy_graph(part), partial(obstacle, opset=opset), "ONNX")
        except UnsupportedError as error:
            problems += error.problems
    return merge_problems(problems)


def _unsupported(opset: int, problems: Sequence[Problem], hint: str = "") -> UnsupportedError:
    return UnsupportedError(f"ONNX opset {opset} cannot express this model", hint=hint, problems=problems)


def _keeping(node: Node[Op]) -> int:
    """The first opset with the types and blocks of quantized weights; before, they are floats."""
    if not is_op(node, Dequantize) or node.operand(0).constant is None:
        return 0
    return SINCE_BLOCKS if node.op.block or node.operand(0).type.dtype in FOUR_BITS else 0
