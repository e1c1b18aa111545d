"""A clipped ramp is a HardSigmoid, for targets that have one."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Clip, Div, HardSigmoid, Mul
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import is_close, scaled, shifted
from mmconvert.passes.outcome import Outcome


def fuse_hard_sigmoid(graph: Graph) -> Outcome:
    """Writes ``clip(a * x + b, 0, k) / k`` as one operator.

    ::

        %1 = Add(x, 3.0)                      →    %3 = HardSigmoid(x) {alpha=0.1666 beta=0.5}
        %2 = Clip(%1) {low=0.0 high=6.0}
        %3 = Div(%2, 6.0)

    Declines when: the clipped ramp itself is used elsewhere.
    """
    outcome = Outcome()
    for node in graph:
        found = _ramp(node)
        if found is None:
            continue
        clip, x, alpha, beta = found
        if clip is not node and len(clip.output.uses) > 1:
            outcome.decline(node, "the clipped ramp is used elsewhere")
            continue
        graph.replace(node, HardSigmoid(alpha=alpha, beta=beta), (x,))
        outcome.done += 1
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome


def _ramp(node: Node[Op]) -> tuple[Node[Clip], Value, float, float] | None:
    """The Clip in the gate that ``node`` is, its ``x``, and the slope and offset."""
    step = scaled(node.output) if is_op(node, Mul, Div) else None
    clip, gain = (node, 1.0) if step is None else (step[0].producer, step[1])
    if not is_op(clip, Clip):
        return None
    high = clip.op.high
    if clip.op.low != 0 or high is None or high <= 0 or not is_close(gain * high, 1.0):
        return None
    moved = shifted(clip.operand(0))
    if moved is None:
        return None
    slope = scaled(moved[0])
    if clip is node and slope is None:
        return None  # a Clip of a sum is no more than that
    x, alpha = (moved[0], 1.0) if slope is None else slope
    return clip, x, alpha / high, moved[1] / high
