"""PyTorch rules for operators that take graphs."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.records import Argument, Record
from mmconvert.parsers.pytorch.scope import body, inline
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule("higher_order.cond")
def cond(n: Source, b: Builder) -> tuple[Value, ...]:
    condition, then_graph, else_graph, *rest = n.positional
    operands = _tensors(n, rest)
    types = [v.type for v in operands]
    branches = [body(n, n.graph(graph), types) for graph in (then_graph, else_graph)]
    return b.multi(ops.If(then_branch=branches[0], else_branch=branches[1]), n.tensor(condition), *operands)


@rule("higher_order.while_loop")
def while_loop(n: Source, b: Builder) -> list[Value]:
    """The operands that stay the same are part of the state here, and the body gives them back."""
    condition, step, carried, *fixed = n.positional
    state, same = _tensors(n, [carried]), _tensors(n, fixed)
    types = [v.type for v in (*state, *same)]
    graphs = [body(n, n.graph(graph), types) for graph in (condition, step)]
    loop = graphs[1]
    kept = loop.inputs[len(state) :]
    loop.set_outputs([*loop.outputs, *kept], [f"output_{i}" for i in range(len(loop.inputs))])
    results = b.multi(ops.While(condition=graphs[0], body=loop), *state, *same)
    return list(results[: len(state)])


@rule("higher_order.scan")
def scan(n: Source, b: Builder) -> tuple[Value, ...]:
    """Slices along the first axis, one after the other; the graph takes state, slices, and what is fixed."""
    graph, first, cut, fixed = n.positional
    return _scanned(n, n.graph(graph), *(_tensors(n, [part]) for part in (first, cut, fixed)))


@rule("higher_order.map_impl")
def mapped(n: Source, b: Builder) -> tuple[Value, ...]:
    """The same without a state."""
    graph, cut, fixed = n.positional
    return _scanned(n, n.graph(graph), [], *(_tensors(n, [part]) for part in (cut, fixed)))


def _scanned(
    n: Source, graph: Record, first: list[Value], cut: list[Value], fixed: list[Value]
) -> tuple[Value, ...]:
    slices = [v.type.with_shape(v.type.shape[1:]) for v in cut]
    read = body(n, graph, [*(v.type for v in first), *slices, *(v.type for v in fixed)])
    made = len(read.outputs) - len(first)
    op = ops.Scan(
        body=read,
        carried=len(first),
        axes=(0,) * len(cut),
        reverse=(False,) * len(cut),
        output_axes=(0,) * made,
        output_reverse=(False,) * made,
    )
    return n.builder.multi(op, *first, *cut, *fixed)


@rule(
    "higher_order.wrap_with_set_grad_enabled",
    "higher_order.wrap_with_autocast",
    "higher_order.tag_activation_checkpoint",
    "higher_order.invoke_subgraph",
)
def wrapped(n: Source, b: Builder) -> list[Value]:
    """What only trains differently is read as if it stood there itself."""
    arguments = n.positional
    place = next((i for i, a in enumerate(arguments) if isinstance(a, Record)), None)
    if place is None:
        raise n.invalid("there is no graph")
    given = [a for a in arguments[place + 1 :] if not isinstance(a, str)]
    return inline(n, n.graph(arguments[place]), given)


def _tensors(n: Source, arguments: list[Argument]) -> list[Value]:
    found: list[Value] = []
    for argument in arguments:
        parts = argument if isinstance(argument, tuple) else (argument,)
        found += [n.tensor(part) for part in parts]
    return found
