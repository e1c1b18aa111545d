"""MNN rules for control flow: a graph inside of an operator is fed all that it reads."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Shape, TensorType
from mmconvert.mnnlib import Record
from mmconvert.parsers.branches import joined
from mmconvert.parsers.mnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("MNN")

_NUMBER, _FLAG = TensorType(dtypes.I64, ()), TensorType(dtypes.BOOL, ())


def _condition(b: Builder, value: Value) -> Value:
    """MNN's truth, an integer of any shape with one element, as ours."""
    flag = value if value.type.dtype == dtypes.BOOL else b(ops.Cast(to=dtypes.BOOL), value)
    return b(ops.Reshape(shape=()), flag) if flag.type.rank else flag


@rule("If")
def if_(n: Source, b: Builder) -> tuple[Value, ...]:
    record, (condition, *operands) = n.parameters, n.operands()
    types = [v.type for v in operands]
    given = [part.texts("data") for part in record.records("aliases_inputs", "StringVec")]
    made = [part.texts("data") for part in record.records("aliases_outputs", "StringVec")]
    if len(given) != len(n.inputs) or len(made) != len(n.outputs) or given[0]:
        raise n.unsupported("branches that do not name all that they are fed")
    then, other = (
        _branch(n, record.text(f"{which}_graph"), types, given[1:], made) for which in ("then", "else")
    )
    shapes = joined(then, other, lambda axis: n.shared.symbols.fresh(f"{n.origin.name}_{axis}"))
    if shapes is None:
        raise n.unsupported("branches whose results differ in number, element type or rank")
    op = ops.If(then_branch=then, else_branch=other, shapes=shapes)
    return b.multi(op, _condition(b, condition), *operands)


def _branch(
    n: Source, name: str, types: list[TensorType], given: list[list[str]], made: list[list[str]]
) -> Graph:
    """A branch with all operands as its inputs, also those that only the other one reads."""
    inside = n.inside(name)
    graph = inside.graph
    fed = [graph.input(f"i{i}", kind) for i, kind in enumerate(types)]
    by_name = {known: value for value, names in zip(fed, given, strict=True) for known in names}
    values = inside.read({i: by_name[t] for i, t in inside.inputs.items() if t in by_name})
    results = []
    for names in made:
        found = [i for i, known in enumerate(inside.names) if known in names and i in values]
        if not found:
            raise n.invalid(f"{name!r} does not make any of {names}")
        results.append(values[found[-1]])
    graph.set_outputs(results, [f"o{i}" for i in range(len(results))])
    return graph


@rule("While")
def while_(n: Source, b: Builder) -> tuple[Value, ...]:
    """The form without a graph for the condition: operands and results as of ONNX's Loop."""
    record, operands = n.parameters, n.operands()
    if record.text("cond_graph") or record.records("aliases_inputs", "StringVec") or len(operands) < 2:
        raise n.unsupported("a loop with a graph of its own for the condition")
    count, condition, *state = operands
    if len(state) != len(n.outputs):
        raise n.unsupported("a loop that collects what its rounds make")
    types = [v.type for v in state]
    body = _body(n, record, types)
    settled = [_loosened(n, v.type, o.type) for v, o in zip(state, body.outputs[1:], strict=True)]
    if settled != types:
        types, body = settled, _body(n, record, settled)
    shapes: tuple[Shape, ...] = tuple(t.shape for t in types)
    op = ops.Loop(body=body, carried=len(state), shapes=shapes)
    trips = b(ops.Cast(to=dtypes.I64), count)
    trips = b(ops.Reshape(shape=()), trips) if trips.type.rank else trips
    return b.multi(op, trips, _condition(b, condition), *state)


def _body(n: Source, record: Record, types: list[TensorType]) -> Graph:
    inside = n.inside(record.text("body_graph"))
    graph, places = inside.graph, list(inside.inputs)
    if len(places) != len(types) + 2 or len(inside.outputs) != len(types) + 1:
        raise n.invalid(f"its body has {len(places)} inputs and {len(inside.outputs)} outputs")
    b = Builder(graph, origin=n.origin)
    number, flag = graph.input("number", _NUMBER), graph.input("goes_on", _FLAG)
    taken = [graph.input(f"i{i}", kind) for i, kind in enumerate(types)]
    first = [b(ops.Cast(to=dtypes.I32), v) for v in (number, flag)]
    values = inside.read(dict(zip(places, (*first, *taken), strict=True)))
    goes_on, *made = (values.get(i) for i in inside.outputs)
    if goes_on is None or None in made:
        raise n.invalid("its body does not make all of its outputs")
    results = [_condition(b, goes_on), *(v for v in made if v is not None)]
    graph.set_outputs(results, ["goes_on", *(f"o{i}" for i in range(len(types)))])
    return graph


def _loosened(n: Source, before: TensorType, after: TensorType) -> TensorType:
    """The type of a state whose extents differ between rounds: a symbol for each of those."""
    if before.dtype != after.dtype or before.rank != after.rank:
        raise n.unsupported("a loop whose state changes its element type or its rank")
    fresh = n.shared.symbols.fresh
    pairs = zip(before.shape, after.shape, strict=True)
    return before.with_shape(
        tuple(e if e == f else fresh(f"{n.origin.name}_{axis}") for axis, (e, f) in enumerate(pairs))
    )
