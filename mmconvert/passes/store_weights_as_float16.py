"""Weights in half the bytes, for targets that widen them when they load the file."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Value
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.tensors import Tensor

SMALLEST = 1024
"""Constants of fewer elements stay as they are: an operator that widens them would be as large as what it
saves, and among them are epsilons and scales, where rounding does harm."""

_LARGEST = np.float32(65504)
_TINIEST = np.float32(2.0**-14)  # below, float16 has fewer digits


def store_weights_as_float16() -> Pass:
    """A pass that rounds float32 weights to float16, and remembers the float16 in ``Tensor.stored``.

    ::

        %1 = MatMul(x, %w: f32)     →    %1 = MatMul(x, %v: f32)        # %v is widened from f16

    The graph still computes with float32 constants, so no other pass sees a difference.

    Declines when: an element would overflow, or all would lose digits because they are so small.
    """
    rounded: dict[Tensor, Tensor | str] = {}

    def store(graph: Graph) -> Outcome:
        outcome = Outcome()
        for value in list(graph.constants()):
            tensor = value.constant
            if tensor is None or tensor.dtype != dtypes.F32 or tensor.stored or tensor.size < SMALLEST:
                continue
            if tensor not in rounded:
                rounded[tensor] = _obstacle(tensor) or tensor.cast(dtypes.F16).cast(dtypes.F32)
            found = rounded[tensor]
            if isinstance(found, str):
                outcome.declined.append((place(value), found))
            else:
                graph.replace_uses(value, graph.constant(found, value.name))
                outcome.done += 1
        return outcome

    store.__name__ = "store_weights_as_float16"
    return store


def _obstacle(tensor: Tensor) -> str:
    """Why float16 cannot hold a weight, or nothing."""
    largest = np.float32(0)
    for block in tensor.blocks():
        finite = np.isfinite(block)
        magnitude = np.abs(block) if finite.all() else np.abs(block[finite])
        largest = max(largest, magnitude.max(initial=0))
    if largest > _LARGEST:
        return f"stays float32: elements up to {largest:.3g} are more than float16 holds (65504)"
    if 0 < largest < _TINIEST:
        return f"stays float32: float16 has few digits for elements up to {largest:.3g}"
    return ""


def place(value: Value) -> str:
    """Which weight that is, in words."""
    users = ", ".join(dict.fromkeys(node.place for node in value.users))
    return f"the weight {value.name or 'without a name'} of {users}"
