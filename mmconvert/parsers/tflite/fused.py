"""Fused operators over integers: what they do and what they were, to be written as they were."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.parsers.tflite import scope
from mmconvert.parsers.tflite.source import Context, Source
from mmconvert.parsers.tflite.state import Variable, Variables

Results = Value | tuple[Value | None, ...]
Rule = Callable[[Source, Builder], Results]


def fused(rule: Rule) -> Rule:
    """A rule whose operator stays one operator, a Composite around what the rule makes.

    That is so if it is quantized: its kernel rounds on the way, which the operators of the IR do not tell.
    And it is so where the IR has only a loop for it.
    """

    @wraps(rule)
    def composed(n: Source, b: Builder) -> Results:
        present = [index for index in range(len(n.inputs)) if n.has(index)]
        quantized = [q for index in present if (q := n.quantization(index)) is not None]
        if any(q.scale.ndim for q in quantized):
            return rule(n, b)
        tensors = list(dict.fromkeys(n.input(index) for index in present))
        inner = _context(n, tensors)
        inside = Source(n.operator, inner, Builder(inner.graph, origin=n.origin))
        made = rule(inside, inside.builder)
        inside.finish()
        if not quantized and not any(isinstance(node.op, ops.Scan) for node in inner.graph):
            return rule(n, b)
        scope.keep(inside, made if isinstance(made, tuple) else (made,))
        return _composite(n, b, inside, tensors)

    return composed


def _context(n: Source, tensors: list[int]) -> Context:
    """A graph that takes the operator's operands as they are stored, its states among them."""
    outer, body = n.context, Graph(n.kind.lower())
    inner = Context(outer.library, outer.number, body, Variables(body), outer.calls)
    assert inner.variables is not None
    for tensor in tensors:
        value = outer.find(tensor)
        assert value is not None, "a rule runs when all operands are there"
        inner.values[tensor] = taken = body.input(f"operand_{len(body.inputs)}", value.type)
        if (key := _key(n, tensor)) is not None:
            inner.variables.found[key] = Variable(key, current=taken)
    return inner


def _key(n: Source, tensor: int) -> str | None:
    """The name of the variable that a tensor is, where a rule may change it."""
    record, variables = n.context.subgraph.tensors[tensor], n.context.variables
    if not record.is_variable or variables is None:
        return None
    return variables.key(n.context.number, tensor, record)


def _composite(n: Source, b: Builder, inside: Source, tensors: list[int]) -> Results:
    inner = inside.context
    assert inner.variables is not None
    results = [tensor for tensor in n.outputs if tensor >= 0 and tensor in inner.values]
    keys = {tensor: key for tensor in tensors if (key := _key(n, tensor)) is not None}
    after = {tensor: inner.variables.found[key].current for tensor, key in keys.items()}
    changed = [t for t, value in after.items() if value is not None and value not in inner.graph.inputs]
    outputs = [inner.values[t] for t in results] + [v for t in changed if (v := after[t]) is not None]
    inner.graph.set_outputs(outputs, [f"output_{i}" for i in range(len(outputs))])
    op = ops.Composite(
        kind=f"tflite.{n.kind}",
        body=inner.graph,
        operands=tuple(tensors.index(t) if t >= 0 else -1 for t in n.inputs),
        states=tuple(tensors.index(t) for t in changed),
        options=tuple(f"{name}={+n.option(name)}" for name in n.left),
        grids=tuple(_grid(n, tensor) for tensor in (*tensors, *results, *changed)),
        inner=tuple(_grid(n, tensor) for tensor in n.operator.intermediates),
    )
    found = [n.context.find(tensor) for tensor in tensors]
    made = b.multi(op, *found)
    for tensor, value in zip(changed, made[len(results) :], strict=True):
        assert n.context.variables is not None
        n.context.variables.assign(keys[tensor], value)
        n.context.values[tensor] = value
        n.context.reals.pop(tensor, None)
    values = dict(zip(results, made, strict=False))
    return tuple(values.get(tensor) for tensor in n.outputs)


def _grid(n: Source, tensor: int) -> tuple[float, int]:
    """Scale and zero point of an inner result."""
    q = n.context.subgraph.tensors[tensor].quantization if tensor >= 0 else None
    return (0.0, 0) if q is None or q.scale.ndim else (float(q.scale), int(q.zero_point))
