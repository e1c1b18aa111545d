"""A product with its own clipped ramp is a HardSwish."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import Clip, Div, HardSigmoid, HardSwish, Mul
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import factors, is_close, scaled, shifted
from mmconvert.passes.outcome import Outcome


def fuse_hard_swish(graph: Graph) -> Outcome:
    """Writes ``x * clip(x + 3, 0, 6) / 6`` as one operator.

    ::

        %1 = Add(x, 3.0)                      →    %4 = HardSwish(x)
        %2 = Clip(%1) {low=0.0 high=6.0}
        %3 = Mul(x, %2)
        %4 = Div(%3, 6.0)

    The division may stand anywhere, be a product with 1 / 6, or be part of a HardSigmoid.
    """
    outcome = Outcome()
    for node in graph:
        if is_op(node, Mul, Div) and (x := _operand(node.output)) is not None:
            graph.replace(node, HardSwish(), (x,))
            outcome.done += 1
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome


def _operand(value: Value) -> Value | None:
    """``x``, when ``value`` is its HardSwish."""
    if (sixth := scaled(value)) is not None and is_close(sixth[1], 1 / 6):
        return next((x for x, ramp in factors(sixth[0]) if _is_ramp(ramp, x)), None)
    for x, gate in factors(value):
        if _is_gate(gate, x):
            return x
        if (sixth := scaled(x)) is not None and is_close(sixth[1], 1 / 6) and _is_ramp(gate, sixth[0]):
            return sixth[0]
    return None


def _is_gate(value: Value, x: Value) -> bool:
    """``clip(x / 6 + 1 / 2, 0, 1)`` in one of its forms."""
    node = value.producer
    if is_op(node, HardSigmoid):
        return node.operand(0) is x and is_close(node.op.alpha, 1 / 6) and is_close(node.op.beta, 0.5)
    sixth = scaled(value)
    return sixth is not None and is_close(sixth[1], 1 / 6) and _is_ramp(sixth[0], x)


def _is_ramp(value: Value, x: Value) -> bool:
    """``clip(x + 3, 0, 6)``."""
    clip = value.producer
    if not is_op(clip, Clip) or (clip.op.low, clip.op.high) != (0, 6):
        return False
    three = shifted(clip.operand(0))
    return three is not None and three[0] is x and three[1] == 3
