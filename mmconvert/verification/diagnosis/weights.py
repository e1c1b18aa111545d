"""The right weights in another order, or one of them left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op, operands
from mmconvert.ir.types import Array
from mmconvert.verification.diagnosis.arrangement import orders
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant

_NAMES = {1: "weight", 2: "bias"}


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """Each constant operand in another order, zero, one, negated, or with two of a kind swapped."""
    for node in suspect.segment.nodes:
        constants = list(_constants(node))
        for index, value, array in constants:
            for text, other in _changed(array):
                run = varied(suspect.segment, Variant(constants={value: other}))
                yield Hypothesis(f"with the {_name(node, index)} {text}", run, node)
        for first, value, array in constants:
            for second, other_value, other in constants:
                if first < second and array.shape == other.shape and array.dtype == other.dtype:
                    swapped = Variant(constants={value: other, other_value: array})
                    text = f"with the operands {first} and {second} swapped"
                    yield Hypothesis(text, varied(suspect.segment, swapped), node)


def _name(node: Node[Op], index: int) -> str:
    """What an operand is called: as the operator has it, or in words where it has a letter for it."""
    declared = operands(type(node.op))
    name = declared[index].name if index < len(declared) else ""
    return name.replace("_", " ") if len(name) > 1 else _NAMES.get(index, f"operand {index}")


def _constants(node: Node[Op]) -> Iterator[tuple[int, Value, Array]]:
    for index, value in enumerate(node.inputs):
        if value is not None and value.constant is not None and value.constant.size:
            yield index, value, value.constant.numpy()


def _changed(array: Array) -> Iterator[tuple[str, Array]]:
    if array.ndim <= 1 and not dtypes.is_float(array.dtype):
        yield from (("one more", array + 1), ("one less", array - 1), ("left out", np.zeros_like(array)))
        return
    if array.ndim <= 1:
        yield "left out", np.zeros_like(array)
    yield "negated", -array
    yield "doubled", 2 * array
    yield "halved", array / 2
    if array.ndim > 2:
        spatial = tuple(range(2, array.ndim))
        yield "turned by half a turn", np.flip(array, spatial)
        yield "turned by half a turn", np.flip(array, tuple(range(1, array.ndim - 1)))
    yield from orders(array)
    if array.size > 1 and array.ndim:
        yield "one place further", np.roll(array, 1, 0)
