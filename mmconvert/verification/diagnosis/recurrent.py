"""The gates of a recurrent layer in another order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.recurrent import Recurrent
from mmconvert.ir.types import Array
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant

_WEIGHT, _RECURRENCE, _BIAS = 1, 2, 3

_PARTS = (
    ((_WEIGHT, _RECURRENCE, _BIAS), "gates"),
    ((_WEIGHT,), "gates of the weight"),
    ((_RECURRENCE,), "gates of the recurrence"),
    ((_BIAS,), "gates of the bias"),
)


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """Every order of gates, in all weights or in one of them; the halves of the bias swapped."""
    for node in suspect.segment.nodes:
        if not isinstance(node.op, Recurrent):
            continue
        gates = node.op.gates
        weights = {i: v for i in (_WEIGHT, _RECURRENCE, _BIAS) if (v := _constant(node, i)) is not None}
        for order in itertools.permutations(range(gates)):
            if order == tuple(range(gates)):
                continue
            for indices, name in _PARTS:
                changed = {v: _reordered(v, order) for i, v in weights.items() if i in indices}
                text = f"with the {name} in the order {','.join(map(str, order))}"
                yield Hypothesis(text, varied(suspect.segment, Variant(constants=changed)), node)


def _constant(node: Node[Op], index: int) -> Value | None:
    value = node.optional(index)
    return value if value is not None and value.constant is not None else None


def _reordered(value: Value, order: tuple[int, ...]) -> Array:
    """Weights ``[directions, gates * hidden, ...]``, biases ``[directions, (2 *) gates * hidden]``."""
    assert value.constant is not None
    array = value.constant.numpy()
    parts = 2 if array.ndim == 2 and array.shape[1] % (2 * len(order)) == 0 else 1
    blocks = array.reshape(array.shape[0], parts, len(order), -1, *array.shape[2:])
    return blocks[:, :, list(order)].reshape(array.shape)
