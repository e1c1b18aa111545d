"""From the records of a program to a graph: one rule for each overload, and every problem collected."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, UnsupportedError, merge_problems
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Value, prune
from mmconvert.ir.model import Metadata, Module, State
from mmconvert.ir.types import TensorType
from mmconvert.parsers.pytorch import views
from mmconvert.parsers.pytorch.records import Argument, Held, Program, Ref, Sym
from mmconvert.parsers.pytorch.scope import Context
from mmconvert.parsers.pytorch.source import Library
from mmconvert.tensors import Tensor


class Converter:
    """Reads the graph of one program into the IR."""

    def __init__(self, program: Program) -> None:
        from mmconvert.parsers.pytorch.table import rules

        self.program = program
        self.library = Library(program, rules(), warnings=list(program.warnings))
        self.graph = Graph("main")
        self.context = Context(self.library, program.graph, self.graph, Builder(self.graph))
        self.states: dict[str, tuple[Held, Tensor]] = {}

    def convert(self) -> Module:
        """The whole model.

        Raises:
            UnsupportedError: with every problem of the model.
            InvalidModelError: the model is not valid.
        """
        with self.context.collecting():
            self._inputs()
            self._held()
            self.context.read()
        results: list[Value] = []
        with self.context.collecting():
            results = self.context.outputs([a for a in self.program.user_outputs if a is not None])
            after = [self._after(held) for held, _ in self.states.values()]
        if self.library.problems:
            raise self._unsupported()
        wanted = _unique([_name(a) for a in self.program.user_outputs if a is not None])
        names = _unique([*wanted, *(f"{key}_next" for key in self.states)])
        self.graph.set_outputs([*results, *after], names)
        prune(self.graph)
        kept = zip(self.states.items(), names[len(wanted) :], strict=True)
        found = tuple(State(key, name, initial) for (key, (_, initial)), name in kept)
        metadata = Metadata(format="pytorch", producer=f"torch {self.program.version}")
        return Module(self.graph, metadata, self._warnings(found), found)

    def _inputs(self) -> None:
        for argument in self.program.user_inputs:
            if isinstance(argument, Ref):
                meta = self.program.graph.metas.get(argument.name)
                if meta is None:
                    raise InvalidModelError(
                        f"the input {argument.name} is not described", where=self.program.file
                    )
                value = self.graph.input(argument.name, meta.type)
                self.context.set(argument.name, value)
                for axis, extent in enumerate(meta.type.shape):
                    if isinstance(extent, Dim) and extent.line is not None:
                        self.library.places.setdefault(extent.line[0], (value, axis))
            elif isinstance(argument, Sym):
                self._number(argument)

    def _number(self, argument: Sym) -> None:
        """An input that is an integer."""
        extent = self.program.graph.numbers.get(argument.name)
        if not isinstance(extent, Dim) or extent.name is None:
            raise UnsupportedError("an input that is no tensor", where=argument.name)
        value = self.graph.input(argument.name, TensorType(dtypes.I64, ()))
        read = self.context.builder(ops.ReadExtents(names=(extent,)), value)
        self.library.places.setdefault(extent.name, (read, -1))

    def _held(self) -> None:
        """Parameters and buffers as constants; those that are written into as inputs."""
        written = views.written_roots(self.program.graph)
        made: dict[int, Value] = {}
        for held in self.program.held:
            tensor = self.program.tensors.get(held.key)
            if tensor is None:
                raise InvalidModelError(f"the archive has no {held.key}", where=self.program.file)
            if held.name in written or held.key in self.program.buffer_outputs:
                self.states[held.key] = held, tensor
                value = self.graph.input(held.key, TensorType(tensor.dtype, tensor.shape))
            else:
                value = made.setdefault(id(tensor), self.graph.constant(tensor, held.key))
            self.context.set(held.name, value)

    def _after(self, held: Held) -> Value:
        return self.context.find(self.program.buffer_outputs.get(held.key, held.name))

    def _warnings(self, states: tuple[State, ...]) -> list[str]:
        warnings = list(dict.fromkeys(self.library.warnings))
        if states:
            shown = ", ".join(f"{state.input} -> {state.output}" for state in states)
            warnings.append(f"buffers that the model writes into are inputs and outputs now: {shown}")
        written = views.written_roots(self.program.graph) | set(self.program.changed_inputs)
        inputs = [a.name for a in self.program.user_inputs if isinstance(a, Ref) and a.name in written]
        if inputs:
            warnings.append(
                f"the model writes into its inputs, the converted one does not: {', '.join(inputs)}"
            )
        if None in self.program.user_outputs:
            warnings.append("outputs that are None are left out")
        return warnings

    def _unsupported(self) -> UnsupportedError:
        problems = merge_problems(self.library.problems)
        what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
        return UnsupportedError(f"{what} not supported", where=self.program.file, problems=problems)


def _name(argument: Argument) -> str:
    return argument.name if isinstance(argument, Ref | Sym) else "number"


def _unique(names: list[str]) -> list[str]:
    """``names``, with numbers behind those that are there already."""
    found: list[str] = []
    for name in names:
        unique, number = name, 2
        while unique in found:
            unique, number = f"{name}_{number}", number + 1
        found.append(unique)
    return found
