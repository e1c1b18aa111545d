"""Control flow: operators whose attributes are graphs. Sub-graphs capture nothing: what they read is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmconvert.errors import InferenceError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import ControlOp, operator
from mmconvert.ir.types import Array, Shape, TensorType


@operator
class If(ControlOp):
    """One of two graphs over the same inputs.

    condition: bool scalar. inputs: what both branches take, in order. Returns the outputs of the branch that
    ran. Element type and rank of an output are the same in both; where its extents differ, ``shapes`` names
    the extents of every result, those that only the run decides with symbols of their own. Without
    ``shapes``, the results have the types that both branches agree on.
    """

    then_branch: Graph
    else_branch: Graph
    shapes: tuple[Shape, ...] = ()

    def infer(self, condition: TensorType, *inputs: TensorType) -> tuple[TensorType, ...]:
        condition.require_bool().require_rank(0)
        for name, branch in (("then_branch", self.then_branch), ("else_branch", self.else_branch)):
            require_types(name, "inputs", [v.type for v in branch.inputs], inputs)
        found = tuple(v.type for v in self.then_branch.outputs)
        other = [v.type for v in self.else_branch.outputs]
        if not self.shapes:
            require_types("else_branch", "outputs", other, found)
            return found
        results = _with_shapes(found, self.shapes)
        _require_fit("then_branch", found, results)
        _require_fit("else_branch", other, results)
        return results

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        condition, *inputs = args
        return tuple(run(self.then_branch if condition else self.else_branch, inputs))


@operator
class While(ControlOp):
    """A graph applied to a state for as long as another one says so.

    state: any values. ``condition`` takes the state and returns a bool scalar; ``body`` takes the state and
    returns the next one, of the same types. Returns the first state for which the condition is false.
    """

    condition: Graph
    body: Graph

    def infer(self, *state: TensorType) -> tuple[TensorType, ...]:
        for name, part in (("condition", self.condition), ("body", self.body)):
            require_types(name, "inputs", [v.type for v in part.inputs], state)
        require_types("body", "outputs", [v.type for v in self.body.outputs], state)
        (goes_on,) = (v.type for v in self.condition.outputs)
        goes_on.require_bool().require_rank(0)
        return state

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        state = list(args)
        while run(self.condition, state)[0]:
            state = run(self.body, state)
        return tuple(a for a in state if a is not None)


@operator
class Loop(ControlOp):
    """A graph applied to a state a number of times, collecting what each round makes (ONNX Loop).

    trip_count: i64 scalar, the largest number of rounds; absent: no limit. condition: bool scalar, whether
    the first round runs; absent: yes. inputs: the first ``carried`` are the state, the others are the same in
    each round. ``body`` takes the number of the round (i64 scalar), the condition (bool scalar) and the
    inputs; it returns the next condition, the next state, and what is collected. Returns the last state, then
    each collected value stacked along a new first axis.

    ``shapes`` has the extents of every result; those that only the run decides are symbols of their own.
    The extents of the state as the body takes it are symbols where rounds differ.
    """

    body: Graph
    carried: int
    shapes: tuple[Shape, ...]

    def infer(
        self, trip_count: TensorType | None = None, condition: TensorType | None = None, *inputs: TensorType
    ) -> tuple[TensorType, ...]:
        if trip_count is not None:
            trip_count.require_integer().require_rank(0)
        if condition is not None:
            condition.require_bool().require_rank(0)
        number, flag, *taken = (v.type for v in self.body.inputs)
        number.require_integer().require_rank(0)
        flag.require_bool().require_rank(0)
        _require_fit("body", inputs, taken)
        goes_on, *made = (v.type for v in self.body.outputs)
        goes_on.require_bool().require_rank(0)
        _require_fit("body", made[: self.carried], taken[: self.carried])
        collected = [t.with_shape((0, *t.shape)) for t in made[self.carried :]]
        results = _with_shapes((*taken[: self.carried], *collected), self.shapes)
        for whole, part in zip(results[self.carried :], made[self.carried :], strict=True):
            _require_fit("body", [part], [whole.with_shape(whole.shape[1:])])
        return results

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        trip_count, condition, *inputs = args
        limit = None if trip_count is None else int(trip_count)
        goes_on = condition is None or bool(condition)
        state, constant = inputs[: self.carried], inputs[self.carried :]
        collected: list[list[Array]] = [[] for _ in self.shapes[self.carried :]]
        number = 0
        while goes_on and (limit is None or number < limit):
            arguments = [np.asarray(number, np.int64), np.asarray(goes_on), *state, *constant]
            next_condition, *made = run(self.body, arguments)
            goes_on, state = bool(next_condition), made[: self.carried]
            for rounds, array in zip(collected, made[self.carried :], strict=True):
                rounds.append(array)
            number += 1
        stacks = [
            np.stack(rounds) if rounds else self._nothing(index) for index, rounds in enumerate(collected)
        ]
        return (*(a for a in state if a is not None), *stacks)

    def _nothing(self, index: int) -> Array:
        """What is collected in no round; extents that nothing decides are 0."""
        shape = self.shapes[self.carried + index][1:]
        dtype = self.body.outputs[1 + self.carried + index].type.dtype
        return np.empty((0, *(e if isinstance(e, int) else 0 for e in shape)), dtype)


@operator
class Scan(ControlOp):
    """A graph applied to a state and to the slices of sequences, one after the other (ONNX Scan).

    inputs: the first ``carried`` are the state, the next are cut into slices, one for each of ``axes`` (from
    the end where ``reverse`` says so), the others are the same in each round. ``body`` takes the state, a
    slice of each, and the others; it returns the next state, of the same types, and what is collected.
    Returns the last state, then what was collected, stacked along ``output_axes``, from the end where
    ``output_reverse`` says so.
    """

    body: Graph
    carried: int
    axes: tuple[int, ...]
    reverse: tuple[bool, ...]
    output_axes: tuple[int, ...]
    output_reverse: tuple[bool, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        first, last = self.carried, self.carried + len(self.axes)
        sequences = inputs[first:last]
        if not sequences:
            raise InferenceError("a Scan needs something to cut into slices")
        rounds = [t.shape[t.axis(a)] for t, a in zip(sequences, self.axes, strict=True)]
        slices = [
            t.with_shape((*t.shape[:a], *t.shape[a + 1 :])) for t, a in zip(sequences, self.axes, strict=True)
        ]
        taken = [v.type for v in self.body.inputs]
        require_types("body", "inputs", taken, (*inputs[:first], *slices, *inputs[last:]))
        made = [v.type for v in self.body.outputs]
        require_types("body", "state", made[:first], inputs[:first])
        known = next((e for e in rounds if isinstance(e, int)), rounds[0])
        stacked = [
            t.with_shape((*t.shape[:a], known, *t.shape[a:]))
            for t, a in zip(made[first:], self.output_axes, strict=True)
        ]
        return (*inputs[:first], *stacked)

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        first, last = self.carried, self.carried + len(self.axes)
        state, constant = list(args[:first]), args[last:]
        sequences = [
            np.moveaxis(np.flip(np.asarray(a), axis) if backwards else np.asarray(a), axis, 0)
            for a, axis, backwards in zip(args[first:last], self.axes, self.reverse, strict=True)
        ]
        collected: list[list[Array]] = [[] for _ in self.output_axes]
        for slices in zip(*sequences, strict=True):
            made = run(self.body, [*state, *slices, *constant])
            state = made[:first]
            for rounds, array in zip(collected, made[first:], strict=True):
                rounds.append(array)
        return (*(a for a in state if a is not None), *map(self._stack, range(len(collected)), collected))

    def decompose(self, b: Builder, *inputs: Value) -> tuple[Value, ...]:
        from mmconvert.ir.ops.steps import as_while  # which is made of most other operators

        return as_while(self, b, inputs)

    def _stack(self, index: int, rounds: list[Array]) -> Array:
        if not rounds:
            raise ValueError("a Scan over nothing collects nothing")
        ordered = rounds[::-1] if self.output_reverse[index] else rounds
        return np.stack(ordered, axis=self.output_axes[index])


def _with_shapes(types: Sequence[TensorType], shapes: Sequence[Shape]) -> tuple[TensorType, ...]:
    if len(types) != len(shapes):
        raise InferenceError(f"there are {len(types)} results, and shapes for {len(shapes)}")
    return tuple(t.with_shape(s) for t, s in zip(types, shapes, strict=True))


def _require_fit(part: str, have: Sequence[TensorType], want: Sequence[TensorType]) -> None:
    """Holds unless an element type or a rank differs, or two numbers do: a symbol takes any extent."""
    fits = len(have) == len(want) and all(
        a.dtype == b.dtype
        and a.rank == b.rank
        and all(
            x == y or not (isinstance(x, int) and isinstance(y, int))
            for x, y in zip(a.shape, b.shape, strict=True)
        )
        for a, b in zip(have, want, strict=True)
    )
    if not fits:
        shown = [", ".join(map(str, types)) for types in (have, want)]
        raise InferenceError(f"{part}: ({shown[0]}) does not fit ({shown[1]})")


def require_types(part: str, ends: str, have: Sequence[TensorType], want: Sequence[TensorType]) -> None:
    """Holds where the ``ends`` ("inputs") of a sub-graph have the types that they are to have."""
    if list(have) != list(want):
        shown = [", ".join(map(str, types)) for types in (have, want)]
        raise InferenceError(f"the {ends} of {part} are ({shown[0]}), not ({shown[1]})")
