"""Control flow: operators whose attributes are graphs. Sub-graphs capture nothing: what they read is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmconvert.errors import InferenceError
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import ControlOp, operator
from mmconvert.ir.types import Array, TensorType


@operator
class If(ControlOp):
    """One of two graphs over the same inputs.

    condition: bool scalar. inputs: what both branches take, in order. Returns the outputs of the branch that
    ran, which have the same types in both.
    """

    then_branch: Graph
    else_branch: Graph

    def infer(self, condition: TensorType, *inputs: TensorType) -> tuple[TensorType, ...]:
        condition.require_bool().require_rank(0)
        for name, branch in (("then_branch", self.then_branch), ("else_branch", self.else_branch)):
            _require_types(name, "inputs", [v.type for v in branch.inputs], inputs)
        found = tuple(v.type for v in self.then_branch.outputs)
        _require_types("else_branch", "outputs", [v.type for v in self.else_branch.outputs], found)
        return found

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
            _require_types(name, "inputs", [v.type for v in part.inputs], state)
        _require_types("body", "outputs", [v.type for v in self.body.outputs], state)
        (goes_on,) = (v.type for v in self.condition.outputs)
        goes_on.require_bool().require_rank(0)
        return state

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        state = list(args)
        while run(self.condition, state)[0]:
            state = run(self.body, state)
        return tuple(a for a in state if a is not None)


def _require_types(part: str, ends: str, have: Sequence[TensorType], want: Sequence[TensorType]) -> None:
    if list(have) != list(want):
        shown = [", ".join(map(str, types)) for types in (have, want)]
        raise InferenceError(f"the {ends} of {part} are ({shown[0]}), not ({shown[1]})")
