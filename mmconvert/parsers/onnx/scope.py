"""Nodes of a file, read into a graph: of the file's own graph, of the graphs in it, and of functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.ir.types import TensorType
from mmconvert.onnxlib import GraphProto, NodeProto, TensorProto
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.functions import call, definition, domain_of, is_defined, key_of
from mmconvert.parsers.onnx.order import execution_order, free_names, graphs_of, place, reads
from mmconvert.parsers.onnx.refused import is_refused, reason
from mmconvert.parsers.onnx.source import Context, Items, Source, Thing
from mmconvert.parsers.onnx.sparse import dense
from mmconvert.tensors import Tensor

MAX_CALLS = 100_000
"""How many functions may be read in the place of calls: functions of functions grow beyond all bounds."""


class Reported(UnsupportedError):
    """Something cannot be read because of a problem that is noted already."""


@dataclass(slots=True)
class Body:
    """A graph inside a node.

    Attributes:
        graph: its inputs are those of the file's graph, then one for each capture.
        captures: the values around the node that it reads.
    """

    graph: Graph
    captures: list[Value]


def body(n: Source, proto: GraphProto, types: Sequence[TensorType]) -> Body:
    """Reads a graph attribute of ``n``.

    Args:
        n: the node.
        proto: the graph.
        types: of its inputs.

    Raises:
        Reported: something in it is not supported; it is noted.
        InvalidModelError: it does not take ``types``, or is not valid.
    """
    if len(proto.input) != len(types):
        raise n.invalid(f"its graph {proto.name!r} takes {len(proto.input)} inputs, not {len(types)}")
    graph = Graph(proto.name or n.kind)
    context = nested(n.context, graph)
    for info, type in zip(proto.input, types, strict=True):
        context.values[info.name] = graph.input(info.name, type)
    names = [info.name for info in proto.output]
    results = [tensor(n, thing) for thing in _graph(context, Builder(graph, origin=n.origin), proto)]
    graph.set_outputs(results, [f"{name}_{i}" if name in names[:i] else name for i, name in enumerate(names)])
    return Body(graph, list(context.captures))


def inline(n: Source, b: Builder, proto: GraphProto) -> tuple[Thing, ...]:
    """Reads a graph attribute of ``n``, one without inputs, into the graph that ``n`` itself is in."""
    if proto.input:
        raise n.invalid(f"its graph {proto.name!r} takes inputs")
    return tuple(_graph(nested(n.context, None), b, proto))


def unrolled(n: Source, b: Builder, proto: GraphProto, arguments: Sequence[Thing]) -> list[Thing]:
    """Reads a graph attribute of ``n``, applied to ``arguments``, into the graph that ``n`` itself is in."""
    if len(proto.input) != len(arguments):
        raise n.invalid(f"its graph {proto.name!r} takes {len(proto.input)} inputs, not {len(arguments)}")
    n.context.library.calls += 1
    if n.context.library.calls > MAX_CALLS:
        raise n.invalid(f"graphs are repeated more than {MAX_CALLS} times")
    context = nested(n.context, None)
    context.values |= {info.name: thing for info, thing in zip(proto.input, arguments, strict=True)}
    return _graph(context, b, proto)


def tensor(n: Source, thing: Thing) -> Value:
    """``thing``, which has to be a tensor."""
    if isinstance(thing, Items):
        raise n.unsupported("a sequence or an optional as a result")
    return thing


def nested(outer: Context, graph: Graph | None) -> Context:
    """The context of a graph inside of a node."""
    return Context(
        outer.file,
        outer.folder,
        outer.symbols,
        outer.constants,
        problems=outer.problems,
        library=outer.library,
        versions=outer.versions,
        outer=outer,
        graph=graph,
        calls=outer.calls,
    )


def _graph(context: Context, b: Builder, proto: GraphProto) -> list[Thing]:
    """Reads a graph that is held in memory; returns its outputs."""
    for weight in proto.initializer:
        context.values[weight.name] = b.constant(_weight(context, weight), name=weight.name)
    for sparse in proto.sparse_initializer:
        context.values[sparse.values.name] = b.constant(
            dense(sparse, context.folder), name=sparse.values.name
        )
    outputs = [info.name for info in proto.output]
    Nodes(context, b).read(proto.node, [*context.values, *free_names(proto)], outputs)
    found = [context.find(name) for name in outputs]
    results = [value for value in found if value is not None]
    if len(results) < len(found):
        raise Reported("its graph is not supported")
    return results


def _weight(context: Context, proto: TensorProto) -> Tensor:
    """An initializer of a graph inside of a node; large ones are still in the file."""
    inner, place = context.library.inner, int(proto.dims[0]) if len(proto.dims) == 1 else -1
    if not proto.data_type and 0 <= place < len(inner):
        name, tensor = inner[place]
        if name == proto.name:
            return tensor
    data = proto.SerializeToString()
    return tensors.read(data, 0, len(data), context.folder)[1]


class Nodes:
    """Reads nodes through the rules, into the graph of a builder."""

    def __init__(self, context: Context, builder: Builder) -> None:
        self.context, self.builder = context, builder

    def read(
        self,
        nodes: Sequence[NodeProto],
        given: Sequence[str],
        outputs: Sequence[str],
        large: Mapping[int, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Reads what ``outputs`` depend on; what is not supported is noted in the context.

        Args:
            nodes: the nodes, in any order.
            given: the names that are there already.
            outputs: the names that are wanted.
            large: the tensor attributes that were left in the file, by the number of the node.
        """
        order = execution_order(nodes, given, outputs)
        for position in order:
            self._refuse_unknown(nodes[position])
        for position in order:
            self._node(nodes[position], (large or {}).get(position))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Notes what is unsupported instead of stopping at it."""
        try:
            yield
        except Reported:
            pass
        except UnsupportedError as error:
            places = (error.where,) if error.where else ()
            self.context.problems += error.problems or [Problem(error.message, places, error.hint)]

    def _refuse_unknown(self, node: NodeProto) -> None:
        """Finds every operator without a rule before any rule runs, so that all of them are reported."""
        domain, key, version = self._key(node)
        library = self.context.library
        if key in library.functions:
            return
        if not is_refused(domain, node.op_type) and (
            library.rules.find(key, version) or is_defined(domain, node, version)
        ):
            return
        what = f"operator {key}" + (f" of operator set {version}" if key in library.rules else "")
        self.context.problems.append(Problem(what, (place(node),), reason(domain, node.op_type)))

    def _refuse_inside(self, node: NodeProto) -> None:
        """Finds them in the graphs of a node that is not read itself."""
        for graph in graphs_of(node):
            for inner in graph.node:
                self._refuse_unknown(inner)
                self._refuse_inside(inner)

    def _key(self, node: NodeProto) -> tuple[str, str, int]:
        domain = domain_of(node.domain)
        return domain, key_of(domain, node.op_type), self.context.versions.get(domain, 1)

    def _node(self, proto: NodeProto, large: Mapping[str, Tensor] | None) -> None:
        if any(self.context.find(name) is None for name in reads(proto)):
            self._refuse_inside(proto)
            return  # reported already, upstream
        _, _, version = self._key(proto)
        source = Source(proto, version, self.context, large, self.builder)
        try:
            with self.collecting(), self.builder.at(self._origin(source)):
                results = self._apply(proto, source)
                if results is not None:
                    self._keep(source, results)
        except InvalidModelError as error:
            if error.where:
                raise
            kind = InferenceError if isinstance(error, InferenceError) else InvalidModelError
            raise kind(error.message, where=source.where, hint=error.hint) from error

    def _origin(self, source: Source) -> Origin:
        # What a function consists of is named after the call: names inside of it are not unique.
        if not self.context.calls:
            return source.origin
        outer = self.builder.origin
        return Origin(f"{outer.name}/{source.origin.name}", source.kind, source.origin.file)

    def _apply(self, proto: NodeProto, source: Source) -> tuple[Thing | None, ...] | None:
        """The results of a node; None when it was refused already."""
        domain, key, version = self._key(proto)
        library = self.context.library
        rule = None if key in library.functions else library.rules.find(key, version)
        if rule is None:
            return self._call(proto, source, key, domain)
        results = rule(source, self.builder)
        source.finish()
        return results if isinstance(results, tuple) else (results,)

    def _call(
        self, proto: NodeProto, source: Source, key: str, domain: str
    ) -> tuple[Thing | None, ...] | None:
        """Reads the body of a function in the place of its call."""
        library, context = self.context.library, self.context
        function = library.functions.get(key) or definition(domain, proto, source)
        if function is None:
            return None
        if key in context.calls:
            raise source.invalid(f"the function {key} calls itself")
        library.calls += 1
        if library.calls > MAX_CALLS:
            raise source.invalid(f"functions are called more than {MAX_CALLS} times")
        inner = nested(context, None)
        inner.outer, inner.calls = None, (*context.calls, key)
        nodes = call(function, proto, source)
        own = {domain_of(o.domain): o.version for o in function.opset_import}
        inner.versions = {**context.versions, **own}
        for index, name in enumerate(function.input):
            if source.has(index):
                inner.values[name] = source.thing(index)
        wanted = [name for i, name in enumerate(function.output) if source.wants(i)]
        Nodes(inner, self.builder).read(nodes, list(inner.values), wanted)
        found = [inner.find(name) if source.wants(i) else None for i, name in enumerate(function.output)]
        if any(value is None and source.wants(i) for i, value in enumerate(found)):
            raise Reported(f"the function {key} is not supported")
        return tuple(found)

    def _keep(self, source: Source, results: tuple[Thing | None, ...]) -> None:
        """Puts the results under the names that the file has for them."""
        for index, name in enumerate(source.outputs):
            value = results[index] if index < len(results) else None
            if not name:
                continue
            if value is None:
                raise source.unsupported(f"its output {index} is not supported")
            self.context.values[name] = value
            if isinstance(value, Value) and not value.name and not self.context.calls:
                value.name = name
