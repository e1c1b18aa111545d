"""A typed view of one node of the file: operands and attributes by name, and nothing left unread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.onnxlib import AttributeProto, FunctionProto, GraphProto, NodeProto
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.external import Folder
from mmconvert.parsers.onnx.sparse import dense
from mmconvert.parsers.operands import Operands
from mmconvert.parsers.symbols import Symbols
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence of known length, or an optional that holds nothing.

    Attributes:
        values: its tensors.
        absent: it is an optional, and empty.
    """

    values: tuple[Value, ...]
    absent: bool = False

    def named(self, name: str) -> dict[str, Value]:
        """The tensors under names of their own."""
        return {f"{name}_{index}": value for index, value in enumerate(self.values)}


Thing: TypeAlias = Value | Items
"""What a name of the file stands for."""


@dataclass(slots=True)
class Library:
    """What all graphs of a file share: how operators are read, and the functions of the file.

    Attributes:
        rules: one rule for each operator.
        functions: the file's own functions, by the key that rules are kept under.
        inner: the large initializers of graphs inside of nodes, see ``reader.ModelFile``.
        calls: how many functions were read in the place of a call, so far.
        assumed: the conditions of Ifs that are taken as known, by the place of the If.
        undecided: the places of the Ifs that cannot be read before their conditions are known.
    """

    rules: Rules[str]
    functions: Mapping[str, FunctionProto] = field(default_factory=dict)
    inner: Sequence[tuple[str, Tensor]] = ()
    calls: int = 0
    assumed: Mapping[str, bool] = field(default_factory=dict)
    undecided: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Context:
    """What the nodes of a graph share.

    Attributes:
        file: the name of the file.
        folder: where tensors of attributes may lie.
        symbols: the names of unknown extents.
        constants: what is known of computed values.
        values: the IR value behind each name.
        problems: everything that cannot be represented, so far.
        library: what all graphs of the file share.
        versions: the operator sets' versions by domain.
        outer: the context around the graph, when it is part of a node.
        graph: the graph that is made of it; without one, the nodes go where those of ``outer`` are.
        captures: what the graph reads from around it: the value there -> the graph's input.
        calls: the functions whose bodies this is inside of.
    """

    file: str
    folder: Folder | None = None
    symbols: Symbols = field(default_factory=Symbols)
    constants: Constants = field(default_factory=Constants)
    values: dict[str, Thing] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    library: Library = field(default_factory=lambda: Library(Rules("ONNX")))
    versions: Mapping[str, int] = field(default_factory=dict)
    outer: Context | None = None
    graph: Graph | None = None
    captures: dict[Value, Value] = field(default_factory=dict)
    calls: tuple[str, ...] = ()

    def find(self, name: str) -> Thing | None:
        """What is behind a name, here or around here; None when it could not be made."""
        if name in self.values or self.outer is None:
            return self.values.get(name)
        value = self.outer.find(name)
        if value is None or self.graph is None:
            return value
        inner: Thing
        if isinstance(value, Items):
            captured = [self._capture(v, f"{name}_{i}", self.graph) for i, v in enumerate(value.values)]
            inner = replace(value, values=tuple(captured))
        else:
            inner = self._capture(value, name, self.graph)
        self.values[name] = inner
        return inner

    def _capture(self, value: Value, name: str, graph: Graph) -> Value:
        if value.constant is not None:
            return graph.constant(value.constant, value.name)
        if value not in self.captures:
            self.captures[value] = graph.input(name, value.type, content=value.content)
        return self.captures[value]


class Source(Operands):
    """One node: hands out operands and attributes, and remembers which attributes were asked for."""

    def __init__(
        self,
        proto: NodeProto,
        version: int,
        context: Context,
        large: Mapping[str, Tensor] | None = None,
        builder: Builder | None = None,
    ) -> None:
        """
        Args:
            proto: the node.
            version: the operator set's version that holds for it.
            context: what it shares with the other nodes.
            large: its tensor attributes that were left in the file.
            builder: writes where the node is; with it, extents may be computed while the model runs.
        """
        self.version, self.context = version, context
        self.kind = proto.op_type
        self.inputs, self.outputs = tuple(proto.input), tuple(proto.output)
        self.origin = Origin(proto.name or next(filter(None, self.outputs), ""), self.kind, context.file)
        self.where = str(self.origin)
        super().__init__(context, builder)
        self._large = dict(large or {})
        self._attributes: dict[str, AttributeProto] = {}
        for attribute in proto.attribute:
            if attribute.name in self._attributes:
                raise self.invalid(f"the attribute {attribute.name} is there twice")
            self._attributes[attribute.name] = attribute

    # --- errors --------------------------------------------------------------------------------------

    def invalid(self, message: str) -> InvalidModelError:
        """The error that this node is not valid ONNX."""
        return InvalidModelError(message, where=self.where)

    def unsupported(self, message: str, hint: str = "") -> UnsupportedError:
        """The error that this node is valid, and cannot be represented."""
        return UnsupportedError(f"{self.kind}: {message}", where=self.where, hint=hint)

    def finish(self) -> None:
        """Refuses what no rule has read.

        Raises:
            UnsupportedError: an attribute was never asked for.
        """
        if self.version < 6:
            self.ignore("consumed_inputs")  # which operands the runtime of that time could overwrite
        if self._attributes:
            names = ", ".join(sorted(self._attributes))
            raise self.unsupported(f"attributes not understood: {names}")

    # --- operands ------------------------------------------------------------------------------------

    def has(self, index: int) -> bool:
        """True when operand ``index`` is there."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def wants(self, index: int) -> bool:
        """True when output ``index`` is asked for."""
        return index < len(self.outputs) and self.outputs[index] != ""

    def operand(self, index: int) -> Value:
        """Operand ``index``.

        Raises:
            InvalidModelError: it is missing.
        """
        thing = self.thing(index)
        if isinstance(thing, Items):
            raise self.unsupported(f"of a sequence or an optional, its operand {index}")
        return thing

    def thing(self, index: int) -> Thing:
        """Operand ``index``, which may be a sequence."""
        if not self.has(index):
            raise self.invalid(f"operand {index} is missing")
        thing = self.context.find(self.inputs[index])
        assert thing is not None, "a rule runs when all operands are there"
        return thing

    def items(self, index: int) -> Items:
        """Operand ``index``, which must be a sequence."""
        thing = self.thing(index)
        if not isinstance(thing, Items) or thing.absent:
            raise self.invalid(f"operand {index} is no sequence")
        return thing

    def optional(self, index: int) -> Value | None:
        """Operand ``index``, or None when it was left out."""
        return self.operand(index) if self.has(index) else None

    def operands(self) -> list[Value]:
        """All operands of an operator that takes any number, at least one."""
        return [self.operand(index) for index in range(max(1, len(self.inputs)))]

    # --- attributes ----------------------------------------------------------------------------------

    def _take(self, name: str, *kinds: int) -> AttributeProto | None:
        attribute = self._attributes.pop(name, None)
        if attribute is not None and attribute.ref_attr_name:
            raise self.unsupported(f"{name} refers to an attribute of a function")
        if attribute is not None and attribute.type not in kinds:
            raise self.invalid(f"the attribute {name} has the wrong type")
        return attribute

    def given(self, name: str) -> bool:
        """True when the attribute is there and has not been read yet."""
        return name in self._attributes

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; without a default it must be there."""
        attribute = self._take(name, AttributeProto.INT)
        return self._default(name, default) if attribute is None else int(attribute.i)

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer attribute that is 0 or 1."""
        return self.integer(name, int(default)) != 0

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers."""
        attribute = self._take(name, AttributeProto.INTS)
        return tuple(self._default(name, default) if attribute is None else attribute.ints)

    def real(self, name: str, default: float | None = None) -> float:
        """A floating-point attribute."""
        attribute = self._take(name, AttributeProto.FLOAT)
        return self._default(name, default) if attribute is None else float(attribute.f)

    def reals(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """A list of floating-point numbers."""
        attribute = self._take(name, AttributeProto.FLOATS)
        return tuple(self._default(name, default) if attribute is None else attribute.floats)

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute."""
        attribute = self._take(name, AttributeProto.STRING)
        if attribute is None:
            return self._default(name, default)
        return attribute.s.decode("utf-8", "replace")

    def texts(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        attribute = self._take(name, AttributeProto.STRINGS)
        if attribute is None:
            return tuple(self._default(name, default))
        return tuple(text.decode("utf-8", "replace") for text in attribute.strings)

    def choice(self, name: str, default: str | None, *options: str) -> str:
        """A string attribute that is one of ``options``."""
        value = self.text(name, default)
        if value not in options:
            raise self.unsupported(f"{name}={value!r}", hint=f"known are {', '.join(options)}")
        return value

    def tensor(self, name: str) -> Tensor | None:
        """A tensor attribute, or None."""
        attribute = self._take(name, AttributeProto.TENSOR)
        if attribute is None:
            return None
        if name in self._large:
            return self._large[name]
        data = attribute.t.SerializeToString()
        try:
            return tensors.read(data, 0, len(data), self.context.folder)[1]
        except InvalidModelError as error:
            raise self.invalid(f"{name}: {error.message}") from error
        except UnsupportedError as error:
            raise self.unsupported(f"{name}: {error.message}") from error

    def sparse_tensor(self, name: str) -> Tensor:
        """A sparse tensor attribute, made dense."""
        attribute = self._take(name, AttributeProto.SPARSE_TENSOR)
        if attribute is None:
            raise self.invalid(f"the attribute {name} is missing")
        try:
            return dense(attribute.sparse_tensor, self.context.folder)
        except InvalidModelError as error:
            raise self.invalid(f"{name}: {error.message}") from error

    def dtype(self, name: str, default: DType | None = None) -> DType:
        """An attribute that is the number of an element type."""
        if default is not None and not self.given(name):
            return default
        return tensors.dtype_of(self.integer(name), self.where)

    def graph(self, name: str) -> GraphProto:
        """A graph attribute, which must be there."""
        attribute = self._take(name, AttributeProto.GRAPH)
        return self._default(name, None) if attribute is None else attribute.g

    def ignore(self, *names: str) -> None:
        """Reads attributes that say nothing about what the operator computes."""
        for name in names:
            self._attributes.pop(name, None)

    def _default(self, name: str, default: T | None) -> T:
        if default is None:
            raise self.invalid(f"the attribute {name} is missing")
        return default
