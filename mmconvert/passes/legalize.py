"""Rewrites what a target lacks into what it has."""

from __future__ import annotations

from collections.abc import Callable

from mmconvert.errors import Problem, UnsupportedError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.pipeline import bodies

Obstacle = Callable[[Node[Op]], str | None]
"""Says why a target cannot express a node, or None when it can."""


def legalize(graph: Graph, obstacle: Obstacle, target: str) -> Outcome:
    """Decomposes every operator that ``target`` cannot express, until only expressible ones are left.

    ::

        %1 = Softsign(x)        →    %1 = Abs(x)
                                     %2 = Add(%1, 1.0)
                                     %3 = Div(x, %2)

    Raises:
        UnsupportedError: operators are left that have neither a form in the target nor a decomposition; all
            of them are listed.
    """
    outcome, problems = Outcome(), []
    for node in graph:
        reason = obstacle(node)
        if reason is None:
            continue
        pending = _decompose(graph, node)
        if pending is None:
            problems.append(Problem(f"{node.op.name}: {reason}", (node.place,)))
            continue
        outcome.done += 1
        while pending:
            part = pending.pop()
            for body in bodies(part):
                outcome += legalize(body, obstacle, target)
            reason = obstacle(part)
            if reason is None:
                continue
            parts = _decompose(graph, part)
            if parts is None:
                problems.append(Problem(f"{part.op.name}: {reason}", (part.place,)))
            else:
                pending += parts
    if problems:
        raise UnsupportedError(f"{target} cannot express this model", problems=merge_problems(problems))
    return outcome


def _decompose(graph: Graph, node: Node[Op]) -> list[Node[Op]] | None:
    """Replaces ``node`` by its decomposition; the new nodes, or None when there is none."""
    before = node._previous
    b = Builder(graph, before=node, origin=node.origin)
    result = node.op.decompose(b, *node.inputs)
    if result is None:
        return None
    results = result if isinstance(result, tuple) else (result,)
    for old, new in zip(node.outputs, results, strict=True):
        name = old.name
        if new.producer is not None and (new.type.dtype, new.type.rank) == (old.type.dtype, old.type.rank):
            new.type = old.type  # the operator itself knows its extents better than its parts do
        graph.replace_uses(old, new)
        new.name = name or new.name
    made, made_last = [], node._previous
    while made_last is not None and made_last is not before:
        made.append(made_last)
        made_last = made_last._previous
    graph.remove(node)
    return made
