"""Recurrent layers begin at zero of themselves."""

from __future__ import annotations

import numpy as np

from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import GRU, LSTM, RNN, Expand, Fill, Reshape, Slice, Squeeze, Transpose, Unsqueeze
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.outcome import Outcome

FIRST_STATE = 5
"""Where the states stand among the operands of a recurrent layer."""

LIMIT = 1 << 16
"""Constants with more elements than this are not searched."""


def drop_zero_states(graph: Graph) -> Outcome:
    """Leaves out the initial states of a recurrent layer that are zero.

    ::

        %1 = Fill() {shape=(1,n,8) value=0.0}     →    %2, %3 = GRU(x, %w, %r, %b)
        %2, %3 = GRU(x, %w, %r, %b, , %1)
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, RNN, GRU, LSTM):
            continue
        states = range(FIRST_STATE, min(len(node.inputs), FIRST_STATE + 2))
        zeros = [i for i in states if (v := node.optional(i)) is not None and _is_zero(v)]
        if zeros:
            inputs = [None if index in zeros else value for index, value in enumerate(node.inputs)]
            graph.replace(node, node.op, inputs)
            outcome.done += 1
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome


def _is_zero(value: Value) -> bool:
    """True for zeros, also after they were moved about."""
    while is_op(value.producer, Expand, Reshape, Slice, Squeeze, Transpose, Unsqueeze):
        value = value.producer.operand(0)
    if is_op(value.producer, Fill):
        return value.producer.op.value == 0
    tensor = value.constant
    return tensor is not None and tensor.size <= LIMIT and not np.any(tensor.numpy())
