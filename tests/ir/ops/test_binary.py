"""Arithmetic on two tensors, against Python's own; broadcasting against NumPy's."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, mutually_broadcastable_shapes

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.dims import Dim, Extent, maximum
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from mmconvert.tensors import Tensor
from tests.cases.binary import CASES
from tests.cases.case import Case
from tests.ir.ops.rows import assert_oracle, evaluate, quick


def divide(a: Any, b: Any) -> Any:
    return math.trunc(Fraction(a, b)) if isinstance(a, int) else a / b


def fmod(a: Any, b: Any) -> Any:
    return a - math.trunc(Fraction(a, b)) * b if isinstance(a, int) else math.fmod(a, b)


PYTHON: dict[type[Op], Callable[[Any, Any], Any]] = {
    ops.Add: operator.add,
    ops.Sub: operator.sub,
    ops.Mul: operator.mul,
    ops.Div: divide,
    ops.FloorDiv: lambda a, b: math.floor(Fraction(a) / Fraction(b)),
    ops.Mod: lambda a, b: a - math.floor(Fraction(a) / Fraction(b)) * b,
    ops.Fmod: fmod,
    ops.Pow: operator.pow,
    ops.Min: min,
    ops.Max: max,
    ops.SquaredDifference: lambda a, b: (a - b) ** 2,
    ops.Atan2: math.atan2,
    ops.BitwiseAnd: operator.and_,
    ops.BitwiseOr: operator.or_,
    ops.BitwiseXor: operator.xor,
}


def by_element(function: Callable[[Any, Any], Any], *operands: Array) -> Array:
    """``function`` over the broadcast elements, as Python numbers."""
    a, b = np.broadcast_arrays(*operands)
    results = [function(x, y) for x, y in zip(a.reshape(-1).tolist(), b.reshape(-1).tolist(), strict=True)]
    return np.array(results).reshape(a.shape)


@pytest.mark.parametrize("case", [c for c in CASES if type(c.op) in PYTHON], ids=str)
def test_agrees_with_python(case: Case) -> None:
    assert_oracle(case, lambda a, b: by_element(PYTHON[type(case.op)], a, b))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.BitShift)], ids=str)
def test_shifts_agree_with_python(case: Case) -> None:
    op = case.op
    assert isinstance(op, ops.BitShift)

    def shift(a: int, b: int) -> int:
        limit = 8 if case.name.endswith("u8") else 32
        return (a << b) % (1 << limit) if op.left else a >> b

    assert_oracle(case, lambda a, b: by_element(shift, a, b))


@pytest.mark.parametrize(
    ("base", "exponent", "power"),
    [(2, -1, 0), (1, -5, 1), (-1, -3, -1), (-1, -4, 1), (-3, 3, -27), (5, 0, 1)],
)
def test_powers_of_integers_are_truncated(base: int, exponent: int, power: int) -> None:
    (y,) = evaluate(ops.Pow(), [np.array([base, 2]), np.array([exponent, 5])])
    np.testing.assert_array_equal(y, [power, 32])


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_squares_and_cubes_of_any_shape(exponent: float) -> None:
    x = np.array([[-1.5, 2.0], [0.25, 3.0]])
    for shape in ((), (1,), (1, 1), (1, 1, 1)):
        (y,) = evaluate(ops.Pow(), [x, np.full(shape, exponent)])
        np.testing.assert_allclose(y, np.float_power(x, np.full(shape, exponent)), rtol=1e-15)


@pytest.mark.parametrize("op", [ops.Min(), ops.Max()], ids=str)
def test_nan_wins(op: Op) -> None:
    (y,) = evaluate(op, [np.array([np.nan, 1.0, 1.0]), np.array([1.0, np.nan, 2.0])])
    assert np.isnan(y).tolist() == [True, True, False]


@quick
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=5))
def test_shapes_broadcast_as_in_numpy(shapes: Any) -> None:
    a, b = (TensorType(dtypes.F32, shape) for shape in shapes.input_shapes)
    assert ops.Add().infer(a, b).shape == shapes.result_shape
    assert ops.Greater().infer(a, b).shape == shapes.result_shape


@quick
@given(st.lists(st.integers(1, 3), max_size=4), st.lists(st.integers(1, 3), max_size=4))
def test_shapes_that_numpy_refuses_are_refused(a: list[int], b: list[int]) -> None:
    first, second = TensorType(dtypes.F32, tuple(a)), TensorType(dtypes.F32, tuple(b))
    try:
        wanted = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(InferenceError, match="do not broadcast"):
            ops.Mul().infer(first, second)
    else:
        assert ops.Mul().infer(first, second).shape == wanted


INTEGERS = arrays(np.int32, 8, elements=st.integers(-1000, 1000))


@quick
@given(INTEGERS, INTEGERS.map(lambda b: np.where(b == 0, np.int32(7), b)))
def test_quotients_and_rests_belong_together(a: Array, b: Array) -> None:
    (quotient,), (rest,) = evaluate(ops.Div(), [a, b]), evaluate(ops.Fmod(), [a, b])
    np.testing.assert_array_equal(quotient * b + rest, a)
    assert (np.abs(rest) < np.abs(b)).all()
    assert ((rest == 0) | (np.sign(rest) == np.sign(a))).all()
    (quotient,), (rest,) = evaluate(ops.FloorDiv(), [a, b]), evaluate(ops.Mod(), [a, b])
    np.testing.assert_array_equal(quotient * b + rest, a)
    assert ((rest == 0) | (np.sign(rest) == np.sign(b))).all()


@pytest.mark.parametrize(
    ("op", "a", "b"),
    [
        (ops.Add(), TensorType(dtypes.F32, (2,)), TensorType(dtypes.F64, (2,))),
        (ops.Add(), TensorType(dtypes.BOOL, (2,)), TensorType(dtypes.BOOL, (2,))),
        (ops.Atan2(), TensorType(dtypes.I32, (2,)), TensorType(dtypes.I32, (2,))),
        (ops.BitwiseAnd(), TensorType(dtypes.F32, (2,)), TensorType(dtypes.F32, (2,))),
        (ops.BitShift(left=True), TensorType(dtypes.BOOL, (2,)), TensorType(dtypes.BOOL, (2,))),
        (ops.Div(), TensorType(dtypes.F32, (2, 3)), TensorType(dtypes.F32, (2,))),
    ],
    ids=str,
)
def test_refuses_operands_that_do_not_fit(op: Op, a: TensorType, b: TensorType) -> None:
    with pytest.raises(InferenceError):
        op.infer(a, b)


N, H = Dim.symbol("n"), Dim.symbol("h")


def follow(op: Op, *contents: tuple[Extent, ...]) -> tuple[Extent, ...] | None:
    """The extents that ``op`` gives over vectors of extents."""
    graph = Graph()
    return graph.add(op, [vector(graph, extents) for extents in contents]).output.extents


def vector(graph: Graph, extents: tuple[Extent, ...]) -> Value:
    """The values ``extents``: a constant, or the shape of an input."""
    numbers = [e for e in extents if isinstance(e, int)]
    if len(numbers) == len(extents):
        return graph.constant(Tensor.of(np.array(numbers, dtype=np.int64)))
    x = graph.input(f"x{len(graph.inputs)}", TensorType(dtypes.F32, extents))
    return graph.add(ops.Shape(), [x]).output


@pytest.mark.parametrize(
    ("op", "a", "b", "wanted"),
    [
        (ops.Add(), (N, 3), (1,), (N + 1, 4)),
        (ops.Sub(), (N, 3), (N, 1), (0, 2)),
        (ops.Mul(), (N, H), (2, 2), (2 * N, 2 * H)),
        (ops.Div(), (4 * N, 7), (2,), (2 * N, 3)),
        (ops.Div(), (N - 1, 7), (2,), ((N - 1) // 2, 3)),
        (ops.Div(), (-7, 7), (2, -2), (-3, -3)),
        (ops.Div(), (N, 7), (0,), None),
        (ops.Div(), (-N + 0, 7), (2,), None),
        (ops.FloorDiv(), (4 * N, -7), (2,), (2 * N, -4)),
        (ops.FloorDiv(), (N, 7), (0,), None),
        (ops.Mod(), (4 * N, 7), (2,), (0, 1)),
        (ops.Mod(), (N, 7), (0,), None),
        (ops.Max(), (N, 7), (N, 2), (N, 7)),
        (ops.Max(), (N + 2, N), (1, N + 1), (N + 2, N + 1)),
        (ops.Max(), (N, 7), (H, 2), (maximum(N, H), 7)),
        (ops.Min(), (N, 7), (N + 1, 2), (N, 2)),
        (ops.Min(), (N, 7), (H, 2), (N + H - maximum(N, H), 2)),
        (ops.Max(), (N - H, 7), (1,), None),
    ],
    ids=str,
)
def test_shapes_are_followed(
    op: Op, a: tuple[Extent, ...], b: tuple[Extent, ...], wanted: tuple[Extent, ...] | None
) -> None:
    assert follow(op, a, b) == wanted


def test_what_is_unknown_is_not_followed() -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.I64, (2,)))
    known = graph.constant(Tensor.of(np.array([1, 2])))
    for op in (ops.Add(), ops.Div(), ops.Max(), ops.Mod()):
        assert graph.add(op, [x, known]).output.extents is None
