"""Finds the wrong operator where a runtime shows no inner values: parts of the graph are written and run.

Only at some places does everything that an output depends on go through one value: at the dominators of the
outputs. The graph up to such a cut, written as a file of its own, is right up to a place and wrong from there
on, so that a few files find it.
"""

from __future__ import annotations

from collections.abc import Callable

from mmconvert.errors import MMConvertError
from mmconvert.ir.extract import best_names, extract, named_values
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Elementwise, Op
from mmconvert.verification.fault import Fault, Stage
from mmconvert.verification.inputs import Feed
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.saturation import MOVES
from mmconvert.verification.sides import Side

Probe = Callable[[Graph], Side]
"""Writes a graph as a file of the target's format, and opens that in its runtime."""


def cut_points(graph: Graph) -> list[Value]:
    """The values through which everything goes that comes after them, in execution order."""
    fixed: set[Value] = set()
    left = {v: len(v.uses) for v in graph.inputs if v.uses}
    cuts: list[Value] = []
    for node in graph:
        operands = [v for v in node.inputs if v is not None and v.constant is None and v not in fixed]
        if not operands:
            fixed.update(node.outputs)
            continue
        for value in operands:
            left[value] -= 1
            if not left[value]:
                del left[value]
        left |= {v: len(v.uses) for v in node.outputs if v.uses}
        if len(left) == 1:
            cuts += left
    return cuts


def first_wrong_part(
    graph: Graph, feed: Feed, probe: Probe, k: float, *, stage: Stage, agent: str = ""
) -> Fault | None:
    """The operators between the last cut that is right and the first that is wrong.

    Args:
        graph: what was written.
        feed: an input on which its file is wrong.
        probe: writes and opens a part of it.
        k: how many times the graph's own float32 error the file may have.
        stage, agent: what the fault is put down to.

    Returns:
        None when the parts cannot be written or run, or the whole is right when it is written again.
    """
    names = best_names(named_values(graph))
    cuts = [value for value in cut_points(graph) if value in names]
    try:
        if not cuts or _is_right(graph, names[cuts[-1]], feed, probe, k):
            return None
        right, wrong = -1, len(cuts) - 1
        while wrong - right > 1:
            middle = (right + wrong) // 2
            if _is_right(graph, names[cuts[middle]], feed, probe, k):
                right = middle
            else:
                wrong = middle
    except MMConvertError:
        return None
    nodes = _between(cuts[right] if right >= 0 else None, cuts[wrong])
    first = max(nodes, key=_weight)
    places = dict.fromkeys(node.place for node in nodes if node.place != first.place)
    return Fault(
        stage,
        agent,
        first.op.name,
        first.place,
        str(first.op),
        names[cuts[wrong]],
        diagnosis="",
        fused=tuple(places),
    )


def _is_right(graph: Graph, name: str, feed: Feed, probe: Probe, k: float) -> bool:
    part = extract(graph, outputs=[name])
    fed = {v.name: feed[v.name] for v in part.inputs}
    return judge(observe(part, [fed]), probe(part), k=k, localize=False).passed


def _between(start: Value | None, end: Value) -> list[Node[Op]]:
    """The nodes that make ``end`` from ``start``, or from the inputs."""
    found: dict[Node[Op], None] = {}
    waiting = [end]
    while waiting:
        value = waiting.pop()
        node = value.producer
        if value is not start and node is not None and node not in found:
            found[node] = None
            waiting += [v for v in node.inputs if v is not None]
    return list(found)[::-1]


def _weight(node: Node[Op]) -> int:
    if isinstance(node.op, MOVES):
        return 0
    return 1 if isinstance(node.op, Elementwise) else 2
