"""An activation that is missing, or one too many: a logarithm for a probability, a sum before its Relu."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.graph import is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops.unary import Unary
from mmconvert.ir.types import Array
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant

_FUNCTIONS: tuple[tuple[str, Op], ...] = (
    ("Relu", ops.Relu()),
    ("Clip(0, 6)", ops.Clip(low=0.0, high=6.0)),
    ("Sigmoid", ops.Sigmoid()),
    ("Tanh", ops.Tanh()),
    ("Exp", ops.Exp()),
    ("Log", ops.Log()),
    ("Neg", ops.Neg()),
    ("Abs", ops.Abs()),
)


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """One operator of the segment left out; one function applied after it."""
    for node in suspect.segment.nodes:
        same = len(node.outputs) == 1 and node.inputs and node.inputs[0] is not None
        if same and node.operand(0).type.shape == node.output.type.shape and not is_op(node, ops.Identity):
            left_out = Variant(ops={node: ops.Identity()}, operands={node: (node.operand(0),)})
            yield Hypothesis(f"without {node.op.name}", varied(suspect.segment, left_out), node)
        if isinstance(node.op, Unary):
            for name, op in _FUNCTIONS:
                instead = varied(suspect.segment, Variant(ops={node: op}))
                yield Hypothesis(f"with {name} for {node.op.name}", instead, node)
    if suspect.expected.dtype != np.float64:
        return
    for name, op in _FUNCTIONS:
        yield Hypothesis(f"under {name}", partial(_applied, op, suspect.expected))
    for axis in range(suspect.expected.ndim):
        for softmax in (ops.Softmax(axis=axis), ops.LogSoftmax(axis=axis)):
            yield Hypothesis(f"under {softmax}", partial(_applied, softmax, suspect.expected))


def _applied(op: Op, array: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(op.evaluate(array))
