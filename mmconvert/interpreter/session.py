"""Plans a graph once, then runs it: constants loaded, symbolic extents bound, values freed after last use."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.interpreter.bindings import Bindings
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import LARGEST, Graph, Node, Value
from mmconvert.ir.kernels.memory import LIMIT, Pool, pooled
from mmconvert.ir.kernels.workers import single_threaded_blas
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.ops.extents import ReadExtents
from mmconvert.ir.types import Array
from mmconvert.tensors import Tensor

Precision = Literal["float32", "float64"]
"""``float32``: every value in its declared dtype. ``float64``: every floating-point value in float64."""

Trace = Callable[[Node[Op], tuple[Array, ...]], None]
"""Is handed each node with its outputs, right after the node has run. It may not modify them."""

Revise = Callable[[Node[Op], tuple[Array, ...]], tuple[Array, ...]]
"""Is handed each node with its outputs, also inside of control flow; what it returns is used instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node, with the slots it reads and writes and the slots that are free afterwards."""

    node: Node[Op]
    op: Op
    reads: tuple[int, ...]  # -1 for an operand that was left out
    writes: tuple[int, ...]
    frees: tuple[int, ...]
    overwrites: bool  # whether the first operand's memory may become the output's
    names: tuple[Extent, ...]  # of the elements of the output


def run(
    graph: Graph, inputs: Mapping[str, Array], *, precision: Precision = "float32", trace: Trace | None = None
) -> dict[str, Array]:
    """Runs a graph once.

    Args:
        graph: what to run.
        inputs: an array for each graph input, by name.
        precision: the arithmetic, see ``Precision``.
        trace: is handed every node's outputs.

    Returns:
        The graph's outputs by name; in float64 precision floating-point outputs are float64.

    Raises:
        UsageError: an input is missing, unknown, or has the wrong dtype or shape.
    """
    return Session(graph, precision, hold_weights=False).run(inputs, trace=trace)


class Session:
    """A graph made ready to run many times.

    Args:
        graph: what to run; it may not be edited while the session lives.
        precision: the arithmetic, see ``Precision``.
        hold_weights: keep the loaded weights between runs; without it each is loaded where it is used and
            dropped at once, which bounds the memory of a single run.
    """

    def __init__(self, graph: Graph, precision: Precision = "float32", *, hold_weights: bool = True) -> None:
        self.graph, self.precision, self._hold = graph, precision, hold_weights
        self._slots: dict[Value, int] = {}
        self._constants: dict[int, Tensor] = {}
        self._loaded: dict[int, Array] = {}
        self._children: dict[Graph, Session] = {}
        self._steps = self._plan()
        # A quarter of what the weights take: the memory of a run stays within its bound.
        weights = sum(tensor.nbytes for tensor in self._constants.values())
        self._pool = Pool(min(LIMIT, weights // 4)) if hold_weights else None

    def run(
        self, inputs: Mapping[str, Array], *, trace: Trace | None = None, revise: Revise | None = None
    ) -> dict[str, Array]:
        """Runs the graph over named inputs; see ``run``, and ``Revise``."""
        arrays = [self._input(value, inputs) for value in self.graph.inputs]
        if unknown := sorted(set(inputs) - {v.name for v in self.graph.inputs}):
            known = ", ".join(v.name for v in self.graph.inputs)
            raise UsageError(
                f"the model has no input called {', '.join(unknown)}", hint=f"its inputs: {known}"
            )
        results = self.run_positional(arrays, trace, revise=revise)
        return dict(zip(self.graph.output_names, results, strict=True))

    def run_positional(
        self,
        arrays: Sequence[Array],
        trace: Trace | None = None,
        *,
        known: Mapping[str, int] | None = None,
        revise: Revise | None = None,
    ) -> list[Array]:
        """Runs the graph over inputs in order; returns the outputs in order.

        Args:
            arrays: the inputs.
            trace: is handed every node's outputs.
            known: symbols of the graph around this one.
            revise: may replace what a node makes.
        """
        bindings = Bindings(known)
        live: list[Array | None] = [None] * len(self._slots)
        for value, array in zip(self.graph.inputs, arrays, strict=True):
            bindings.bind(value.type, array.shape, value.name)
            live[self._slots[value]] = array
        with single_threaded_blas(), pooled(self._pool):
            for step in self._steps:
                self._execute(step, live, bindings, trace, revise)
        return [self._read(self._slots[v], live) for v in self.graph.outputs]  # type: ignore[misc]

    def _execute(
        self,
        step: Step,
        live: list[Array | None],
        bindings: Bindings,
        trace: Trace | None,
        revise: Revise | None,
    ) -> None:
        operands = [self._read(slot, live) for slot in step.reads]
        op = step.op.bind(bindings.known)
        try:
            with np.errstate(all="ignore"):  # inf and nan are values here, as in every runtime
                results = self._evaluate(step, op, operands, bindings, revise)
        except InvalidModelError as error:
            if error.where:
                raise
            text = f"{step.op.name} cannot run: {error.message}"
            raise InvalidModelError(text, where=step.node.place, hint=error.hint) from error
        except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:
            raise InvalidModelError(f"{step.op.name} cannot run: {error}", where=step.node.place) from error
        outputs = results if isinstance(results, tuple) else (results,)
        if revise is not None:
            outputs = revise(step.node, outputs)
        for slot, value, array in zip(step.writes, step.node.outputs, outputs, strict=True):
            if array.size >= LARGEST:  # a view may claim to be that large, and what reads it would not end
                text = f"{step.op.name} makes {list(array.shape)}, which no machine holds"
                raise InvalidModelError(text, where=step.node.place)
            live[slot] = array
            bindings.discover(value.type, array.shape)
            bindings.read(step.names, array)
        if trace is not None:
            trace(step.node, outputs)
        operands.clear()
        for slot in step.frees:
            array, live[slot] = live[slot], None
            # Held by `array` and the call alone: no view of it is left either.
            unseen = isinstance(array, np.ndarray) and array.flags.owndata and sys.getrefcount(array) <= 2
            if self._pool is not None and array is not None and unseen:
                self._pool.give(array)

    def _evaluate(
        self,
        step: Step,
        op: Op,
        operands: list[Array | None],
        bindings: Bindings,
        revise: Revise | None,
    ) -> Any:
        if isinstance(op, ControlOp):
            return op.execute(functools.partial(self._subgraph, bindings, revise), *operands)
        if step.overwrites:
            x = operands[0]
            # Held by `live`, `operands`, `x` and the call itself: no view, no trace, nobody else can see it.
            if isinstance(x, np.ndarray) and x.flags.owndata and sys.getrefcount(x) <= 4:
                result = op.evaluate_in_place(x, *operands[1:])
                if result is not None:
                    return result
        return op.evaluate(*operands)

    def _read(self, slot: int, live: list[Array | None]) -> Array | None:
        if slot not in self._constants:
            return None if slot < 0 else live[slot]
        if slot in self._loaded:
            return self._loaded[slot]
        array = self._cast(self._constants[slot].numpy())
        if self._hold:
            # A weight may lie anywhere in a file; BLAS would copy it at every use.
            self._loaded[slot] = array = np.require(array, requirements="A")
        return array

    def _cast(self, array: Array) -> Array:
        wide = self.precision == "float64" and dtypes.is_float(array.dtype)
        return array.astype(np.float64) if wide and array.dtype != np.float64 else array

    def _input(self, value: Value, inputs: Mapping[str, Array]) -> Array:
        if value.name not in inputs:
            raise UsageError(f"the input {value.name!r} ({value.type}) is missing")
        array = np.asarray(inputs[value.name])
        floats = dtypes.is_float(value.type.dtype) and dtypes.is_float(array.dtype)
        if array.dtype != value.type.dtype and not floats:
            raise UsageError(f"the input {value.name!r} is {value.type}, not {array.dtype}")
        return self._cast(
            array.astype(value.type.dtype, copy=False) if self.precision == "float32" else array
        )

    def _subgraph(
        self, outer: Bindings, revise: Revise | None, graph: Graph, arrays: Sequence[Array]
    ) -> list[Array]:
        session = self._children.get(graph)
        if session is None:
            session = self._children[graph] = Session(graph, self.precision, hold_weights=self._hold)
        return session.run_positional(arrays, known=outer.known, revise=revise)

    def _slot(self, value: Value | None) -> int:
        if value is None:
            return -1
        slot = self._slots.setdefault(value, len(self._slots))
        if value.constant is not None:
            self._constants[slot] = value.constant
        return slot

    def _plan(self) -> list[Step]:
        for value in (*self.graph.inputs, *self.graph.outputs):
            self._slot(value)
        last: dict[int, Node[Op]] = {}
        for node in self.graph:
            for operand in node.inputs:
                if operand is not None and operand.constant is None:
                    last[self._slot(operand)] = node
        kept = {self._slots[v] for v in self.graph.outputs}
        steps = []
        for node in self.graph:
            reads, writes = tuple(map(self._slot, node.inputs)), tuple(map(self._slot, node.outputs))
            unused = [self._slots[v] for v in node.outputs if not v.uses]
            over = dict.fromkeys([s for s in reads if last.get(s) is node and s not in kept] + unused)
            op = _at_precision(node.op, self.precision)
            overwrites = self._overwrites(op, reads, over)
            names = op.names if isinstance(op, ReadExtents) else ()
            steps.append(Step(node, op, reads, writes, tuple(over), overwrites, names))
        return steps

    def _overwrites(self, op: Op, reads: tuple[int, ...], over: Container[int]) -> bool:
        """True when the operator can work in place and its first operand is a dying inner value."""
        if type(op).evaluate_in_place is Op.evaluate_in_place or not reads:
            return False
        first = reads[0]
        is_input = any(self._slots[v] == first for v in self.graph.inputs)
        return first in over and reads.count(first) == 1 and not is_input


def _at_precision(op: Op, precision: Precision) -> Op:
    """In float64 precision an operator that makes floats of a dtype of its own (``Cast``) makes float64."""
    if precision == "float32":
        return op
    wide: dict[str, DType] = {}
    for field in dataclasses.fields(cast(Any, op)):
        value = getattr(op, field.name)
        if isinstance(value, np.dtype) and dtypes.is_float(value):
            wide[field.name] = dtypes.F64
    return dataclasses.replace(cast(Any, op), **wide) if wide else op
