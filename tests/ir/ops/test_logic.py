"""Comparisons, connectives and Where, against Python's operators."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.ops.symbolic import order
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor
from tests.cases.case import Case
from tests.cases.logic import CASES
from tests.ir.ops.rows import assert_oracle, quick
from tests.ir.ops.test_binary import by_element, vector

PYTHON: dict[type[Op], Callable[[Any, Any], Any]] = {
    ops.Equal: operator.eq,
    ops.NotEqual: operator.ne,
    ops.Less: operator.lt,
    ops.LessEqual: operator.le,
    ops.Greater: operator.gt,
    ops.GreaterEqual: operator.ge,
    ops.And: lambda a, b: a and b,
    ops.Or: lambda a, b: a or b,
    ops.Xor: operator.xor,
}
N, H = Dim.symbol("n"), Dim.symbol("h")


@pytest.mark.parametrize("case", [c for c in CASES if type(c.op) in PYTHON], ids=str)
def test_agrees_with_python(case: Case) -> None:
    assert_oracle(case, lambda a, b: by_element(PYTHON[type(case.op)], a, b))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.Not)], ids=str)
def test_not(case: Case) -> None:
    assert_oracle(case, lambda x: np.vectorize(operator.not_)(x))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.Where)], ids=str)
def test_where_chooses_element_by_element(case: Case) -> None:
    def choose(*operands: Any) -> Any:
        each = [a.reshape(-1).tolist() for a in np.broadcast_arrays(*operands)]
        chosen = [a if condition else b for condition, a, b in zip(*each, strict=True)]
        return np.array(chosen).reshape(np.broadcast_shapes(*(o.shape for o in operands)))

    assert_oracle(case, choose)


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (ops.Equal(), ("f32", "i32")),
        (ops.Less(), ("bool", "bool")),
        (ops.And(), ("bool", "i32")),
        (ops.Not(), ("i32",)),
        (ops.Where(), ("i32", "f32", "f32")),
        (ops.Where(), ("bool", "f32", "i32")),
    ],
    ids=str,
)
def test_refuses_other_element_types(op: Op, operands: tuple[str, ...]) -> None:
    with pytest.raises(InferenceError):
        op.infer(*(TensorType(dtypes.BY_NAME[name], (2,)) for name in operands))


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (3, 2, 1),
        (2, 2, 0),
        (-1, 2, -1),
        (N, N, 0),
        (N + 1, N, 1),
        (N, -1, 1),
        (-1, N, -1),
        (N, N + 2, -1),
        (N + H + 1, H, 1),
        (N, 0, None),
        (N, H, None),
        (N, 1, None),
        (2 * N, N, None),
    ],
    ids=str,
)
def test_extents_are_ordered_where_that_is_certain(a: Extent, b: Extent, wanted: int | None) -> None:
    assert order(a, b) == wanted


@quick
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 5))
def test_a_certain_order_holds_for_every_extent(slope: int, a: int, b: int, n: int) -> None:
    found = order(slope * N + a, N + b)
    left, right = slope * n + a, n + b
    assert found is None or found == (left > right) - (left < right)


@pytest.mark.parametrize(
    ("op", "a", "b", "wanted"),
    [
        (ops.Equal(), (N, 2), (-1, 2), (False, True)),
        (ops.NotEqual(), (N, 2), (N, 3), (False, True)),
        (ops.Less(), (N, 2), (N + 1, 2), (True, False)),
        (ops.LessEqual(), (N, 2), (N, 1), (True, False)),
        (ops.Greater(), (N, 2), (-1, 2), (True, False)),
        (ops.GreaterEqual(), (N, 2), (N, 3), (True, False)),
        (ops.Equal(), (N, 2), (1, 2), None),
    ],
    ids=str,
)
def test_comparisons_of_shapes_are_followed(
    op: Op, a: tuple[Extent, ...], b: tuple[Extent, ...], wanted: tuple[bool, ...] | None
) -> None:
    graph = Graph()
    assert graph.add(op, [vector(graph, a), vector(graph, b)]).output.extents == wanted


def test_a_shape_with_minus_one_is_mended() -> None:
    """What PyTorch's ``expand(-1, 4)`` is exported as: Where(Equal(wanted, -1), shape, wanted)."""
    graph = Graph()
    shape = vector(graph, (N, 1))
    wanted, minus_one = (graph.constant(Tensor.of(np.array(v))) for v in ([-1, 4], [-1, -1]))
    missing = graph.add(ops.Equal(), [wanted, minus_one]).output
    assert graph.add(ops.Where(), [missing, shape, wanted]).output.extents == (N, 4)
    both = graph.add(ops.And(), [missing, graph.add(ops.Not(), [missing]).output]).output
    assert both.extents == (False, False)
