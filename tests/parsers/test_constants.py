from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Origin
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Cast, Fill, Shape, Slice, Split, Sqrt
from mmconvert.ir.types import Array, TensorType
from mmconvert.parsers.constants import Constants

N = Dim.symbol("n")


@dataclass(frozen=True)
class Breaks(Op):
    """An operator that cannot be computed."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def evaluate(self, x: Array) -> Array:
        raise ZeroDivisionError("by zero")


@pytest.fixture
def b() -> Builder:
    return Builder(Graph(), origin=Origin("here", "Test"))


def test_chains_are_evaluated_and_shared(b: Builder) -> None:
    root = b(Sqrt(), b.constant(np.float32([4, 9])))
    constants = Constants()
    total = constants.array(b(Add(), root, root))
    assert total is not None
    assert total.tolist() == [4, 6]
    assert constants.array(root) is constants.array(root)


def test_known_shapes_are_constants(b: Builder) -> None:
    x = b.graph.input("x", TensorType(dtypes.F32, (2, 3)))
    array = Constants().array(b(Cast(to=dtypes.F32), b(Shape(), x)))
    assert array is not None
    assert array.tolist() == [2, 3]


def test_each_output_of_a_node(b: Builder) -> None:
    first, second = b.multi(Split(axis=0, sizes=(1, 2)), b.constant(np.float32([1, 2, 3])))
    constants = Constants()
    assert [a.tolist() for a in map(constants.array, (second, first)) if a is not None] == [[2, 3], [1]]


def test_what_depends_on_data_or_symbols_is_unknown(b: Builder) -> None:
    x = b.graph.input("x", TensorType(dtypes.F32, (2,)))
    y = b.graph.input("y", TensorType(dtypes.F32, (N,)))
    table = b.constant(np.float32([1, 2, 3]))
    picked = b(Slice(axes=(0,), starts=(N,), sizes=(1,), steps=(1,)), table)
    constants = Constants()
    for value in (x, b(Add(), x, 1.0), b(Cast(to=dtypes.F32), b(Shape(), y)), picked, b(Sqrt(), picked)):
        assert constants.array(value) is None


def test_large_values_are_left_alone(b: Builder) -> None:
    huge = b(Fill(shape=(1 << 40,), value=1.0, dtype=dtypes.F32))
    assert Constants().array(b(Sqrt(), huge)) is None


def test_a_failure_names_the_node(b: Builder) -> None:
    value = b(Breaks(), b.constant(np.float32([1])))
    with pytest.raises(InvalidModelError, match="Test 'here': this cannot be computed: by zero"):
        Constants().array(value)
