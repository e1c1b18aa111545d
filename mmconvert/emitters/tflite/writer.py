"""Collects the tensors and operators of one sub-graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.flat import Table
from mmconvert.emitters.tflite import hybrid, kernels, versions
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.extents import Extents
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.fusion import Plan, Tail
from mmconvert.emitters.tflite.grid import Dequantized, Grid
from mmconvert.emitters.tflite.integers import options_over_integers
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Extent, Shape, TensorType
from mmconvert.tensors import Tensor

_SMALL = 4096


class Writer:
    """What a rule writes to.

    Operands and results are values: those of the graph, and the ones made here (``make``, ``constant``),
    which exist in the file only.
    """

    def __init__(
        self,
        file: ModelFile,
        plan: Plan | None = None,
        *,
        subgraph: Callable[[Graph], int],
        wrap_indices: bool = True,
    ) -> None:
        """
        Args:
            file: what the sub-graphs share.
            plan: which nodes are written as part of others.
            subgraph: writes another graph into the file, and returns its index.
            wrap_indices: the source may count positions from the end, which TFLite does not.

        While an operator over integers is written, ``forms`` has the integers behind its real values; what
        they mean is in ``grids``. ``asymmetric`` says that a hybrid operator quantizes with a zero point.
        """
        self.file, self.plan, self.wrap_indices = file, plan or Plan(), wrap_indices
        self.subgraph = subgraph
        self.names: dict[Value, str] = {}
        self.grids: dict[Value, Grid] = {}
        self.forms: dict[Value, Value] = {}
        self.asymmetric = False
        self.extents = Extents(self)
        self.scope = ""
        self.tensors: list[Table] = []
        self.operators: list[Table] = []
        self._indices: dict[Value, int] = {}
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._views: dict[tuple[Tensor, tuple[int, ...]], Tensor] = {}
        self._names: dict[str, int] = {}

    # --- operators -----------------------------------------------------------------------------------

    def __call__(
        self,
        builtin: tfl.Builtin,
        inputs: Sequence[Value | None],
        outputs: Value | Sequence[Value],
        **options: Any,
    ) -> None:
        """Writes one operator. Where its kernel lacks the element type, a wider one carries the numbers.

        Raises:
            UnsupportedError: no element type that the kernel has can carry these values.
        """
        results = [outputs] if isinstance(outputs, Value) else list(outputs)
        narrow = kernels.data_type(builtin, inputs)
        wide = narrow if narrow is None else kernels.carrier(builtin, narrow)
        if narrow is None or wide is None or narrow == wide:
            self.emit(builtin, inputs, results, options)
            return
        carried = [
            self.cast(v, wide) if v is not None and kernels.is_data(builtin, i) else v
            for i, v in enumerate(inputs)
        ]
        made = [Value(v.type.with_dtype(wide)) if v.type.dtype == narrow else v for v in results]
        self.emit(builtin, carried, made, options)
        for from_, to in zip(made, results, strict=True):
            if from_ is not to:
                self.cast_into(from_, to)

    def emit(
        self,
        builtin: tfl.Builtin,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        options: dict[str, Any],
        inner: Sequence[int] = (),
    ) -> None:
        """Appends an operator as it is to the sub-graph; ``inner`` are tensors about inner results."""
        if self.forms:
            inputs = [None if v is None else self.forms.get(v, v) for v in inputs]
            outputs = [self.forms.get(v, v) for v in outputs]
            options = options_over_integers(builtin, options)
            if self.asymmetric and builtin.name == "FULLY_CONNECTED":
                options = options | {hybrid.OPTION: True}
        types = [None if v is None else v.type for v in inputs]
        scales = [self.grids[v].scale for v in inputs[:1] if v is not None and v in self.grids]
        facts = options | {"along_axis": any(scale.ndim for scale in scales)}
        number = versions.version(builtin, types, [v.type for v in outputs], facts)
        self.operators.append(
            tfl.OPERATOR(
                opcode_index=self.file.code(builtin, number),
                inputs=[-1 if v is None else self.index(v) for v in inputs],
                outputs=[self.index(v) for v in outputs],
                builtin_options_type=builtin.union,
                builtin_options=None if builtin.options is None else builtin.options(**options),
                intermediates=list(inner) or None,
            )
        )
        for value in outputs:
            self.extents.learn(value)

    def make(
        self, builtin: tfl.Builtin, inputs: Sequence[Value | None], type: TensorType, **options: Any
    ) -> Value:
        """Writes an operator with one new result of ``type``, and returns that."""
        result = Value(type, f"{self.scope}/{builtin.name.lower()}")
        self(builtin, inputs, result, **options)
        return result

    def tail(self, node: Node[Op]) -> Tail:
        """The result that the rule for ``node`` has to produce, with what it takes over on the way."""
        return self.plan.tails.get(node) or Tail(node.output)

    # --- constants -----------------------------------------------------------------------------------

    def constant(self, data: npt.ArrayLike, dtype: DType | None = None) -> Value:
        """A constant over a small array."""
        return self.tensor(Tensor.of(np.asarray(data, dtype=dtype)))

    def tensor(self, tensor: Tensor, name: str = "") -> Value:
        """A constant over a tensor, which stays lazy."""
        type = TensorType(tensor.dtype, tensor.shape)
        return self._shared(Value(type, name or f"{self.scope}/constant", constant=tensor), tensor)

    def _shared(self, value: Value, tensor: Tensor) -> Value:
        """The first constant equal to ``value``: of the same tensor, or small with the same elements."""
        small = tensor.in_memory and tensor.nbytes <= _SMALL
        grid = self.grids.get(value)
        key = (
            tensor.numpy().tobytes() if small else tensor,
            tensor.dtype,
            tensor.shape,
            grid.key if grid else None,
        )
        return self._constants.setdefault(key, value)

    def integers(self, numbers: Sequence[int]) -> Value:
        """A constant vector of i32."""
        return self.constant(np.array(numbers, dtype=np.int32))

    # --- what rules need again and again -------------------------------------------------------------

    def transpose(self, value: Value, perm: tuple[int, ...]) -> Value:
        """``value`` with its axes in another order; a constant is transposed while it is written."""
        if perm == tuple(range(len(perm))):
            return value
        if (stored := self._stored(value)) is not None:
            return self._over(value, stored.transpose(perm), self.grids[self.forms[value]].turned(perm))
        if value.constant is not None:
            key = (value.constant, perm)
            view = self._views.get(key)
            if view is None:
                view = self._views[key] = value.constant.transpose(perm)
            return self.tensor(view, value.name)
        type = value.type.with_shape(tuple(value.type.shape[p] for p in perm))
        return self.make(tfl.TRANSPOSE, (value, self.integers(perm)), type)

    def transpose_into(self, value: Value, perm: tuple[int, ...], result: Value) -> None:
        """Writes ``result`` as ``value`` with its axes in another order."""
        if perm == tuple(range(len(perm))):
            self.copy(value, result)
        else:
            self(tfl.TRANSPOSE, (value, self.integers(perm)), result)

    def reshape(self, value: Value, shape: Shape) -> Value:
        """``value`` under another shape with as many elements."""
        if value.type.shape == shape:
            return value
        if (stored := self._stored(value)) is not None and not self.grids[self.forms[value]].scale.ndim:
            wanted = known(shape, "the shape of a constant")
            return self._over(value, stored.reshape(wanted), self.grids[self.forms[value]])
        if value.constant is not None:
            return self.tensor(value.constant.reshape(known(shape, "the shape of a constant")), value.name)
        result = Value(value.type.with_shape(shape), f"{self.scope}/reshape")
        self.reshape_into(value, result)
        return result

    def reshape_into(self, value: Value, result: Value) -> None:
        """Writes ``result`` as ``value`` under its shape."""
        shape = result.type.shape
        unknown = [e for e in shape if not isinstance(e, int)]
        if len(unknown) <= 1:
            new_shape = _numbers(shape, unknown=-1)
            self(tfl.RESHAPE, (value, self.integers(new_shape)), result, new_shape=new_shape)
        elif (added := _positions_of_units(value.type.shape, shape)) is not None:
            self._expand(value, added, result)
        elif (dropped := _positions_of_units(shape, value.type.shape)) is not None:
            self(tfl.SQUEEZE, (value,), result, squeeze_dims=list(dropped))
        else:
            self(tfl.RESHAPE, (value, self.extents.vector(shape)), result)

    def _expand(self, value: Value, axes: tuple[int, ...], result: Value) -> None:
        for axis in axes[:-1]:
            shape = value.type.shape
            type = value.type.with_shape((*shape[:axis], 1, *shape[axis:]))
            value = self.make(tfl.EXPAND_DIMS, (value, self.constant(axis, dtypes.I32)), type)
        self(tfl.EXPAND_DIMS, (value, self.constant(axes[-1], dtypes.I32)), result)

    def _stored(self, value: Value) -> Tensor | None:
        """The constant integers behind a real value, while these are written in its place."""
        return self.forms[value].constant if value in self.forms else None

    def _over(self, value: Value, stored: Tensor, grid: Grid) -> Value:
        """A real value over other constant integers."""
        form = Value(TensorType(stored.dtype, stored.shape), value.name, constant=stored)
        real = Value(TensorType(value.type.dtype, stored.shape), value.name)
        self.grids[form], self.forms[real] = grid, form
        return real

    def on_grid(self, value: Value, grid: Grid) -> Value:
        """Stored integers as a tensor that says what they mean; a copy where it says otherwise."""
        known_grid = self.grids.setdefault(value, grid)
        if known_grid.same(grid):
            return value
        other = Value(value.type, value.name, constant=value.constant)
        self.grids[other] = grid
        if value.constant is None:
            self.copy(value, other)
        return other

    def copy(self, value: Value, result: Value) -> None:
        """Writes ``result`` as the same elements as ``value``."""
        self.reshape_into(value, result)

    def cast(self, value: Value, dtype: DType) -> Value:
        """``value`` in another element type; a constant is converted while it is written."""
        if value.type.dtype == dtype:
            return value
        if value.constant is not None:
            return self.tensor(value.constant.cast(dtype), value.name)
        result = Value(value.type.with_dtype(dtype), f"{self.scope}/cast")
        self.cast_into(value, result)
        return result

    def cast_into(self, value: Value, result: Value) -> None:
        """Writes ``result`` as ``value`` converted to its element type."""
        from_, to = (tensor_type(v.type.dtype) for v in (value, result))
        self.emit(tfl.CAST, (value,), (result,), {"in_data_type": from_, "out_data_type": to})

    def scale(self, value: Value, factor: float) -> Value:
        """``value * factor``; a constant is multiplied while it is written."""
        number = np.asarray(factor, value.type.dtype)
        if value.constant is not None:
            return self.tensor(value.constant.map(lambda array: array * number), value.name)
        return self.make(tfl.MUL, (value, self.constant(number)), value.type)

    # --- tensors -------------------------------------------------------------------------------------

    def input(self, value: Value) -> None:
        """Gives a graph input its tensor."""
        self.extents.learn(value)
        self.index(value)

    def index(self, value: Value) -> int:
        """The index of the tensor that stands for ``value``."""
        value = self.forms.get(value, value)
        if value.constant is not None:
            value = self._shared(value, value.constant)
        found, constant = self._indices.get(value), value.constant
        if found is None and isinstance(constant, Dequantized):
            found = self._indices[value] = self._widened(value, constant.integers, constant.grid)
        elif found is None and constant is not None and constant.stored is not None:
            found = self._indices[value] = self._widened(value, constant.stored)
        elif found is None:
            found = self._indices[value] = len(self.tensors)
            self.tensors.append(self._describe(value))
        return found

    def _widened(self, value: Value, stored: Tensor, grid: Grid | None = None) -> int:
        """The index of a constant that is stored in a narrower type; runtimes widen it once."""
        wide = Value(value.type, self._name(value))
        type = TensorType(stored.dtype, stored.shape)
        narrow = Value(type, f"{wide.name}/{dtypes.name(stored.dtype)}", constant=stored)
        if grid is not None:
            self.grids[narrow] = grid
        self.emit(tfl.DEQUANTIZE, (narrow,), (wide,), {})
        return self.index(wide)

    def _describe(self, value: Value) -> Table:
        shape, grid = value.type.shape, self.grids.get(value)
        return tfl.TENSOR(
            shape=_numbers(shape, unknown=1),
            type=tensor_type(value.type.dtype),
            buffer=0 if value.constant is None else self.file.buffer(value.constant),
            name=self._unique(self._name(value)),
            quantization=None if grid is None else grid.table(),
            has_rank=True,
            shape_signature=None if value.type.is_static else _numbers(shape, unknown=-1),
        )

    def _name(self, value: Value) -> str:
        own = self.names.get(value) or value.name or (value.producer.name if value.producer else "")
        return own or self.scope or "tensor"

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return self._unique(f"{name}_{count}") if count else name


def tensor_type(dtype: DType) -> int:
    """The schema's number of an element type.

    Raises:
        UnsupportedError: it has none.
    """
    number = tfl.TENSOR_TYPES.get(dtype)
    if number is None:
        raise UnsupportedError(f"TFLite has no tensors of {dtypes.name(dtype)}")
    return number


def known(extents: Iterable[Extent], what: str) -> tuple[int, ...]:
    """``extents`` as numbers.

    Raises:
        UnsupportedError: one is known only when the model runs; ``what`` says what needs it before.
    """
    numbers = []
    for extent in extents:
        if not isinstance(extent, int):
            raise UnsupportedError(f"TFLite needs to know {what} beforehand, and {extent} is not known")
        numbers.append(extent)
    return tuple(numbers)


def _numbers(shape: Shape, unknown: int) -> list[int]:
    return [e if isinstance(e, int) else unknown for e in shape]


def _positions_of_units(small: Shape, large: Shape) -> tuple[int, ...] | None:
    """Where axes of extent 1 go into ``small`` to give ``large``; None when that does not give it."""
    added: list[int] = []
    rest = list(small)
    for position, extent in enumerate(large):
        if rest and rest[0] == extent:
            rest.pop(0)
        elif extent == 1:
            added.append(position)
        else:
            return None
    return tuple(added) if added and not rest else None
