"""What usually goes wrong with attributes and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmconvert.ir.geometry import Explicit
from mmconvert.ir.types import Array
from tests.mutations.devices import Change, weight


def shifted(op: Any) -> Explicit:
    """One more before, one less after: SAME upper for lower."""
    pads = op.padding.pads
    return Explicit(
        tuple((before + 1, after - 1) if after else (before - 1, after + 1) for before, after in pads)
    )


def half_turn(array: Array) -> Array:
    """A convolution for a correlation."""
    return array[..., ::-1, ::-1]


def half_turn_nhwc(array: Array) -> Array:
    """The same with the channels last."""
    return array[:, ::-1, ::-1]


def channels(array: Array) -> Array:
    """BGR for RGB."""
    return array[:, ::-1]


def zero(array: Array) -> Array:
    """Left out."""
    return np.zeros_like(array)


def one_more(array: Array) -> Array:
    """A zero point that is off by one."""
    return array + 1


def twice(array: Array) -> Array:
    """A scale that is wrong."""
    return array * 2


def read_across(array: Array) -> Array:
    """Another order of axes under the same shape."""
    return array.transpose(range(array.ndim)[::-1]).reshape(array.shape)


def gates(*order: int) -> Callable[[Array], Array]:
    """The gates in another order, in one weight."""

    def change(array: Array) -> Array:
        parts = 2 if array.ndim == 2 else 1
        blocks = array.reshape(1, parts, len(order), -1, *array.shape[2:])
        return blocks[:, :, list(order)].reshape(array.shape)

    return change


def all_gates(*order: int) -> Change:
    """The gates in another order, in all weights."""

    def change(node: Any) -> Any:
        for index in (1, 2, 3):
            _, inputs = weight(index, gates(*order))(node)
            node = type("Changed", (), {"op": node.op, "inputs": inputs})()
        return node.op, node.inputs

    return change


def swapped(node: Any) -> Any:
    """The first two operands the other way round."""
    return node.op, (node.inputs[1], node.inputs[0], *node.inputs[2:])


def variance_for_mean(node: Any) -> Any:
    """The mean of a batch norm where its bias belongs."""
    x, scale, _, mean, variance = node.inputs
    return node.op, (x, scale, mean, mean, variance)


def other_perm(op: Any) -> tuple[int, ...]:
    """Another order where heads and positions change places."""
    return (0, 2, 3, 1) if op.perm == (0, 2, 1, 3) else op.perm
