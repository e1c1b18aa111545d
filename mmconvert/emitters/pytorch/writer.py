"""The body of ``forward`` in the making; the rules write through it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.pytorch.code import (
    TORCH_TYPES,
    Names,
    bound,
    identifier,
    nested,
    number,
    sequence,
)
from mmconvert.emitters.pytorch.extents import Extents
from mmconvert.emitters.pytorch.flow import begins, needless, role
from mmconvert.emitters.pytorch.helpers import HELPERS
from mmconvert.emitters.pytorch.layers import Layers
from mmconvert.emitters.pytorch.loops import Statement, mark
from mmconvert.errors import InternalError, Problem, UnsupportedError
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules

Results: TypeAlias = "str | tuple[str, ...] | None"
"""What a rule returns: the expression of the result (for several, a tuple's); one for each; or None when it
has assigned them itself."""

_SMALL = 64
"""Constants of at most this many integers are written into the code."""
_INLINE = 78
"""Expressions of at most this length may stand inside of others."""
_CHAINED = 56
"""Expressions of at most this length may have something behind them."""
RESERVED = ("self", "torch", "nn", "F", "Tensor", "max", "float", "zip", "tuple", *HELPERS)
"""Names that mean something in the code."""
_SHORT = ("x", "y", "z", "u", "v")
_GROUPS = (re.compile(r"self((?:[.]\w+)+\[\d+\])"), re.compile(r"self([.]\w*?_?\d+)[._]"))
"""The part of a layer's name that its block has: up to the first place in a list, or the first number."""


@dataclass(slots=True)
class _Place:
    """Where a statement may be put in later: what binds an extent's name."""

    texts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Line:
    text: str | _Place
    level: int


class Writer:
    """Statements of one function.

    Attributes:
        layers: the modules and weights that it uses.
        helpers: the names of the functions beside the class that it uses.
        problems: what could not be written.
    """

    def __init__(self, rules: Rules[type[Op]], layers: Layers, *, dry: bool = False) -> None:
        """
        Args:
            rules: how each operator is written.
            layers: where layers and weights are put.
            dry: a node is written alone, to see whether it can be.
        """
        self.layers, self.dry = layers, dry
        self.helpers: set[str] = set()
        self.problems: list[Problem] = []
        self.names = Names(RESERVED)
        self.extents = Extents(self.names, assume_known=dry)
        self._rules = rules
        self._lines: list[_Line] = []
        self._level = 2
        self._vars: dict[Value, str] = {}
        self._left: dict[Value, int] = {}
        self._holders: dict[str, set[Value]] = {}
        self._own: list[set[str]] = [set()]
        self._pending: tuple[Value, str] | None = None
        self._node: Node[Op] | None = None
        self._device = self._block = ""
        self._seen: dict[Value, set[str]] = {}
        self._turned: dict[Value, Value] = {}
        self.count = 0
        self.done: set[Node[Op]] = set()
        """Nodes whose work is done by what their operand became."""

    # --- for the rules -------------------------------------------------------------------------------

    @property
    def node(self) -> Node[Op]:
        """The node in hand."""
        assert self._node is not None
        return self._node

    def read(self, value: Value) -> str:
        """The expression for a value, as an argument; to be used once."""
        if value.constant is not None:
            return self.layers.weight(value, self.node) if not self.dry else "self.w"
        if self._pending is not None and self._pending[0] is value:
            text, self._pending = self._pending[1], None
            self._vars[value] = ""  # nobody may ask again
            return text
        return self.name(value)

    def operand(self, value: Value) -> str:
        """The expression for a value, before a dot or beside an operator; to be used once."""
        if self._pending is not None and self._pending[0] is value and len(self._pending[1]) > _CHAINED:
            return self.name(value)
        return bound(self.read(value))

    def name(self, value: Value) -> str:
        """A name for a value, which may be used as often as needed."""
        if value.constant is not None:
            return self.read(value)
        if self.dry:
            return "x"
        if self._pending is not None and self._pending[0] is value:
            self._flush()
        self._seen.setdefault(value, set()).add(self._block)
        if not (name := self._vars.get(value, "")):
            raise InternalError(f"{value!r} is read before it is written, or twice")
        return name

    def scalar(self, value: Value, beside: TensorType | None = None) -> str | None:
        """The literal for a constant of one element; None where it is something else.

        Args:
            value: the constant.
            beside: the other operand, which must not get another rank or type by it.
        """
        tensor = value.constant
        if tensor is None or tensor.size != 1 or self._is_weight(value):
            return None
        if beside is not None and (tensor.shape and len(tensor.shape) > beside.rank):
            return None
        narrow = dtypes.is_float(tensor.dtype) and tensor.dtype.itemsize < 4
        if narrow or tensor.dtype not in TORCH_TYPES:
            return None
        return number(tensor.numpy().reshape(-1)[0], tensor.dtype)

    def tensor(self, value: Value) -> str:
        """The expression for a value as a tensor: small integer constants as buffers in the code."""
        tensor = value.constant
        if tensor is None or self.dry or self._is_weight(value):
            return self.read(value)
        if dtypes.is_float(tensor.dtype) and (tensor.size > 1 or tensor.dtype not in TORCH_TYPES):
            return self.read(value)
        if tensor.size > _SMALL or tensor.dtype not in TORCH_TYPES:
            return self.read(value)
        text = f"torch.tensor({nested(tensor.numpy(), tensor.dtype)}, dtype={TORCH_TYPES[tensor.dtype]})"
        if not tensor.size:
            text = (
                f"torch.empty({sequence([str(e) for e in tensor.shape])}, dtype={self.dtype(tensor.dtype)})"
            )
        wanted = value.name or f"{self.node.name or self.node.op.name.lower()}.constant"
        return self.layers.buffer(wanted, text)

    def turned(self, value: Value) -> str:
        """The expression for a matrix of the source's that is kept the other way round."""
        if self.dry:
            return "self.w"
        assert value.constant is not None
        if value not in self._turned:
            self._turned[value] = Value(
                TensorType(value.type.dtype, value.type.shape[::-1]),
                value.name,
                constant=value.constant.transpose((1, 0)),
            )
        return self.layers.weight(self._turned[value], self.node)

    def _is_weight(self, value: Value) -> bool:
        return bool(value.name) and self.layers.names_are_weights

    def extent(self, extent: Extent) -> str:
        """The expression for an extent."""
        return self.extents.text(extent)

    def shape(self, shape: Sequence[Extent]) -> str:
        """The expression for a shape."""
        return sequence([self.extent(e) for e in shape]) if shape else "()"

    def view(self, x: str, shape: Sequence[Extent]) -> str:
        """``x`` under another shape; one unknown extent need not be computed."""
        unknown = [i for i, e in enumerate(shape) if isinstance(e, Dim)]
        if len(unknown) == 1 and 0 not in shape:
            items = ["-1" if i == unknown[0] else str(e) for i, e in enumerate(shape)]
        else:
            items = [self.extent(e) for e in shape]
        return f"{bound(x)}.reshape({', '.join(items) if items else '()'})"

    def dtype(self, dtype: DType) -> str:
        """The expression for an element type."""
        if dtype not in TORCH_TYPES:
            raise UnsupportedError(f"PyTorch does not compute with {dtypes.name(dtype)}")
        return TORCH_TYPES[dtype]

    @property
    def device(self) -> str:
        """The expression for where tensors are to be made."""
        return self._device or '"cpu"'

    def let(self, wanted: str, expression: str) -> str:
        """Assigns something in between; returns its name."""
        name = self.names.take(identifier(wanted))
        self.line(f"{name} = {expression}")
        return name

    def line(self, text: str) -> None:
        """Writes a statement."""
        self._lines.append(_Line(text, self._level))

    def helper(self, name: str) -> str:
        """The name of a function beside the class, which is written with it."""
        assert name in HELPERS
        self.helpers.add(name)
        return name

    def require(self, condition: bool, reason: str) -> None:
        """Says that the node in hand cannot be written, and why, unless ``condition`` holds.

        Raises:
            UnsupportedError: it does not hold.
        """
        if not condition:
            raise UnsupportedError(reason)

    # --- for the graph -------------------------------------------------------------------------------

    def begin(self, inputs: Sequence[tuple[Value, str]]) -> None:
        """Takes the parameters of the function, values and their names."""
        for value, name in inputs:
            self._hold(value, name)
            self.names.take(name)
            if name in _SHORT:
                self._own[0].add(name)
            if not self._device:
                self._device = f"{name}.device"
            self._count_uses(value)
        self._learn([value for value, _ in inputs])

    def write(self, graph: Graph) -> None:
        """Writes the nodes of a graph."""
        idle = needless(graph)
        for node in graph:
            if node in idle:
                for operand in node.inputs:
                    if operand is not None and operand in self._left:
                        self._left[operand] -= 1
                continue
            if not self.write_node(node):
                self._pending = None
                for value in node.outputs:
                    self._hold(value, "missing")

    def write_node(self, node: Node[Op]) -> bool:
        """Writes one node; what cannot be written is noted in ``problems``."""
        outer, self._node = self._node, node
        if self._pending is not None and not self._is_next(self._pending[0], node):
            self._flush()
        rule = self._rules.find(type(node.op))
        self.count += 1
        try:
            if rule is None:
                raise UnsupportedError(f"PyTorch has no {node.op.name}")
            results = rule(node, self) if node not in self.done else self._passed(node)
        except UnsupportedError as error:
            self.problems.append(Problem(f"{node.op.name}: {error.message}", (node.place,)))
            self._node = outer
            return False
        if self._pending is not None:
            self._flush()
        for value in node.inputs:
            if value is not None and value in self._left:
                self._left[value] -= 1
        if results is not None:
            self._give(node, results)
        self._node = outer
        return True

    def end(self) -> None:
        """Ends a part whose last value is wanted under a name."""
        if self._pending is not None:
            self._flush()

    def assign(self, value: Value, expression: str, wanted: str = "", also: str = "") -> str:
        """Assigns an output of the node in hand to a name, which is returned.

        Args:
            value: the output.
            expression: what it is; with ``also``, the first of two.
            wanted: what to call it.
            also: what to assign the second of two to.
        """
        self._count_uses(value)
        name = self._reused(self.node, value) or self._fresh(wanted or self._wanted(value))
        self._hold(value, name)
        self._begin_block(expression)
        self.line(f"{name}, {also} = {expression}" if also else f"{name} = {expression}")
        self._learn([value])
        return name

    def alias(self, value: Value, name: str) -> None:
        """Gives a value a name that is there."""
        self._count_uses(value)
        self._hold(value, name)

    def fresh(self, wanted: str) -> str:
        """A name that nothing has."""
        return self._fresh(wanted)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """What is written inside is the body of ``header``, an ``if`` or a loop."""
        self.end()
        self.line(header)
        self._level += 1
        self._own.append(set())
        yield
        self.end()
        self._own.pop()
        self._level -= 1

    def inline(self, graph: Graph, names: Sequence[str]) -> list[str]:
        """Writes a sub-graph where the writer stands; returns the expressions of its outputs."""
        if self.dry:
            return ["x" for _ in graph.outputs]
        self.end()
        for value, name in zip(graph.inputs, names, strict=True):
            self.alias(value, name)
            self._left[value] = 1 << 30  # the name is needed in every round
        self._learn(graph.inputs)
        self.write(graph)
        self.end()
        return [self.tensor(v) if v.constant is not None else self.name(v) for v in graph.outputs]

    def statements(self) -> list[Statement]:
        """What was written, each statement with its level."""
        found: list[Statement] = []
        for line in self._lines:
            texts = [line.text] if isinstance(line.text, str) else line.text.texts
            found += [(line.level, text) for text in texts]
        return found

    # --- inside --------------------------------------------------------------------------------------

    def _passed(self, node: Node[Op]) -> str:
        """What a node that was done already passes on: its only operand that is no constant."""
        return self.read(next(v for v in node.inputs if v is not None and v.constant is None))

    def _give(self, node: Node[Op], results: str | tuple[str, ...]) -> None:
        for value in node.outputs:
            self._count_uses(value)
        if isinstance(results, tuple):
            for value, text in zip(node.outputs, results, strict=True):
                if value.uses:
                    self._assign(node, value, text)
        elif len(node.outputs) == 1:
            value = node.outputs[0]
            if self._may_wait(node, value, results):
                self._pending = value, results
                return
            self._assign(node, value, results)
        else:
            names = []
            for value in node.outputs:
                name = self._fresh(self._wanted(value)) if value.uses else "_"
                names.append(name)
                if value.uses:
                    self._hold(value, name)
            self.line(f"{', '.join(names)} = {results}")
        self._learn(node.outputs)

    def _may_wait(self, node: Node[Op], value: Value, text: str) -> bool:
        """Whether a result may stand inside of the expression of its only user, the next node."""
        following = node._next
        return (
            len(value.uses) == 1
            and following is not None
            and following is not self._result(node)
            and self._is_next(value, following)
            and not isinstance(following.op, ControlOp)
            and not begins(node, following)
            and len(text) <= _INLINE
            and not self._makes_symbols(value)
        )

    def _result(self, node: Node[Op]) -> Node[Op] | None:
        return None if node.graph is None else node.graph.result

    def _is_next(self, value: Value, node: Node[Op]) -> bool:
        return any(v is value for v in node.inputs)

    def _makes_symbols(self, value: Value) -> bool:
        return any(isinstance(e, Dim) and not self.extents.knows(e) for e in value.type.shape)

    def _flush(self) -> None:
        assert self._pending is not None
        value, text = self._pending
        self._pending = None
        assert value.producer is not None
        self._assign(value.producer, value, text)
        self._learn([value])

    def _assign(self, node: Node[Op], value: Value, text: str) -> None:
        name = self._reused(node, value) or self._fresh(self._wanted(value))
        self._hold(value, name)
        if text != name:
            self._begin_block(text)
            self.line(f"{name} = {text}")

    def _begin_block(self, text: str) -> None:
        """A line in between where the layers of another block of the source begin."""
        match = next(filter(None, (group.search(text) for group in _GROUPS)), None)
        if len(self._own) == 1 and match is not None and match[1] != self._block:
            self._block = match[1]
            self.line(mark(self._block.lstrip(".")))

    def _reused(self, node: Node[Op], made: Value) -> str:
        """A short name, or that of an operand, which nobody needs any more."""
        called = role(made)
        for name in (called,) if called else _SHORT:
            if len(self._own) == 1 and name not in self.names:
                return self._fresh(name)
            if name in self._own[-1] and self._is_free(name):
                return name
        for value in node.inputs:
            name = self._vars.get(value, "") if value is not None else ""
            if name and name in self._own[-1] and self._is_free(name):
                return name
        return ""

    def _is_free(self, name: str) -> bool:
        # What many blocks read keeps its name, so that the last of them reads like the others.
        return not any(
            self._left.get(v, 0) > 0 or len(self._seen.get(v, ())) > 2 for v in self._holders.get(name, ())
        )

    def _fresh(self, wanted: str) -> str:
        name = self.names.take(wanted)
        self._own[-1].add(name)
        return name

    def _wanted(self, value: Value) -> str:
        node = value.producer
        text = value.name or (node.name or node.op.name.lower() if node is not None else "")
        parts = [p for p in text.replace(":", "_").replace(".", "/").split("/") if p]
        name = identifier(parts[-1] if parts and not parts[-1].isdigit() else "_".join(parts[-2:]) or "y")
        name = name.lower() if name.upper() != name or len(name) > 2 else name
        return name if len(name) <= 24 else identifier(node.op.name.lower() if node else "y")

    def _hold(self, value: Value, name: str) -> None:
        old = self._vars.get(value)
        if old:
            self._holders[old].discard(value)
        self._vars[value] = name
        self._holders.setdefault(name, set()).add(value)

    def _count_uses(self, value: Value) -> None:
        self._left.setdefault(value, len(value.uses))

    def _learn(self, values: Sequence[Value]) -> None:
        """Leaves a place in which the names of the extents of ``values`` may be bound."""
        if self.dry:
            return
        place = _Place()
        for value in values:
            if name := self._vars.get(value):
                self.extents.learn(value, name, place.texts)
        self._lines.append(_Line(place, self._level))

    def bind(self, names: Sequence[Extent], text: str) -> None:
        """Says what the named extents are: the elements of the list ``text``."""
        place = _Place()
        for index, extent in enumerate(names):
            source = text if len(names) == 1 and not text.endswith("]") else f"{text}[{index}]"
            self.extents.learn_extent(extent, source, place.texts)
        self._lines.append(_Line(place, self._level))


def as_array(value: Value) -> Any:
    """The elements of a constant."""
    assert value.constant is not None
    return np.asarray(value.constant.numpy())
