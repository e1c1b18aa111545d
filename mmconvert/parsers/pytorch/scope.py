"""Graphs of a program, read into the IR: its own, and those that operators take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import TensorType, broadcast
from mmconvert.parsers.pytorch import views
from mmconvert.parsers.pytorch.records import Argument, Node, Record, Ref, Sym
from mmconvert.parsers.pytorch.source import Library, Source

_HINT = (
    "decompose it before saving: program.run_decompositions(), or load the module itself, where torch is "
    "installed; or explain it with mmconvert.parsers.pytorch.register"
)


class Reported(UnsupportedError):
    """Something cannot be read because of a problem that is noted already."""


class Context:
    """One graph while it is read.

    Attributes:
        library: what it shares with the others.
        record: as the program has it.
        graph: what it is read into.
        builder: writes into that.
    """

    def __init__(self, library: Library, record: Record, graph: Graph, builder: Builder) -> None:
        self.library, self.record, self.graph, self.builder = library, record, graph, builder
        self._values: dict[str, Value] = {}
        self._refused: set[str] = set()
        self._parents: dict[str, tuple[str, Node, bool]] = {}
        self._views: dict[str, list[str]] = {}
        self._derived: dict[str, tuple[Value, Value]] = {}
        self._stale: set[str] = set()
        self._taken: set[str] = set()

    # --- names ---------------------------------------------------------------------------------------

    def set(self, name: str, value: Value) -> None:
        """``name`` stands for ``value`` from here on."""
        self._values[name] = value
        self._stale.discard(name)

    def refuse(self, name: str) -> None:
        """``name`` could not be made, which is reported."""
        self._refused.add(name)

    def is_refused(self, name: str) -> bool:
        """True when ``name``, or what it is a view of, could not be made."""
        return name in self._refused

    def find(self, name: str) -> Value:
        """What ``name`` stands for now.

        Raises:
            Reported: it could not be made.
            InvalidModelError: nothing makes it.
        """
        if name in self._refused:
            raise Reported(f"{name} is not there")
        if name in self._stale:
            self._derive(name)
        if name not in self._values:
            raise InvalidModelError(f"nothing makes {name}", where=self.library.program.file)
        return self._values[name]

    # --- memory that is shared -----------------------------------------------------------------------

    def note_view(self, name: str, node: Node) -> None:
        """Notes what ``name``, an output of ``node``, shares memory with."""
        found = views.parent(node, self.record)
        if found is not None and found[0] != name:
            self._parents[name] = found[0], node, found[1]
            self._views.setdefault(found[0], []).append(name)
            self._derived[name] = self.find(found[0]), self.find(name)

    def write(self, n: Source, name: str, value: Value) -> None:
        """Puts ``value`` where ``name`` is, and into all that shares its memory.

        Raises:
            UnsupportedError: what it is a view of cannot be written through.
        """
        self._outdate(name, keep="")
        self._values[name] = value
        while name in self._parents:
            above, node, sure = self._parents[name]
            steps = [] if views.writes(node.target) else views.recipe(*self._derived[name])
            made = None if steps is None or not sure else views.put(n.builder, self.find(above), steps, value)
            if made is None:
                raise n.unsupported(
                    f"it writes into a view that {node.target} makes",
                    hint="write into the tensor itself, or into a clone of the view",
                )
            self._outdate(above, keep=name)
            self._values[above] = value = made
            name = above

    def _outdate(self, name: str, keep: str) -> None:
        for view in self._views.get(name, ()):
            if view != keep:
                self._stale.add(view)
                self._outdate(view, keep)

    def _derive(self, name: str) -> None:
        """Makes a view again, of what it is a view of now."""
        above, node, _ = self._parents[name]
        self._stale.discard(name)
        if views.writes(node.target):
            self._values[name] = self.find(above)
            return
        source = Source(node, self, self.name_of(node))
        rule = self.library.rules.find(node.target)
        assert rule is not None, "it was made by this rule before"
        with self.builder.at(source.origin):
            for made, value in zip(_flat(node.outputs), _values(rule(source, self.builder)), strict=False):
                if made == name and value is not None:
                    self._values[name] = value
                    self._derived[name] = self.find(above), value

    def name_of(self, node: Node) -> str:
        """What to call a node: by its module where it is that module's first, else by its own name too."""
        own = f"{node.module}.{node.name}" if node.module else node.name
        if (
            node.module
            and node.module_type.startswith("torch.nn.modules.")
            and node.module not in self._taken
        ):
            own = node.module
        name, number = own, 2
        while name in self._taken:
            name, number = f"{own}_{number}", number + 1
        self._taken.add(name)
        return name

    # --- reading -------------------------------------------------------------------------------------

    def read(self) -> None:
        """Reads all nodes; what is not supported is noted."""
        for node in self.record.nodes:
            self._node(node)

    def outputs(self, arguments: Sequence[Argument]) -> list[Value]:
        """The values behind outputs.

        Raises:
            Reported: one could not be made.
        """
        found = []
        for argument in arguments:
            if isinstance(argument, Ref):
                found.append(self.find(argument.name))
            else:
                found.append(self._number(argument))
        return found

    def _number(self, argument: Argument) -> Value:
        from mmconvert.parsers.pytorch import extents

        number = self.record.numbers.get(argument.name) if isinstance(argument, Sym) else argument
        if isinstance(number, float):
            return self.builder.constant(number, dtypes.F32)
        made = None if number is None else extents.value(self.builder, number, self.library.places)
        if made is None:
            raise UnsupportedError("an output that is no tensor", where=str(argument))
        return made

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Notes what is unsupported instead of stopping at it."""
        try:
            yield
        except Reported:
            pass
        except UnsupportedError as error:
            places = (error.where,) if error.where else ()
            self.library.problems += error.problems or [Problem(error.message, places, error.hint)]

    def _node(self, node: Node) -> None:
        rule = self.library.rules.find(node.target)
        mutates = rule is None and views.writes(node.target)
        if mutates:
            rule = self.library.rules.find(views.functional(node.target))
        source = Source(node, self, self.name_of(node))
        names = [name for name in _flat(node.outputs) if name is not None]
        made = False
        try:
            with self.collecting(), self.builder.at(source.origin):
                if rule is None:
                    raise UnsupportedError(f"operator {node.target}", where=source.where, hint=_HINT)
                results = _values(rule(source, self.builder))
                source.finish()
                self._keep(source, results, mutates=mutates)
                made = True
        except InvalidModelError as error:
            if error.where:
                raise
            kind = InferenceError if isinstance(error, InferenceError) else InvalidModelError
            raise kind(f"{node.target}: {error.message}", where=source.where, hint=error.hint) from error
        if not made:
            self._refused.update(name for name in names if name not in self.record.numbers)

    def _keep(self, n: Source, results: tuple[Value | None, ...], *, mutates: bool) -> None:
        names = _flat(n.node.outputs)
        if mutates:
            first = n.node.arguments[0][1]
            target = n.tensor(first)
            assert results[0] is not None
            made = fitted(n, results[0], target.type)
            self.write(n, first.name, made)
            for name in names[:1]:
                if name is not None:
                    self.set(name, made)
                    self.note_view(name, n.node)
            return
        wanted = [name for name in names if name is not None and name not in self.record.numbers]
        if len(wanted) > len(results):
            raise n.invalid(f"it has {len(names)} outputs, and makes {len(results)}")
        for name, value in zip(names, results, strict=False):
            if name is None or value is None or name in self.record.numbers:
                continue
            self._require(n, name, value.type)
            if value.producer is not None and not value.name:
                value.name = n.origin.name if len(names) == 1 else name
            self.set(name, value)
            self.note_view(name, n.node)

    def _require(self, n: Source, name: str, type: TensorType) -> None:
        """Holds what a rule made against what torch noted."""
        meta = self.record.metas.get(name)
        if meta is None:
            return
        fits = meta.type.dtype == type.dtype and meta.type.rank == type.rank
        fits = fits and all(
            a == b or not (isinstance(a, int) and isinstance(b, int))
            for a, b in zip(meta.type.shape, type.shape, strict=True)
        )
        if not fits:
            raise n.invalid(f"it makes {type}, and the program says {meta.type}")


def fitted(n: Source, x: Value, type: TensorType) -> Value:
    """``x`` as it is written into a tensor of ``type``: in its element type, broadcast to its shape."""
    x = n.cast(x, type.dtype)
    if x.type.shape == type.shape:
        return x
    broadcast(x.type, type)
    return n.builder(ops.Expand(shape=type.shape), x)


def body(n: Source, record: Record, types: Sequence[TensorType]) -> Graph:
    """Reads a graph that an operator takes into a graph of its own, with inputs of these types.

    Raises:
        Reported: something in it is not supported; it is noted.
        InvalidModelError: it takes another number of tensors.
    """
    graph = Graph("body")
    context = Context(n.context.library, record, graph, Builder(graph, origin=n.origin))
    names = [argument.name for argument in record.inputs if isinstance(argument, Ref)]
    if len(names) != len(types):
        raise n.invalid(f"its graph takes {len(names)} tensors, not {len(types)}")
    for name, type in zip(names, types, strict=True):
        context.set(name, graph.input(name, type))
    context.read()
    results = context.outputs(record.outputs)
    graph.set_outputs(results, [f"output_{i}" for i in range(len(results))])
    return graph


def inline(n: Source, record: Record, arguments: Sequence[Argument]) -> list[Value]:
    """Reads a graph that an operator takes into the graph that the operator itself is in."""
    context = Context(n.context.library, record, n.context.graph, n.builder)
    for taken, argument in zip(record.inputs, arguments, strict=True):
        if isinstance(taken, Ref):
            context.set(taken.name, n.tensor(argument))
    context.read()
    return context.outputs(record.outputs)


def _flat(outputs: tuple[Argument, ...]) -> list[str | None]:
    flat: list[str | None] = []
    for output in outputs:
        flat += _flat(output) if isinstance(output, tuple) else [output]
    return flat


def _values(results: Value | Sequence[Value | None] | None) -> tuple[Value | None, ...]:
    if results is None:
        return ()
    return (results,) if isinstance(results, Value) else tuple(results)
