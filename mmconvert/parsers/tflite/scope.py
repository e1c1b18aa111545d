"""Sub-graphs of a file, read into graphs: the main one, branches and bodies of loops, and what is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import TensorType
from mmconvert.parsers.tflite.quantization import quantized
from mmconvert.parsers.tflite.reader import Operator
from mmconvert.parsers.tflite.source import Context, Library, Source
from mmconvert.parsers.tflite.state import Variables

MAX_REPEATED = 10_000
"""How many operators may be read beyond those of the file: graphs that call graphs grow beyond all bounds."""

MAX_DEPTH = 64
"""How deep calls may lie inside calls."""

_COMPLEX = dtypes.BY_NAME["c64"]
_CUSTOM = "convert the model with builtin operators only, or cut it before this operator"
_OTHER = "build the model from other operators, or cut it before this one"


class Reported(UnsupportedError):
    """Something cannot be read because of a problem that is noted already."""


@contextmanager
def collecting(library: Library) -> Iterator[None]:
    """Notes what is unsupported instead of stopping at it."""
    try:
        yield
    except Reported:
        pass
    except UnsupportedError as error:
        places = (error.where,) if error.where else ()
        library.problems += error.problems or [Problem(error.message, places, error.hint)]


def body(n: Source, number: int, types: Sequence[TensorType]) -> Graph:
    """Reads a sub-graph that an operator refers to into a graph of its own, which can reach no state.

    Raises:
        Reported: something in it is not supported; it is noted.
        InvalidModelError: it does not take ``types``, or calls itself.
    """
    graph = Graph(n.context.library.file.subgraphs[_known(n, number)].name or f"subgraph_{number}")
    context = _nested(n, number, graph, None)
    taken = context.subgraph.inputs
    if len(taken) != len(types):
        raise n.invalid(f"its sub-graph {number} takes {len(taken)} inputs, not {len(types)}")
    for index, type in zip(taken, types, strict=True):
        record = context.subgraph.tensors[index]
        if record.dtype != type.dtype:
            raise n.invalid(f"its sub-graph {number} takes {record.dtype}, not {type}")
        context.values[index] = graph.input(record.name or f"input_{index}", type)
    results = read(context, Builder(graph, origin=n.origin))
    graph.set_outputs(results, [f"output_{i}" for i in range(len(results))])
    return graph


def inline(n: Source, number: int, arguments: Sequence[Value], variables: Variables | None) -> list[Value]:
    """Reads a sub-graph that an operator refers to into the graph that the operator itself is in."""
    context = _nested(n, _known(n, number), n.context.graph, variables)
    taken = context.subgraph.inputs
    if len(taken) != len(arguments):
        raise n.invalid(f"its sub-graph {number} takes {len(taken)} inputs, not {len(arguments)}")
    context.values.update(zip(taken, arguments, strict=True))
    return read(context, n.builder)


def once(n: Source, number: int, variables: Variables) -> None:
    """Reads a sub-graph that runs before all others, for what it assigns to variables."""
    graph = Graph("once")
    context = _nested(n, _known(n, number), graph, Variables(graph))
    read(context, Builder(graph, origin=n.origin))
    assert context.variables is not None
    for key, variable in context.variables.found.items():
        if variable.current is None or variable.current.constant is None:
            raise n.unsupported("a variable begins with something that is computed")
        variables.get(key).initial = variable.current.constant


def _known(n: Source, number: int) -> int:
    if not 0 <= number < len(n.context.library.file.subgraphs):
        raise n.invalid(f"there is no sub-graph {number}")
    return number


def _nested(n: Source, number: int, graph: Graph, variables: Variables | None) -> Context:
    outer = n.context
    calls = (*outer.calls, outer.number)
    if number in calls:
        raise n.invalid(f"sub-graph {number} calls itself")
    if len(calls) > MAX_DEPTH:
        raise n.invalid(f"sub-graphs lie more than {MAX_DEPTH} deep in one another")
    return Context(outer.library, number, graph, variables, calls)


def read(context: Context, b: Builder) -> list[Value]:
    """Reads the operators of a sub-graph; what is not supported is noted.

    Returns:
        The stored elements of its outputs.

    Raises:
        Reported: an output could not be made.
        InvalidModelError: the sub-graph is not valid.
    """
    for operator in context.subgraph.operators:
        _operator(context, operator, b)
    results = [_output(context, index) for index in context.subgraph.outputs]
    found = [value for value in results if value is not None]
    if len(found) < len(results):
        raise Reported("a sub-graph is not supported")
    return found


def _output(context: Context, index: int) -> Value | None:
    if index in context.complex:
        raise UnsupportedError("complex numbers as an output", where=context.subgraph.tensors[index].where)
    value = None if index in context.refused else context.find(index)
    if value is None and index not in context.refused:
        raise InvalidModelError("nothing makes this output", where=context.subgraph.tensors[index].where)
    return value


def _operator(context: Context, operator: Operator, b: Builder) -> None:
    library = context.library
    library.operators += 1
    if library.operators > MAX_REPEATED + library.file.size:
        raise InvalidModelError(f"sub-graphs repeat more than {MAX_REPEATED} operators")
    source = Source(operator, context, b)
    rule = None if operator.is_custom else library.rules.find(operator.name)
    made = False
    try:
        with collecting(library), b.at(source.origin):
            if rule is None:
                what = f"custom operator {operator.name!r}" if operator.is_custom else operator.name
                hint = _CUSTOM if operator.is_custom else _OTHER
                raise UnsupportedError(f"operator {what}", where=source.where, hint=hint)
            if _is_ready(context, source):
                results = rule(source, b)
                source.finish()
                keep(source, results if isinstance(results, tuple) else (results,))
                made = True
    except InvalidModelError as error:
        if error.where:
            raise
        kind = InferenceError if isinstance(error, InferenceError) else InvalidModelError
        raise kind(error.message, where=source.where, hint=error.hint) from error
    if not made:
        context.refused.update(index for index in operator.outputs if index >= 0)


def _is_ready(context: Context, source: Source) -> bool:
    """True when all operands are there; False when one could not be made, which is reported already."""
    for index in source.inputs:
        if index < 0 or index in context.handles:
            continue
        if index in context.refused:
            return False
        if context.find(index) is None:
            record = context.subgraph.tensors[index]
            if record.is_variable:
                raise source.unsupported("state inside of a branch or a loop")
            if record.dtype is not None:  # strings and resources are refused for what they are
                raise source.invalid(f"nothing makes its operand {record.where}")
    return True


def keep(source: Source, results: tuple[Value | None, ...]) -> None:
    """Notes the results of a rule as the tensors that the file says they are."""
    if len(results) < len(source.outputs):
        raise source.invalid(f"it has {len(source.outputs)} outputs, and makes {len(results)}")
    context = source.context
    for index, value in zip(source.outputs, results, strict=False):
        if index < 0 or value is None:
            continue
        record = context.subgraph.tensors[index]
        q, stored = record.quantization, value
        if q is not None and dtypes.is_float(value.type.dtype):
            stored = quantized(source.builder, value, q, record.dtype, source.arithmetic)
        if record.dtype == _COMPLEX and stored.type.dtype == dtypes.F32:
            context.complex.add(index)
        elif stored.type.dtype != record.dtype:
            raise source.invalid(
                f"{record.where} is {dtypes.name(record.dtype)}, not {dtypes.name(stored.type.dtype)}"
            )
        if stored.producer is not None and not stored.name:
            stored.name = record.name
        context.values[index] = stored
        context.reals.pop(index, None)
