"""TFLite rules for control flow, and for state that the model keeps."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Shape, TensorType
from mmconvert.parsers.branches import joined
from mmconvert.parsers.tflite import scope
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.state import Variables
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


def _stored(n: Source, first: int = 0) -> list[Value]:
    if any(n.inputs[i] in n.context.handles for i in range(first, len(n.inputs))):
        raise n.unsupported("over variables")
    return [n.stored(i) for i in range(first, len(n.inputs))]


@rule("IF")
def if_(n: Source, b: Builder) -> tuple[Value, ...]:
    numbers = n.integer("then_subgraph_index"), n.integer("else_subgraph_index")
    values = _stored(n, 1)
    known = n.known(0)
    if known is not None and known.size == 1:
        return tuple(scope.inline(n, numbers[0 if known.item() else 1], values, n.context.variables))
    types = [v.type for v in values]
    then, other = (scope.body(n, number, types) for number in numbers)
    op = ops.If(then_branch=then, else_branch=other, shapes=_joined(n, then, other))
    return b.multi(op, _scalar(n, b), *values)


def _scalar(n: Source, b: Builder) -> Value:
    condition = n.stored(0)
    return b(ops.Reshape(shape=()), condition) if condition.type.rank else condition


def _joined(n: Source, then: Graph, other: Graph) -> tuple[Shape, ...]:
    shapes = joined(then, other, lambda axis: n.context.symbols.fresh(f"{n.origin.name}_{axis}"))
    if shapes is None:
        raise n.unsupported("branches whose results differ in number, element type or rank")
    return shapes


@rule("WHILE")
def while_(n: Source, b: Builder) -> tuple[Value, ...]:
    condition, body = n.integer("cond_subgraph_index"), n.integer("body_subgraph_index")
    state = _stored(n)
    types = [v.type for v in state]
    graphs = [scope.body(n, number, types) for number in (condition, body)]
    _settle(n, graphs[1], types)
    goes_on = graphs[0].outputs
    if len(goes_on) == 1 and goes_on[0].type.rank:
        inner = Builder(graphs[0], origin=n.origin)
        graphs[0].set_outputs([inner(ops.Reshape(shape=()), goes_on[0])], graphs[0].output_names)
    return b.multi(ops.While(condition=graphs[0], body=graphs[1]), *state)


def _settle(n: Source, body: Graph, types: list[TensorType]) -> None:
    """Makes sure that a round gives the state the types that it takes.

    A list of tensors is written by cutting it in two at a position that only the run tells, so its extent is
    known by no rule; the file says that it stays what it was.
    """
    made = [v.type for v in body.outputs]
    fits = len(made) == len(types) and all(_may_be(a, c) for a, c in zip(made, types, strict=True))
    if not fits:
        pairs = zip(types, made, strict=False)
        shown = "; ".join(f"{a} becomes {c}" for a, c in pairs if a != c)
        raise n.unsupported(f"a state that changes its type: {shown or 'in number'}")
    inner = Builder(body, origin=n.origin)
    results = [
        value if value.type == type else inner(ops.Reshape(shape=type.shape), value)
        for value, type in zip(body.outputs, types, strict=True)
    ]
    body.set_outputs(results, body.output_names)


def _may_be(made: TensorType, type: TensorType) -> bool:
    """True when only extents that the run decides keep ``made`` from being ``type``."""
    extents = zip(made.shape, type.shape, strict=False)
    same = all(a == c or not isinstance(a, int) for a, c in extents)
    return made.dtype == type.dtype and made.rank == type.rank and same and (made == type or type.is_static)


@rule("CALL")
def call(n: Source, b: Builder) -> tuple[Value, ...]:
    return tuple(scope.inline(n, n.integer("subgraph"), _stored(n), n.context.variables))


@rule("STABLEHLO_COMPOSITE")
def composite(n: Source, b: Builder) -> tuple[Value, ...]:
    """What the composite stands for is in the file too."""
    n.ignore("name", "composite_attributes", "composite_attributes_format", "version")
    number = n.integer("decomposition_subgraph_index")
    return tuple(scope.inline(n, number, _stored(n), n.context.variables))


@rule("CALL_ONCE")
def call_once(n: Source, b: Builder) -> tuple[Value, ...]:
    scope.once(n, n.integer("init_subgraph_index"), _variables(n))
    return ()


def _variables(n: Source) -> Variables:
    if n.context.variables is None:
        raise n.unsupported("state inside of a branch or a loop")
    return n.context.variables


@rule("VAR_HANDLE")
def var_handle(n: Source, b: Builder) -> tuple[None]:
    container, name = n.option("container"), n.option("shared_name")
    if not n.wants(0):
        raise n.invalid("its output is missing")
    n.context.handles[n.outputs[0]] = f"{container}/{name}" if container else name or "variable"
    return (None,)


def _key(n: Source) -> str:
    key = n.context.handles.get(n.input(0))
    if key is None:
        raise n.invalid("its operand is no variable")
    return key


@rule("READ_VARIABLE")
def read_variable(n: Source, b: Builder) -> Value:
    record, variables = n.output_record(), _variables(n)
    known = variables.get(_key(n))
    if -1 in record.shape and known.current is None and known.initial is None:
        raise n.unsupported("a variable of unknown shape")
    return variables.read(_key(n), TensorType(record.dtype, record.shape))


@rule("ASSIGN_VARIABLE")
def assign_variable(n: Source, b: Builder) -> tuple[Value, ...]:
    _variables(n).assign(_key(n), n.stored(1))
    return ()
