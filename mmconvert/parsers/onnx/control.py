"""ONNX rules for control flow. What a graph reads from around it becomes an operand of the operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent, symbols
from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.types import Shape, TensorType
from mmconvert.onnxlib import GraphProto
from mmconvert.parsers.onnx import scope
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.scope import Body
from mmconvert.parsers.onnx.source import Items, Source, Thing
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_COMPUTED = "a number of rounds computed while the model runs"

MAX_ROUNDS = 1024
"""A loop over sequences that has more rounds is not written out."""

_COUNT, _CONDITION = TensorType(dtypes.I64, ()), TensorType(dtypes.BOOL, ())


def _scalar(b: Builder, value: Value | None) -> Value | None:
    """``value`` without axes: a vector of one element is allowed as well."""
    return value if value is None or value.type.rank == 0 else b(ops.Reshape(shape=()), value)


@rule("If")
def if_(n: Source, b: Builder) -> tuple[Thing, ...]:
    graphs = n.graph("then_branch"), n.graph("else_branch")
    known = n.known(0)
    if known is not None and known.size == 1:
        return scope.inline(n, b, graphs[0] if known.reshape(-1)[0] else graphs[1])
    if (assumed := n.context.library.assumed.get(n.where)) is not None:
        return scope.inline(n, b, graphs[0] if assumed else graphs[1])
    condition = _scalar(b, n.operand(0))
    then, other = (scope.body(n, graph, ()) for graph in graphs)
    captures = list(dict.fromkeys([*then.captures, *other.captures]))
    for branch in (then, other):
        _take(branch, captures)
    op = ops.If(then_branch=then.graph, else_branch=other.graph, shapes=_joined(n, then.graph, other.graph))
    return b.multi(op, condition, *captures)


def _take(body: Body, captures: Sequence[Value]) -> None:
    """Gives the graph of ``body`` one input for each of ``captures``, in this order."""
    have = dict(zip(body.captures, body.graph.inputs, strict=True))
    taken = {value.name for value in body.graph.inputs}
    inputs = []
    for index, value in enumerate(captures):
        if value not in have:
            name = value.name if value.name and value.name not in taken else f"unused_{index}"
            have[value] = body.graph.input(name, value.type)
            taken.add(name)
        inputs.append(have[value])
    body.graph.inputs = inputs


def _joined(n: Source, then: Graph, other: Graph) -> tuple[Shape, ...]:
    """The shapes of the results; none when both branches have the same."""
    pairs = list(zip(then.outputs, other.outputs, strict=False))
    if len(then.outputs) != len(other.outputs) or any(a.type.dtype != c.type.dtype for a, c in pairs):
        raise n.invalid("its branches have different results")
    for a, c in pairs:
        if a.type.rank != c.type.rank:
            n.context.library.undecided.append(n.where)
            raise n.unsupported(
                f"its branches give {a.type} and {c.type}, which differ in rank",
                hint="decide its condition: say the extents (shapes=) or the values (fix=) of the inputs"
                " that it follows from",
            )
    if all(a.type == c.type for a, c in pairs):
        return ()
    outer = {e.name for v in then.inputs for e in v.type.shape if isinstance(e, Dim)}

    def join(e: Extent, f: Extent, axis: int) -> Extent:
        same = e == f and symbols(e) <= outer
        return e if same else n.context.symbols.fresh(f"{n.origin.name}_{axis}")

    return tuple(
        tuple(join(e, f, i) for i, (e, f) in enumerate(zip(a.type.shape, c.type.shape, strict=True)))
        for a, c in pairs
    )


@rule("Loop")
def loop(n: Source, b: Builder) -> tuple[Thing, ...]:
    proto = n.graph("body")
    trip_count, condition = _scalar(b, n.optional(0)), _scalar(b, n.optional(1))
    if trip_count is not None:
        trip_count = cast(b, trip_count, dtypes.I64)
    if any(isinstance(n.thing(index), Items) for index in range(2, len(n.inputs))):
        return _unrolled(n, b, proto, trip_count, condition)
    state = [n.operand(index) for index in range(2, len(n.inputs))]
    body, types = _settled(n, proto, [v.type for v in state])
    rounds = _rounds(n, body.graph, trip_count, condition)
    shapes = _loop_shapes(n, body, [v.type for v in state], types, rounds)
    op = ops.Loop(body=body.graph, carried=len(state), shapes=shapes)
    return b.multi(op, trip_count, condition, *state, *body.captures)


def _unrolled(
    n: Source, b: Builder, proto: GraphProto, trip_count: Value | None, condition: Value | None
) -> tuple[Thing, ...]:
    """A loop over sequences: its rounds one after the other, which must be known in number."""
    count = None if trip_count is None else n.context.constants.array(trip_count)
    if trip_count is not None and count is None:
        raise n.unsupported(f"over sequences, {_COMPUTED}")
    go = b.constant(np.array(True)) if condition is None else condition
    state = [n.thing(index) for index in range(2, len(n.inputs))]
    collected: list[list[Value]] = [[] for _ in proto.output[1 + len(state) :]]
    number = 0
    while (known := n.context.constants.array(go)) is not None and known.all():
        if count is not None and number >= count:
            break
        made = scope.unrolled(n, b, proto, [b.constant(number, dtypes.I64), go, *state])
        go, state = scope.tensor(n, made[0]), made[1 : 1 + len(state)]
        for items, thing in zip(collected, made[1 + len(state) :], strict=True):
            items.append(b(ops.Unsqueeze(axes=(0,)), scope.tensor(n, thing)))
        number += 1
        if number > MAX_ROUNDS:
            raise n.unsupported(f"over sequences, more than {MAX_ROUNDS} rounds")
    if known is None or (collected and not number):
        raise n.unsupported(f"over sequences, {_COMPUTED}")
    return (*state, *(b(ops.Concat(axis=0), *items) for items in collected))


def _settled(n: Source, proto: GraphProto, types: list[TensorType]) -> tuple[Body, list[TensorType]]:
    """The body, over a state whose extents are symbols where a round changes them."""
    free: set[Extent] = set()
    while True:
        body = scope.body(n, proto, [_COUNT, _CONDITION, *types])
        made = [v.type for v in body.graph.outputs[1 : 1 + len(types)]]
        if len(made) < len(types) or any(a.dtype != c.dtype for a, c in zip(made, types, strict=True)):
            raise n.invalid("its body does not return the state that it takes")
        if any(a.rank != c.rank for a, c in zip(made, types, strict=True)):
            raise n.unsupported("its state changes its rank")
        shapes: list[Shape] = []
        for before, after in zip(types, made, strict=True):
            shapes.append(
                tuple(
                    e if e == f or e in free else n.context.symbols.fresh(f"{n.origin.name}_state")
                    for e, f in zip(before.shape, after.shape, strict=True)
                )
            )
        widened = [t.with_shape(s) for t, s in zip(types, shapes, strict=True)]
        if widened == types:
            return body, types
        free |= {e for old, new in zip(types, shapes, strict=True) for e in set(new) - set(old.shape)}
        types = widened


def _rounds(n: Source, body: Graph, trip_count: Value | None, condition: Value | None) -> Extent:
    """How often the body runs: the trip count, when nothing else can end the loop."""
    begins = condition is None or bool(np.all(n.context.constants.array(condition)))
    if trip_count is not None and begins and _goes_on(n, body):
        extents = trip_count.extents
        if extents is not None:
            (count,) = extents
            return max(count, 0) if isinstance(count, int) else count
    return n.context.symbols.fresh(f"{n.origin.name}_rounds")


def _goes_on(n: Source, body: Graph) -> bool:
    """True when the body's next condition is always that of this round, or true."""
    value = body.outputs[0]
    while is_op(value.producer, ops.Identity):
        value = value.producer.operand(0)
    known = n.context.constants.array(value)
    return value is body.inputs[1] or (known is not None and bool(np.all(known)))


def _loop_shapes(
    n: Source, body: Body, initial: list[TensorType], types: list[TensorType], rounds: Extent
) -> tuple[Shape, ...]:
    outer = symbols(*(e for t in (*initial, *(v.type for v in body.captures)) for e in t.shape))

    def seen(extent: Extent, *, fixed: bool) -> Extent:
        """``extent`` as it is called around the loop."""
        return extent if fixed and symbols(extent) <= outer else n.context.symbols.fresh(n.origin.name)

    state = [
        tuple(seen(e, fixed=e == f) for e, f in zip(a.shape, t.shape, strict=True))
        for a, t in zip(initial, types, strict=True)
    ]
    collected = [v.type.shape for v in body.graph.outputs[1 + len(types) :]]
    return (*state, *((rounds, *(seen(e, fixed=True) for e in shape)) for shape in collected))


@rule("Scan", since=9)
def scan_9(n: Source, b: Builder) -> tuple[Value, ...]:
    operands = [n.operand(index) for index in range(len(n.inputs))]
    count = n.integer("num_scan_inputs")
    carried = len(operands) - count
    if not 0 < count <= len(operands):
        raise n.invalid(f"num_scan_inputs={count}, and there are {len(operands)} operands")
    axes = n.integers("scan_input_axes", (0,) * count)
    reverse = n.integers("scan_input_directions", (0,) * count)
    sequences = [v.type for v in operands[carried:]]
    axes = tuple(t.axis(a) for t, a in zip(sequences, axes, strict=True))
    state = [v.type for v in operands[:carried]]
    body = _scan_body(n, n.graph("body"), state, sequences, axes)
    made = [v.type for v in body.graph.outputs[carried:]]
    output_axes = n.integers("scan_output_axes", (0,) * len(made))
    output_reverse = n.integers("scan_output_directions", (0,) * len(made))
    op = ops.Scan(
        body=body.graph,
        carried=carried,
        axes=axes,
        reverse=tuple(map(bool, reverse)),
        output_axes=tuple(
            t.with_shape((1, *t.shape)).axis(a) for t, a in zip(made, output_axes, strict=True)
        ),
        output_reverse=tuple(map(bool, output_reverse)),
    )
    return b.multi(op, *operands, *body.captures)


def _scan_body(
    n: Source, proto: GraphProto, state: list[TensorType], sequences: list[TensorType], axes: tuple[int, ...]
) -> Body:
    slices = [t.with_shape((*t.shape[:a], *t.shape[a + 1 :])) for t, a in zip(sequences, axes, strict=True)]
    body = scope.body(n, proto, [*state, *slices])
    if [v.type for v in body.graph.outputs[: len(state)]] != state:
        raise n.unsupported("its state changes its shape")
    return body


@rule("Scan")
def scan_8(n: Source, b: Builder) -> tuple[Value, ...]:
    """The first axis of all operands is a batch: a Scan over it whose body is the Scan over the next."""
    operands = [n.operand(index) for index in range(1, len(n.inputs))]
    count = n.integer("num_scan_inputs")
    carried = len(operands) - count
    if not 0 < count <= len(operands) or any(v.type.rank < 1 for v in operands):
        raise n.invalid(f"num_scan_inputs={count} does not fit its operands")
    reverse = tuple(map(bool, n.integers("directions", (0,) * count)))
    types = [v.type.with_shape(v.type.shape[1:]) for v in operands]
    body = _scan_body(n, n.graph("body"), types[:carried], types[carried:], (0,) * count)
    lengths = n.optional(0)
    if lengths is not None:
        operands = [
            v if index < carried or not reverse[index - carried] else _turned(b, v, lengths)
            for index, v in enumerate(operands)
        ]
        operands, carried, reverse = [lengths, *operands], carried + 1, (False,) * count
        types = [lengths.type.with_shape(()), *types]
        _end_early(n, body.graph, carried)
    inner = _plain_scan(body.graph, carried, reverse)
    batch = Graph("batch")
    inputs = [*types, *(v.type for v in body.captures)]
    values = [batch.input(f"operand_{index}", type) for index, type in enumerate(inputs)]
    results = Builder(batch, origin=n.origin).multi(inner, *values)
    results = results if lengths is None else results[1:]
    batch.set_outputs(results, [f"result_{index}" for index in range(len(results))])
    return b.multi(_plain_scan(batch, 0, (False,) * len(operands)), *operands, *body.captures)


def _plain_scan(body: Graph, carried: int, reverse: tuple[bool, ...]) -> ops.Scan:
    """A Scan over the first axes."""
    collected = len(body.outputs) - carried
    return ops.Scan(
        body=body,
        carried=carried,
        axes=(0,) * len(reverse),
        reverse=reverse,
        output_axes=(0,) * collected,
        output_reverse=(False,) * collected,
    )


def _turned(b: Builder, x: Value, lengths: Value) -> Value:
    """A batch of sequences, each up to its own length from the end to the beginning."""
    return b(ops.ReverseSequence(time_axis=1, batch_axis=0), x, lengths)


def _end_early(n: Source, body: Graph, carried: int) -> None:
    """Puts before the state how many rounds are left; after them the state stays and what is made is 0."""
    b = Builder(body, origin=n.origin)
    left = body.input("rounds_left", _COUNT)
    body.inputs = [left, *body.inputs[:-1]]
    going, kept = b(ops.Greater(), left, np.array(0, np.int64)), body.inputs[1:carried]
    results, names = list(body.outputs), list(body.output_names)
    for index, value in enumerate(results):
        other = kept[index] if index < len(kept) else np.zeros((), value.type.dtype)
        results[index] = b(ops.Where(), going, value, other)
    body.set_outputs([b(ops.Sub(), left, np.array(1, np.int64)), *results], ["rounds_after", *names])
