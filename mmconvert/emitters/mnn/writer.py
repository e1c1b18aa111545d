"""Collects the tensors and operators of one graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmconvert import mnnlib
from mmconvert.dtypes import DType
from mmconvert.emitters.flat import Table
from mmconvert.emitters.mnn.extents import Extents
from mmconvert.emitters.mnn.fusion import Plan, Tail
from mmconvert.emitters.mnn.schema import blob, data_type, operator
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Extent, Shape, TensorType
from mmconvert.tensors import Tensor

_SMALL = 4096


WritePart = Callable[["Writer"], tuple[list[Value], list[Value]]]
"""Writes a graph, and returns its inputs and outputs."""


class Parts(Protocol):
    """Writes the graphs inside of operators."""

    def write(self, graph: Graph) -> str:
        """Writes a sub-graph and returns its name."""

    def add(self, write: WritePart) -> str:
        """Adds a sub-graph that ``write`` writes, and returns its name."""

    def nodes(self, graph: Graph, out: Writer) -> None:
        """Writes the nodes of ``graph`` to ``out``."""


class Writer:
    """What a rule writes to.

    Operands and results are values: those of the graph, and the ones made here (``make``, ``constant``),
    which exist in the file only.

    A value of four axes may be in the file in two forms: as it is, and packed (NC4HW4), which is what
    convolutions read and write. It is made in one of them, and converted to the other when that is first
    asked for, so that operators that can work on either follow what is there.
    """

    def __init__(self, plan: Plan | None = None, parts: Parts | None = None) -> None:
        """
        Args:
            plan: which nodes are written as part of others.
            parts: writes the graphs inside of operators; without it they are passed over.
        """
        self.plan = plan or Plan()
        self._parts = parts
        self._ends: dict[Value, str] = {}
        self.extents = Extents(self)
        self.scope = ""
        self.tensors: list[str] = []
        self.operators: list[Table] = []
        self._indices: dict[tuple[Value, bool], int] = {}
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._reshaped: dict[tuple[Value, Shape], Value] = {}
        self._names: dict[str, int] = {}

    # --- operators -----------------------------------------------------------------------------------

    def __call__(
        self,
        kind: str,
        inputs: Sequence[Value],
        outputs: Value | Sequence[Value],
        *,
        packed: bool = False,
        plain: Sequence[Value] = (),
        layout: int = mnnlib.NHWC,
        **parameters: Any,
    ) -> None:
        """Writes one operator.

        Args:
            kind: its name in the schema.
            inputs, outputs: its operands and results.
            packed: whether they are packed; operands that are constants, or have not four axes, are not.
            plain: the operands that are not packed all the same.
            layout: the operator's default layout.
            **parameters: slots of its parameter table.
        """
        results = [outputs] if isinstance(outputs, Value) else list(outputs)
        for value in (*inputs, *results):
            data_type(value.type.dtype)
        read = [self.index(v, packed=packed and v not in plain and self.can_pack(v)) for v in inputs]
        written = [self._add(v, packed=packed and self.can_pack(v)) for v in results]
        name = self.tensors[written[0]] if written else self.scope
        self.operators.append(operator(kind, read, written, name, layout, **parameters))
        for value in results:
            self.extents.learn(value)

    def make(
        self, kind: str, inputs: Sequence[Value], type: TensorType, *, packed: bool = False, **parameters: Any
    ) -> Value:
        """Writes an operator with one new result of ``type``, and returns that."""
        result = Value(type, f"{self.scope}/{kind}")
        self(kind, inputs, result, packed=packed, **parameters)
        return result

    def tail(self, node: Node[Op]) -> Tail:
        """The result that the rule for ``node`` has to produce, with what it takes over on the way."""
        return self.plan.tails.get(node) or Tail(node.output)

    def can_pack(self, value: Value) -> bool:
        """True for values that may be packed."""
        return value.type.rank == 4 and value.constant is None

    def is_packed(self, *values: Value) -> bool:
        """True when one of ``values`` is there in packed form only, and all others may be packed."""
        apart = [v for v in values if self.can_pack(v)]
        return len(apart) == len(values) and any((v, False) not in self._indices for v in apart)

    # --- graphs inside of operators ------------------------------------------------------------------

    def subgraph(self, graph: Graph) -> str:
        """Writes another graph into the file, and returns its name."""
        return self._parts.write(graph) if self._parts else ""

    def part(self, write: WritePart) -> str:
        """Has ``write`` write another graph into the file, and returns its name."""
        return self._parts.add(write) if self._parts else ""

    def inline(self, graph: Graph, operands: Sequence[Value]) -> Sequence[Value]:
        """Writes the nodes of ``graph`` over ``operands`` at this place, and returns its outputs."""
        for value, operand in zip(graph.inputs, operands, strict=True):
            self._indices[value, False] = self.index(operand)
        if self._parts:
            scope, self.scope = self.scope, ""
            self._parts.nodes(graph, self)
            self.scope = scope
        return graph.outputs

    # --- constants -----------------------------------------------------------------------------------

    def constant(self, data: npt.ArrayLike, dtype: DType | None = None) -> Value:
        """A constant over a small array."""
        return self.tensor(Tensor.of(np.asarray(data, dtype=dtype)))

    def tensor(self, tensor: Tensor, name: str = "") -> Value:
        """A constant over a tensor, which stays lazy."""
        return self._shared(
            Value(TensorType(tensor.dtype, tensor.shape), name or f"{self.scope}/constant", constant=tensor)
        )

    def _shared(self, value: Value) -> Value:
        """The first constant equal to ``value``: of the same tensor, or small with the same elements."""
        tensor = value.constant
        assert tensor is not None
        small = tensor.in_memory and tensor.nbytes <= _SMALL
        key = (tensor.numpy().tobytes() if small else tensor, tensor.dtype, tensor.shape)
        return self._constants.setdefault(key, value)

    def integers(self, numbers: Sequence[int]) -> Value:
        """A constant vector of i32."""
        return self.constant(np.array(numbers, dtype=np.int32))

    # --- what rules need again and again -------------------------------------------------------------

    def unary(self, name: str, x: Value, result: Value | None = None) -> Value:
        """Writes an elementwise function of the schema's name, and returns its result."""
        result = result or Value(x.type, f"{self.scope}/{name}")
        kind: dict[str, Any] = {"opType": mnnlib.UNARY[name], "T": data_type(x.type.dtype)}
        self("UnaryOp", (x,), result, packed=self.is_packed(x), **kind)
        return result

    def binary(self, name: str, a: Value, b: Value, result: Value, *, relu: bool = False) -> Value:
        """Writes an elementwise operator of the schema's name over two operands, and returns its result.

        Packed operands are as large as the result, or have one element for each of its channels.
        """
        kind: dict[str, Any] = {"opType": mnnlib.BINARY[name], "T": data_type(a.type.dtype)}
        kind |= {"activationType": 1} if relu else {}
        operands = [v for v in (a, b) if v.type.size != 1 or v.constant is None]
        shape = result.type.shape
        fits = all(v.type.shape in (shape, (*shape[:2], 1, 1)) for v in operands)
        self("BinaryOp", (a, b), result, packed=fits and self.is_packed(*operands), **kind)
        return result

    def transpose(self, value: Value, perm: tuple[int, ...], result: Value | None = None) -> Value:
        """``value`` with its axes in another order; a constant is transposed while it is written."""
        if result is None:
            if perm == tuple(range(len(perm))):
                return value
            if value.constant is not None:
                return self.tensor(value.constant.transpose(perm), value.name)
            shape = tuple(value.type.shape[p] for p in perm)
            result = Value(value.type.with_shape(shape), f"{self.scope}/transpose")
        self("Permute", (value,), result, dims=list(perm))
        return result

    def reshape(self, value: Value, shape: Shape) -> Value:
        """``value`` under another shape with as many elements."""
        if value.type.shape == shape:
            return value
        if value.constant is not None:
            return self.tensor(value.constant.reshape(known(shape, "the shape of a constant")), value.name)
        if (value, shape) not in self._reshaped:
            made = Value(value.type.with_shape(shape), f"{self.scope}/reshape")
            self._reshaped[value, shape] = self.reshape_into(value, made)
        return self._reshaped[value, shape]

    def reshape_into(self, value: Value, result: Value) -> Value:
        """Writes ``result`` as ``value`` under its shape; of a constant as another one.

        MNN 3.6.1 crashes where something is reshaped to a scalar.
        """
        if value.constant is not None and (fixed := _numbers(result.type.shape)) is not None:
            self._constant(value.constant.reshape(fixed), result)
            return result
        shape = result.type.shape
        if not shape:
            self("Squeeze", (value,), result, squeezeDims=list(range(value.type.rank)))
        elif sum(not isinstance(e, int) for e in shape) <= 1:
            dims = [e if isinstance(e, int) else -1 for e in shape]
            self("Reshape", (value,), result, dims=dims, dimType=mnnlib.NCHW)
        else:
            self("Reshape", (value, self.extents.vector(shape)), result, dimType=mnnlib.NCHW)
        return result

    def copy(self, value: Value, result: Value) -> None:
        """Writes ``result`` as the same elements as ``value``."""
        self.reshape_into(value, result)

    # --- tensors -------------------------------------------------------------------------------------

    def name_ends(self, names: dict[Value, str]) -> None:
        """Keeps the names of inputs and outputs, each for the tensor that it belongs to."""
        self._ends = names
        self._names.update(dict.fromkeys(names.values(), 1))

    def inputs(self, values: Sequence[Value]) -> None:
        """Gives all inputs of a graph their tensors."""
        for value in values:
            self.input(value)

    def input(self, value: Value) -> None:
        """Gives a graph input its tensor."""
        index = self._add(value, packed=False)
        dims = [e if isinstance(e, int) else -1 for e in value.type.shape]
        parameters = {"dims": dims, "dtype": data_type(value.type.dtype), "dformat": mnnlib.NCHW}
        self.operators.append(operator("Input", [], [index], self.tensors[index], mnnlib.NHWC, **parameters))
        self.extents.learn(value)

    def index(self, value: Value, *, packed: bool = False) -> int:
        """The index of the tensor that stands for ``value``, in packed form or as it is."""
        if value.constant is not None:
            value = self._shared(value)
        found = self._indices.get((value, packed))
        if found is not None:
            return found
        if value.constant is not None:
            return self._constant(value.constant, value)
        return self._convert(value, packed=packed)

    def _constant(self, tensor: Tensor, value: Value) -> int:
        """Writes the elements of ``tensor`` as ``value``."""
        index = self._add(value, packed=False)
        table = blob(tensor)
        self.operators.append(
            operator("Const", [], [index], self.tensors[index], mnnlib.NHWC, **table.values)
        )
        return index

    def _convert(self, value: Value, *, packed: bool) -> int:
        """Packs or unpacks a value."""
        from_, to = mnnlib.NC4HW4 if not packed else mnnlib.NCHW, mnnlib.NC4HW4 if packed else mnnlib.NCHW
        source = self._indices[value, not packed]
        index = self._add(value, packed=packed)
        self.operators.append(
            operator(
                "ConvertTensor", [source], [index], self.tensors[index], mnnlib.NHWC, source=from_, dest=to
            )
        )
        return index

    def _add(self, value: Value, *, packed: bool) -> int:
        index = self._indices[value, packed] = len(self.tensors)
        end = None if packed else self._ends.get(value)
        self.tensors.append(self._unique(self._name(value)) if end is None else end)
        return index

    def _name(self, value: Value) -> str:
        return value.name or (value.producer.name if value.producer else "") or self.scope or "tensor"

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return self._unique(f"{name}_{count}") if count else name


def _numbers(extents: Shape) -> tuple[int, ...] | None:
    numbers = tuple(e for e in extents if isinstance(e, int))
    return numbers if len(numbers) == len(extents) else None


def known(extents: Iterable[Extent], what: str) -> tuple[int, ...]:
    """``extents`` as numbers.

    Raises:
        UnsupportedError: one is known only when the model runs; ``what`` says what needs it before.
    """
    numbers = []
    for extent in extents:
        if not isinstance(extent, int):
            raise UnsupportedError(f"MNN needs to know {what} beforehand, and {extent} is not known")
        numbers.append(extent)
    return tuple(numbers)
