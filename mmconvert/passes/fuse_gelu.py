"""The formulas of Gelu, exact and approximate, are one operator."""

from __future__ import annotations

import math

from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import Add, Div, Erf, Gelu, Mul, Pow, Tanh
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import factors, is_close, number, scaled, shifted
from mmconvert.passes.outcome import Outcome

CUBIC = 0.044715


def fuse_gelu(graph: Graph) -> Outcome:
    """Writes ``x / 2 * (1 + erf(x / sqrt(2)))``, multiplied in any order, as one operator.

    ::

        %1 = Div(x, 1.4142135)    %2 = Erf(%1)    %3 = Add(%2, 1.0)         →    %5 = Gelu(x)
        %4 = Mul(x, %3)           %5 = Mul(%4, 0.5)

    Likewise ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))``, the approximate one.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Mul, Div):
            continue
        found = _gelu(node.output)
        if found is not None:
            x, approximate = found
            graph.replace(node, Gelu(approximate=approximate), (x,))
            outcome.done += 1
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome


def _gelu(value: Value) -> tuple[Value, bool] | None:
    half = scaled(value)
    if half is not None and half[1] == 0.5:
        products = list(factors(half[0]))
    else:
        halves = [(scaled(a), other) for a, other in factors(value)]
        products = [(h[0], other) for h, other in halves if h is not None and h[1] == 0.5]
    for a, other in products:
        for x, raised in ((a, other), (other, a)):
            turned = shifted(raised)
            if turned is None or turned[1] != 1:
                continue
            if _is_erf(turned[0], x):
                return x, False
            if _is_tanh(turned[0], x):
                return x, True
    return None


def _is_erf(value: Value, x: Value) -> bool:
    node = value.producer
    inner = scaled(node.operand(0)) if is_op(node, Erf) else None
    return inner is not None and inner[0] is x and is_close(inner[1], math.sqrt(0.5))


def _is_tanh(value: Value, x: Value) -> bool:
    node = value.producer
    inner = scaled(node.operand(0)) if is_op(node, Tanh) else None
    if inner is None or not is_close(inner[1], math.sqrt(2 / math.pi)):
        return False
    total = inner[0].producer
    if not is_op(total, Add):
        return False
    a, b = total.operand(0), total.operand(1)
    return (a is x and _is_cube(b, x)) or (b is x and _is_cube(a, x))


def _is_cube(value: Value, x: Value) -> bool:
    """``0.044715 * x ** 3``."""
    step = scaled(value)
    if step is None or not is_close(step[1], CUBIC):
        return False
    node = step[0].producer
    if is_op(node, Pow):
        return node.operand(0) is x and number(node.operand(1)) == 3
    return any(a is x and (x, x) in factors(b) for a, b in factors(step[0]))
