"""What passes that look for patterns share: constants that are one number, and steps that take one."""

from __future__ import annotations

from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Div, Mul, Sub

CLOSE = 2.0**-20
"""Constants that differ by less than this, relatively, are the same number after a few roundings in f32."""


def number(value: Value) -> float | None:
    """The one element of a constant, or None."""
    tensor = value.constant
    return float(tensor.numpy().reshape(-1)[0]) if tensor is not None and tensor.size == 1 else None


def is_close(found: float | None, wanted: float) -> bool:
    """True when a constant is ``wanted`` as some exporter rounded it."""
    return found is not None and abs(found - wanted) <= CLOSE * abs(wanted)


def only_user(value: Value) -> Node[Op] | None:
    """The node that reads ``value``, when there is one such and it has one result."""
    if len(value.uses) != 1:
        return None
    ((user, _),) = value.uses
    return user if len(user.outputs) == 1 else None


def scaled(value: Value) -> tuple[Value, float] | None:
    """``x`` and ``k``, when ``value`` is ``x * k`` or ``x / (1 / k)`` and has the shape of ``x``."""
    step = _step(value, Mul, Div)
    if step is None or (isinstance(step[2].op, Div) and step[1] == 0):
        return None
    x, constant, node = step
    return x, 1 / constant if isinstance(node.op, Div) else constant


def shifted(value: Value) -> tuple[Value, float] | None:
    """``x`` and ``k``, when ``value`` is ``x + k`` or ``x - -k`` and has the shape of ``x``."""
    step = _step(value, Add, Sub)
    if step is None:
        return None
    x, constant, node = step
    return x, -constant if isinstance(node.op, Sub) else constant


def factors(value: Value) -> tuple[tuple[Value, Value], ...]:
    """The operands of the product that ``value`` is, either way round."""
    node = value.producer
    if not is_op(node, Mul):
        return ()
    a, b = node.operand(0), node.operand(1)
    return ((a, b), (b, a))


def _step(value: Value, *kinds: type[Op]) -> tuple[Value, float, Node[Op]] | None:
    node = value.producer
    if not is_op(node, *kinds):
        return None
    pairs = [(node.operand(0), node.operand(1))]
    if isinstance(node.op, Add | Mul):
        pairs.append((node.operand(1), node.operand(0)))
    for x, constant in pairs:
        found = number(constant)
        if found is not None and x.constant is None and x.type == value.type:
            return x, found, node
    return None
