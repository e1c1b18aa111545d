"""Which node of one graph is which node of another."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence

from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op

COMMUTATIVE = (ops.Add, ops.Mul, ops.Max, ops.Min, ops.And, ops.Or, ops.Equal)
"""Operators whose operands may stand in any order."""

Pairs = list[tuple[Node[Op] | None, Node[Op] | None]]


def align(first: Graph, second: Graph) -> Pairs:
    """Every node of both graphs, with its like in the other one or None, in order.

    Nodes are put into an order that depends on the structure alone, and the longest common sequence of
    operators with the same results is found; between its members what has the same operator is paired.
    """
    a, b = _ordered(first), _ordered(second)
    matcher = difflib.SequenceMatcher(None, [_key(n) for n in a], [_key(n) for n in b], autojunk=False)
    pairs: Pairs = []
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            pairs += list(zip(a[i:j], b[k:m], strict=True))
        else:
            pairs += _within(a[i:j], b[k:m])
    return pairs


def commutes(node: Node[Op]) -> bool:
    """Whether the operands may stand in any order."""
    return isinstance(node.op, COMMUTATIVE)


def operands(node: Node[Op]) -> list[Value | None]:
    """The operands in an order that does not depend on who wrote the node."""
    if commutes(node):
        return sorted(node.inputs, key=lambda v: v is not None and v.constant is not None)
    return list(node.inputs)


def _within(a: Sequence[Node[Op]], b: Sequence[Node[Op]]) -> Pairs:
    """Nodes between others that are alike."""
    names = [n.op.name for n in a], [n.op.name for n in b]
    matcher = difflib.SequenceMatcher(None, *names, autojunk=False)
    pairs: Pairs = []
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            pairs += list(zip(a[i:j], b[k:m], strict=True))
        else:
            pairs += [*((n, None) for n in a[i:j]), *((None, n) for n in b[k:m])]
    return pairs


def _key(node: Node[Op]) -> tuple[str, str]:
    return node.op.name, " ".join(str(v.type) for v in node.outputs)


def _ordered(graph: Graph) -> list[Node[Op]]:
    """The nodes from the inputs on, each behind its operands; branches in the order of what they are."""
    marks: dict[Value, str] = {v: f"input {i}" for i, v in enumerate(graph.inputs)}
    for node in graph:
        parts = [_mark(v, marks) for v in node.inputs]
        text = f"{_key(node)} {sorted(parts) if commutes(node) else parts}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        marks.update((v, f"{digest} {i}") for i, v in enumerate(node.outputs))
    order: dict[Node[Op], None] = {}
    waiting: list[tuple[Value, bool]] = [(v, False) for v in reversed(graph.outputs)]
    while waiting:
        value, done = waiting.pop()
        producer = value.producer
        if producer is None or producer in order:
            continue
        if done:
            order[producer] = None
            continue
        waiting.append((value, True))
        inner = [v for v in producer.inputs if v is not None]
        if commutes(producer):
            inner.sort(key=lambda v: _mark(v, marks))
        waiting += [(v, False) for v in reversed(inner)]
    order.update(dict.fromkeys(graph))
    return list(order)


def _mark(value: Value | None, marks: dict[Value, str]) -> str:
    if value is None:
        return "none"
    return marks.get(value) or f"constant {value.type}"
