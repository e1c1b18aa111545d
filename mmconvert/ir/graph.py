"""Values, nodes and graphs in SSA form, with def-use chains kept by the few mutators of ``Graph``.

Every edit costs constant time (plus the number of uses it redirects). The outputs of a graph are the inputs
of its ``result`` node, so that a graph output is a use like any other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar, cast

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InferenceError, InternalError
from mmconvert.ir.dims import Bindings, Dim, Extent, substitute, symbols
from mmconvert.ir.op import Arity, Op, operands
from mmconvert.ir.types import Array, TensorType
from mmconvert.tensors import Tensor

O = TypeVar("O", bound=Op, covariant=True)  # noqa: E741

LARGEST = 1 << 44
"""No value has as many elements as this: a file that says so is broken, or wants to be."""

CONTENT_LIMIT = 64
"""Values with more elements than this are data, not shapes: their content is not followed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the source file a node came from."""

    name: str = ""
    kind: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.kind else self.name


class Value:
    """One tensor of a graph: an input, a constant, or an output of a node."""

    __slots__ = ("_content", "constant", "index", "name", "producer", "type", "uses")

    def __init__(self, type: TensorType, name: str = "", *, constant: Tensor | None = None) -> None:
        self.type, self.name, self.constant = type, name, constant
        self.producer: Node[Op] | None = None
        self.index = 0
        self.uses: dict[tuple[Node[Op], int], None] = {}
        self._content: Array | None = None

    @property
    def users(self) -> tuple[Node[Op], ...]:
        """The nodes that read this value, each once; ``graph.result`` among them when it is an output."""
        return tuple(dict.fromkeys(node for node, _ in self.uses))

    @property
    def content(self) -> Array | None:
        """The elements as an object array of extents, when they are known from shapes; else None."""
        if self._content is None and self.constant is not None:
            self._content = _elements(self.constant)
        return self._content

    @property
    def extents(self) -> tuple[Extent, ...] | None:
        """``content`` in row-major order."""
        return None if self.content is None else tuple(self.content.reshape(-1).tolist())

    def __repr__(self) -> str:
        return f"<{self.name or 'value'}: {self.type}>"


class Node(Generic[O]):
    """An operator applied to values."""

    __slots__ = ("_next", "_previous", "graph", "inputs", "name", "op", "origin", "outputs")

    def __init__(
        self, op: O, inputs: tuple[Value | None, ...], outputs: tuple[Value, ...], name: str, origin: Origin
    ) -> None:
        self.op, self.inputs, self.outputs, self.name, self.origin = op, inputs, outputs, name, origin
        self.graph: Graph | None = None
        self._previous: Node[Op] | None = None
        self._next: Node[Op] | None = None

    @property
    def output(self) -> Value:
        """The only output.

        Raises:
            InternalError: there are several.
        """
        if len(self.outputs) != 1:
            raise InternalError(f"{self} has {len(self.outputs)} outputs")
        return self.outputs[0]

    def operand(self, index: int) -> Value:
        """Input ``index``, which the operator declares as required."""
        value = self.inputs[index]
        if value is None:
            raise InternalError(f"{self} has no operand {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """Input ``index``, or None where it was left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def place(self) -> str:
        """What to call this node in a message: its place in the source file."""
        return str(self.origin) or self.name or self.op.name

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.name or self.origin.name}>"


def is_op(node: Node[Op] | None, *classes: type[O]) -> TypeGuard[Node[O]]:
    """True when ``node`` applies an operator of one of ``classes``."""
    return node is not None and isinstance(node.op, classes)


class Result(Op):
    """The end of a graph: its operands are the graph's outputs."""

    __slots__ = ()

    def infer(self, *values: TensorType) -> tuple[TensorType, ...]:
        return ()

    def evaluate(self, *values: Array) -> tuple[Array, ...]:
        return values


class Graph:
    """Nodes in execution order, from ``inputs`` to ``outputs``."""

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.output_names: list[str] = []
        self.result: Node[Op] = Node(Result(), (), (), "", Origin())
        self.result.graph = self
        self.result._previous = self.result._next = self.result
        self._count = 0
        self.edits = 0  # grows with every change, so that what was derived from the graph can be told stale

    # --- reading -------------------------------------------------------------------------------------

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The graph's outputs, in order; a value may stand here twice."""
        return tuple(v for v in self.result.inputs if v is not None)

    def __iter__(self) -> Iterator[Node[Op]]:
        """The nodes in execution order; the node in hand may be removed or replaced meanwhile."""
        node = self.result._next
        while node is not None and node is not self.result:
            yield node
            while node is not None and node.graph is None and node is not self.result:
                node = node._previous  # removed while in hand: go on from what stood before it
            node = node._next if node is not None else None

    def __reversed__(self) -> Iterator[Node[Op]]:
        node = self.result._previous
        while node is not None and node is not self.result:
            previous = node._previous
            yield node
            node = previous

    def __len__(self) -> int:
        return self._count

    def values(self) -> Iterator[Value]:
        """Every value: inputs, then for each node its constants where first used and its outputs."""
        yield from self.inputs
        seen: set[Value] = set()
        for node in (*self, self.result):
            for value in node.inputs:
                if value is not None and value.constant is not None and value not in seen:
                    seen.add(value)
                    yield value
            yield from node.outputs

    def constants(self) -> Iterator[Value]:
        """Every constant, in the order of first use."""
        return (v for v in self.values() if v.constant is not None)

    # --- editing -------------------------------------------------------------------------------------

    def input(self, name: str, type: TensorType, *, content: Array | None = None) -> Value:
        """A new graph input, after the others; ``content`` is what is known of its elements."""
        value = Value(type, name)
        value._content = content
        self.inputs.append(value)
        self.edits += 1
        return value

    def constant(self, tensor: Tensor, name: str = "") -> Value:
        """A new constant; it belongs to the graph once a node uses it."""
        return Value(TensorType(tensor.dtype, tensor.shape), name, constant=tensor)

    def add(
        self,
        op: Op,
        inputs: Sequence[Value | None],
        *,
        name: str = "",
        origin: Origin | None = None,
        before: Node[Op] | None = None,
    ) -> Node[Op]:
        """Appends a node, or inserts it ``before`` another; its output types are inferred here and now.

        Raises:
            InferenceError: the operands do not fit; the message names the origin.
        """
        origin = origin or Origin()
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        outputs = tuple(Value(t) for t in infer(op, inputs, str(origin) or name))
        node: Node[Op] = Node(op, tuple(inputs), outputs, name, origin)
        for index, value in enumerate(outputs):
            value.producer, value.index = node, index
        if len(outputs) == 1:
            _follow_content(node)
        self._link(node, before or self.result)
        for index, operand in enumerate(node.inputs):
            if operand is not None:
                operand.uses[node, index] = None
        return node

    def remove(self, node: Node[Op]) -> None:
        """Takes out a node whose outputs nobody uses."""
        if any(v.uses for v in node.outputs):
            raise InternalError(f"{node!r} is still in use")
        for index, value in enumerate(node.inputs):
            if value is not None:
                del value.uses[node, index]
        self._unlink(node)

    def set_input(self, node: Node[Op], index: int, value: Value) -> None:
        """Makes ``node`` read ``value`` as its input ``index``; the type must stay the same."""
        self.edits += 1
        old = node.inputs[index]
        if old is not None:
            _require_same_type(node, old, value)
            del old.uses[node, index]
        node.inputs = (*node.inputs[:index], value, *node.inputs[index + 1 :])
        value.uses[node, index] = None

    def replace_uses(self, old: Value, new: Value) -> None:
        """Makes every user of ``old``, graph outputs included, read ``new`` instead."""
        for node, index in list(old.uses):
            self.set_input(node, index, new)
        if not new.name:
            new.name = old.name

    def replace(self, node: Node[Op], op: Op, inputs: Sequence[Value | None]) -> Node[Op]:
        """Puts another operator in the place of ``node``; output types, names and users stay."""
        new = self.add(op, inputs, name=node.name, origin=node.origin, before=node)
        for old_value, new_value in zip(node.outputs, new.outputs, strict=True):
            self.replace_uses(old_value, new_value)
        self.remove(node)
        return new

    def set_outputs(self, values: Sequence[Value], names: Sequence[str] | None = None) -> None:
        """Declares the graph's outputs; ``names`` defaults to the values' own."""
        self.edits += 1
        for index, value in enumerate(self.result.inputs):
            if value is not None:
                del value.uses[self.result, index]
        self.result.inputs = tuple(values)
        self.output_names = list(names if names is not None else (v.name for v in values))
        for index, value in enumerate(values):
            value.uses[self.result, index] = None

    def set_output(self, index: int, value: Value) -> None:
        """Replaces one output; unlike ``set_input`` its type may change."""
        self.edits += 1
        old = self.outputs[index]
        del old.uses[self.result, index]
        self.result.inputs = (*self.result.inputs[:index], value, *self.result.inputs[index + 1 :])
        value.uses[self.result, index] = None

    def adopt(self, other: Graph) -> None:
        """Takes over everything in ``other``, which is empty afterwards, in place of what is here."""
        self.inputs, self.output_names, self.result = other.inputs, other.output_names, other.result
        self._count = other._count
        self.edits += 1
        for node in (*self, self.result):
            node.graph = self
        other.__init__(other.name)  # type: ignore[misc]

    def _link(self, node: Node[Op], before: Node[Op]) -> None:
        previous = before._previous
        assert previous is not None
        node._previous, node._next, node.graph = previous, before, self
        previous._next = before._previous = node
        self._count += 1
        self.edits += 1

    def _unlink(self, node: Node[Op]) -> None:
        previous, following = node._previous, node._next
        assert previous is not None
        assert following is not None
        previous._next, following._previous = following, previous
        node.graph = None
        self._count -= 1
        self.edits += 1

    def __repr__(self) -> str:
        return f"<graph {self.name}: {self._count} nodes>"

    def __str__(self) -> str:
        from mmconvert.ir.text import format_graph  # the text form knows the graph, not the other way round

        return format_graph(self)


def infer(op: Op, inputs: Sequence[Value | None], place: str = "") -> tuple[TensorType, ...]:
    """The output types of ``op`` over ``inputs``.

    Raises:
        InferenceError: the operands do not fit, in number or in type; an axis is counted from the end.
    """
    declared = operands(type(op))
    variadic = any(d.arity is Arity.VARIADIC for d in declared)
    if len(inputs) > len(declared) and not variadic:
        raise InferenceError(f"{op.name} takes {len(declared)} operands, not {len(inputs)}", where=place)
    for index, operand in enumerate(declared):
        if operand.arity is Arity.REQUIRED and (index >= len(inputs) or inputs[index] is None):
            raise InferenceError(f"{op.name} has no {operand.name}", where=place)
    if min((getattr(op, "axis", 0) or 0, *getattr(op, "axes", ()))) < 0:
        raise InferenceError(f"{op.name}: axes are counted from the front", where=place)
    try:
        types: Any = op.infer(*(None if v is None else v.type for v in inputs))
    except InferenceError as error:
        raise InferenceError(
            f"{op.name}: {error.message}", where=error.where or place, hint=error.hint
        ) from error
    types = types if isinstance(types, tuple) else (types,)
    if not all(_is_short(extent) for type in types for extent in type.shape):
        raise InferenceError(f"{op.name}: the formula of an extent grows beyond all bounds", where=place)
    for made in types:
        if isinstance(size := made.size, int) and size >= LARGEST:
            raise InferenceError(f"{op.name}: no machine holds a value of {made}", where=place)
    return tuple(types)


def _follow_content(node: Node[Op]) -> None:
    type = node.output.type
    if _has_content(type.dtype) and isinstance(type.size, int) and type.size <= CONTENT_LIMIT:
        types = [None if v is None else v.type for v in node.inputs]
        content = node.op.content(types, [None if v is None else v.content for v in node.inputs])
        node.output._content = content if content is None or all(map(_is_short, content.flat)) else None


def _is_short(extent: Extent) -> bool:
    # A file can square a number, or nest max(), once per node; nothing that a shape needs is as long as this.
    return abs(extent) < 1 << 64 if isinstance(extent, int) else len(str(extent)) < 1 << 12


def _elements(tensor: Tensor) -> Array | None:
    if tensor.size > CONTENT_LIMIT or not _has_content(tensor.dtype):
        return None
    return np.array([int(v) for v in tensor.numpy().reshape(-1)], dtype=object).reshape(tensor.shape)


def _has_content(dtype: DType) -> bool:
    # Shapes are computed with comparisons too: a shape with -1 in it is mended by Where(Equal(shape, -1)).
    return dtypes.is_integer(dtype) or dtype == dtypes.BOOL


def _require_same_type(node: Node[Op], old: Value, new: Value) -> None:
    if old.type != new.type:
        raise InternalError(f"a rewrite changed the type {old.type} to {new.type} at {node.place}")


def prune(graph: Graph, nodes: Iterable[Node[Op]] | None = None) -> int:
    """Removes nodes that nothing depends on; returns how many. With ``nodes``, looks at these only.

    A node that makes the numbers behind a symbol is depended on by the operators that mention the symbol.
    """
    removed = 0
    needed = _binders(graph)
    for node in reversed(graph) if nodes is None else nodes:
        if node.graph is not None and node not in needed and not any(v.uses for v in node.outputs):
            graph.remove(node)
            removed += 1
    return removed


def _binders(graph: Graph) -> set[Node[Op]]:
    """The nodes that must stay so that every symbol is known by the time an operator mentions it."""
    lines = (e.line for v in graph.inputs for e in v.type.shape if isinstance(e, Dim))
    known = {line[0] for line in lines if line is not None}
    makers: dict[str, Node[Op]] = {}
    for node in graph:
        made = [e for v in node.outputs for e in v.type.shape] + list(getattr(node.op, "names", ()))
        for extent in made:
            if isinstance(extent, Dim) and extent.name is not None and extent.name not in known:
                makers.setdefault(extent.name, node)
    if not makers:
        return set()
    needed: set[Node[Op]] = set()
    for node in reversed(graph):
        if node in needed or any(v.uses for v in node.outputs):
            needed |= {makers[s] for s in mentions(node.op) if s in makers and makers[s] is not node}
    return needed


def mentions(op: Op, bindings: Bindings | None = None) -> frozenset[str]:
    """The names of extents among the attributes of ``op`` and, for control flow, inside its graphs.

    Args:
        op: the operator.
        bindings: what stands for names and other atoms; those that are replaced do not count.
    """
    return _symbols([getattr(op, f.name) for f in dataclasses.fields(cast(Any, op))], bindings or {})


def _symbols(value: Any, bindings: Bindings) -> frozenset[str]:
    if isinstance(value, Dim):
        return symbols(substitute(value, bindings))
    if isinstance(value, Graph):
        return frozenset().union(*(mentions(node.op, bindings) for node in value))
    if isinstance(value, tuple | list):
        return frozenset().union(*(_symbols(v, bindings) for v in value))
    return frozenset()
