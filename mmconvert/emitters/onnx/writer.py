"""Collects the ONNX nodes, names and weights of a graph; the rules write through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from onnx import GraphProto, NodeProto, ValueInfoProto, helper

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.onnx import schema, spelling
from mmconvert.emitters.onnx.places import Places
from mmconvert.emitters.onnx.wire import Weight
from mmconvert.errors import InternalError, Problem, UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor

Operand: TypeAlias = Value | str | None
"""What a node reads: a value of the graph, the name of what a rule wrote before, or nothing."""

RuleTable: TypeAlias = Rules[type[Op]]


@dataclass
class Scope:
    """A graph that is being written: the main one, the body of a control operator, or one inlined there.

    Attributes:
        graph: the graph, None for a body that is put together from others.
        owner: the control operator that it is part of, None for the main one.
        nodes: what has been written.
        values: the values that the nodes make, with their types.
        extents: names of the extents and shapes that the nodes have computed so far.
        places: where extents can be read off.
    """

    graph: Graph | None
    owner: Node[Op] | None = None
    nodes: list[NodeProto] = field(default_factory=list)
    values: dict[str, TensorType] = field(default_factory=dict)
    extents: dict[Any, str] = field(default_factory=dict)
    places: Places = field(default_factory=Places)


class Names:
    """Gives every value (or node) a name of its own, the wanted one where it is free."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """``wanted``, or ``wanted`` with a number when it is taken already."""
        name, number = wanted, self._next.get(wanted, 1)
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._next[wanted] = number
        self._taken.add(name)
        return name


class Writer:
    """The file in the making.

    A rule calls the writer to add a node: ``out("Relu", x, into=node)`` makes the outputs of ``node``, and
    ``out("Relu", x)`` something in between, whose name it returns.

    Attributes:
        opset: the operator set that is written.
        weights: the constants that the nodes read, in the order of first use.
        problems: what could not be written.
        scopes: the graphs in hand, the innermost last.
    """

    def __init__(self, rules: RuleTable, opset: int, *, dry: bool = False) -> None:
        """
        Args:
            rules: how each operator is written.
            opset: the operator set to write.
            dry: a node is written alone, to see whether it can be: what it reads needs not have been written,
                and the bodies of control operators are left out.
        """
        self.opset, self.dry = opset, dry
        self.weights: dict[str, Weight] = {}
        self.problems: list[Problem] = []
        self.scopes: list[Scope] = []
        self._rules = rules
        self._values, self._nodes = Names(), Names()
        self._named: dict[Value, str] = {}
        self._types: dict[str, DType] = {}
        self._read: set[str] = set()
        self._shared: dict[Any, str] = {}
        self._widened: list[NodeProto] = []
        self._node: Node[Op] | None = None

    # --- for the rules -------------------------------------------------------------------------------

    @property
    def node(self) -> Node[Op]:
        """The node in hand."""
        if self._node is None:
            raise InternalError("no node is being written")
        return self._node

    @property
    def scope(self) -> Scope:
        """The graph in hand."""
        return self.scopes[-1]

    def __call__(
        self, kind: str, *operands: Operand, into: Node[Any] | None = None, **attributes: Any
    ) -> str:
        """Adds a node of the ONNX operator ``kind``.

        Args:
            kind: the ONNX operator.
            operands: what it reads; trailing ones that are None are left out.
            into: the node of the graph whose outputs it makes; without it, the result is one new value.
            attributes: the ONNX attributes; one that is None is left out.

        Returns:
            The name of the (first) result.
        """
        names = ["" if o is None else o if isinstance(o, str) else self.name(o) for o in operands]
        names, given = spelling.with_attributes(kind, names, attributes, self.opset, self._numbers)
        while names and not names[-1]:
            names.pop()
        base = self.node.name or self.node.op.name
        results = [self.name(v) for v in into.outputs] if into else [self._values.take(f"{base}/{kind}")]
        wide = self._carrier(kind, names)
        if wide is None:
            self._add(kind, names, results, given, base if into else f"{base}/{kind}")
        else:
            self._carried(wide, kind, names, results, given)
        return results[0]

    def name(self, value: Value) -> str:
        """The name of a value of the graph; a constant becomes a weight when it is first named."""
        known = self._named.get(value)
        if known is not None:
            return known
        if (constant := value.constant) is not None:
            name = self._named[value] = self._constant(constant, value.name or "weight")
            return name
        if self.dry:
            return self._declare(value, value.name or "value")
        raise InternalError(f"{value!r} is read before it is written")

    def _constant(self, tensor: Tensor, wanted: str) -> str:
        """A weight; one that is stored in a narrower type is widened at the start of the main graph."""
        stored = tensor.stored
        if stored is None or id(tensor) in self._shared:
            return self._weight(id(tensor), tensor, wanted)
        source = self._weight(id(stored), stored, f"{wanted}/{dtypes.name(stored.dtype)}")
        name = self._shared[id(tensor)] = self._values.take(wanted)
        self._types[name] = tensor.dtype
        proto = NodeProto(
            op_type="Cast", name=self._nodes.take(f"{name}/Cast"), input=[source], output=[name]
        )
        proto.attribute.append(helper.make_attribute("to", schema.element_type(tensor.dtype)))
        self._widened.append(proto)
        return name

    def constant(self, data: Any, dtype: DType, name: str = "constant") -> str:
        """A small constant of a rule's own; equal ones are written once."""
        array = np.asarray(data, dtype)
        key = (array.dtype, array.shape, array.tobytes())
        return self._weight(key, Tensor.of(array), name)

    def ints(self, numbers: Iterable[int]) -> str:
        """A vector of int64."""
        return self.constant(list(numbers), dtypes.I64, "ints")

    def integer(self, number: int) -> str:
        """A scalar of int64."""
        return self.constant(number, dtypes.I64, "int")

    def require(self, condition: bool, reason: str) -> None:
        """Says that the node in hand cannot be written, and why, unless ``condition`` holds.

        Raises:
            UnsupportedError: it does not hold. ``write`` notes it and goes on with the next node.
        """
        if not condition:
            raise UnsupportedError(reason, where=self.node.place)

    # --- for the graph -------------------------------------------------------------------------------

    def write(self, node: Node[Op]) -> None:
        """Writes one node; what cannot be written is noted in ``problems``."""
        self._node = node
        for index, value in enumerate(node.outputs):
            if value not in self._named:
                self._declare(value, _wanted(node, index))
            self.scope.values[self._named[value]] = value.type
        rule = self._rules.find(type(node.op), self.opset)
        start = len(self.scope.nodes)
        try:
            if rule is None:
                raise UnsupportedError(self._missing(type(node.op)))
            rule(node, self)
        except UnsupportedError as error:
            self._problem(node, error.message)
            return
        for proto in self.scope.nodes[start:]:
            if reason := schema.complaint(proto, self._types, self.opset):
                self._problem(node, reason)
                return

    def main(self, graph: Graph) -> GraphProto:
        """Writes the graph of the file; inputs and outputs keep their names."""
        proto = GraphProto(name=graph.name or "graph")
        self.scopes.append(Scope(graph))
        for value in graph.inputs:
            proto.input.append(_value_info(self._declare(value, value.name or "input"), value.type))
        for value, wanted in zip(graph.outputs, graph.output_names, strict=True):
            proto.output.append(_value_info(self._reserve(value, wanted), value.type))
        for node in graph:
            self.write(node)
        for info, value in zip(proto.output, graph.outputs, strict=True):
            if self._named.get(value) != info.name:
                self._copy(self.name(value), info.name)
        self._close(proto)
        widened = [node for node in self._widened if node.output[0] in self._read]
        self._read.update(node.input[0] for node in widened)
        # An operand that the opset has as an attribute was read when it was written.
        self.weights = {name: weight for name, weight in self.weights.items() if name in self._read}
        nodes = [*widened, *proto.node]
        del proto.node[:]
        proto.node.extend(nodes)
        return proto

    @contextmanager
    def nested(self, name: str) -> Iterator[GraphProto]:
        """What is written inside becomes the body of a control operator, the node in hand."""
        node, proto = self.node, GraphProto(name=name)
        self.scopes.append(Scope(None, node))
        yield proto
        self._close(proto)
        self._node = node

    def inline(self, graph: Graph, inputs: Sequence[str]) -> list[str]:
        """Writes a sub-graph of the node in hand where the writer stands; it may be written several times.

        Args:
            graph: what to write.
            inputs: the names of what it takes.

        Returns:
            The names of its outputs, which may be those of inputs.
        """
        node, outer = self.node, self.scope
        if self.dry:
            return [self._values.take("dry") for _ in graph.outputs]
        self._named.update(zip(graph.inputs, inputs, strict=True))
        self.scopes.append(Scope(graph, node, outer.nodes, outer.values))
        for part in graph:
            for value in part.outputs:
                self._named.pop(value, None)
            self.write(part)
        self.scopes.pop()
        self._node = node
        return [self.name(v) for v in graph.outputs]

    def take(self, proto: GraphProto, name: str, type: TensorType) -> str:
        """A new input of a body; returns its name."""
        found = self._values.take(name)
        proto.input.append(_value_info(found, type))
        return found

    def give(self, proto: GraphProto, name: str, type: TensorType) -> None:
        """A new output of a body, under another name where the body did not make the value itself."""
        made = any(name in node.output for node in self.scope.nodes)
        if not made or any(name == info.name for info in proto.output):
            name = self._copy(name, self._values.take(name))
        proto.output.append(_value_info(name, type))

    def _reserve(self, value: Value, wanted: str) -> str:
        """The name of an output, before anything else can take it."""
        if value.producer is None and self._named.get(value) == wanted:
            return wanted  # an input under its own name
        if value.producer is None or value in self._named:
            return self._values.take(wanted or "output")
        return self._declare(value, wanted or "output")

    def _close(self, proto: GraphProto) -> None:
        """Ends the graph in hand."""
        scope, outputs = self.scopes.pop(), {info.name for info in proto.output}
        proto.node.extend(scope.nodes)
        proto.value_info.extend(_value_info(n, t) for n, t in scope.values.items() if n not in outputs)

    def _copy(self, source: str, name: str) -> str:
        """A second name for a value: one that is an input, a constant or another output is an output too."""
        self._add("Identity", [source], [name], {}, f"{name}/Identity")
        return name

    def _add(
        self, kind: str, names: Sequence[str], made: Sequence[str], attributes: Mapping[str, Any], wanted: str
    ) -> None:
        """Adds a node; the types of what it makes follow from its signature, where they are not known."""
        proto = NodeProto(op_type=kind, name=self._nodes.take(wanted), input=names, output=made)
        proto.attribute.extend(helper.make_attribute(k, v) for k, v in sorted(attributes.items()))
        self.scope.nodes.append(proto)
        self._read.update(names)
        for name, dtype in zip(made, schema.results(proto, self._types, self.opset), strict=True):
            if dtype is not None:
                self._types.setdefault(name, dtype)

    def _carrier(self, kind: str, names: Sequence[str]) -> DType | None:
        """The type to compute in, where the opset does not take that of the operands."""
        dtype = self._types.get(names[0]) if names else None
        found = schema.signature(kind, self.opset)
        if dtype is None or found is None or found[0][0].takes(dtype):
            return None
        return spelling.carrier(kind, dtype, self.opset)

    def _carried(
        self, wide: DType, kind: str, names: Sequence[str], made: Sequence[str], attributes: Mapping[str, Any]
    ) -> None:
        """Adds a node that computes in another type than that of its operands."""
        found, base = schema.signature(kind, self.opset), self.node.name or self.node.op.name
        assert found is not None
        operands, results = (
            [side[min(i, len(side) - 1)].variable == found[0][0].variable for i in range(len(have))]
            for side, have in zip(found, (names, made), strict=True)
        )
        to = schema.element_type(wide)
        inner = [self("Cast", n, to=to) if n and of else n for n, of in zip(names, operands, strict=True)]
        outer = [
            self._values.take(f"{base}/{kind}") if of else n for n, of in zip(made, results, strict=True)
        ]
        self._add(kind, inner, outer, attributes, f"{base}/{kind}")
        back = {"to": schema.element_type(self._types[names[0]])}
        for source, name in zip(outer, made, strict=True):
            if source != name:
                self._add("Cast", [source], [name], back, f"{base}/Cast")

    def _numbers(self, name: str) -> Array | None:
        """The numbers of a constant."""
        weight = self.weights.get(name)
        return None if weight is None else weight.tensor.numpy()

    def _declare(self, value: Value, wanted: str) -> str:
        name = self._named[value] = self._values.take(wanted)
        self._types[name] = value.type.dtype
        return name

    def _weight(self, key: Any, tensor: Tensor, wanted: str) -> str:
        name = self._shared.get(key)
        if name is None:
            name = self._shared[key] = self._values.take(wanted)
            self._types[name] = tensor.dtype
            self.weights[name] = Weight(name, tensor)
        return name

    def _missing(self, op: type[Op]) -> str:
        later = (o for o in range(self.opset + 1, schema.NEWEST + 1) if self._rules.find(op, o))
        newer = next(later, None)
        return "ONNX has no such operator" + (f" before opset {newer}" if newer else "")

    def _problem(self, node: Node[Op], reason: str) -> None:
        self.problems.append(Problem(f"{node.op.name}: {reason}", (node.place,)))


def _wanted(node: Node[Op], index: int) -> str:
    name = node.outputs[index].name or node.name or node.op.name
    return name if len(node.outputs) == 1 or node.outputs[index].name else f"{name}_{index}"


def _value_info(name: str, type: TensorType) -> ValueInfoProto:
    info = ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = schema.element_type(type.dtype)
    shape = info.type.tensor_type.shape
    shape.SetInParent()  # a scalar has a shape too, one without axes
    for extent in type.shape:
        dim = shape.dim.add()
        if isinstance(extent, int):
            dim.dim_value = extent
        else:
            dim.dim_param = str(extent)
    return info
