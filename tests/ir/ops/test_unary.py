"""Functions of one tensor, against Python's own mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor
from tests.cases.case import Case
from tests.cases.unary import CASES
from tests.ir.ops.rows import assert_oracle, evaluate, operands

PYTHON: dict[type[Op], Callable[[float], float]] = {
    ops.Abs: abs,
    ops.Neg: lambda x: -x,
    ops.Exp: math.exp,
    ops.Log: math.log,
    ops.Log1p: math.log1p,
    ops.Expm1: math.expm1,
    ops.Sqrt: math.sqrt,
    ops.Rsqrt: lambda x: 1 / math.sqrt(x),
    ops.Reciprocal: lambda x: 1 / x,
    ops.Square: lambda x: x**2,
    ops.Floor: math.floor,
    ops.Ceil: math.ceil,
    ops.Round: round,
    ops.Trunc: math.trunc,
    ops.Sign: lambda x: (x > 0) - (x < 0),
    ops.Sin: math.sin,
    ops.Cos: math.cos,
    ops.Tan: math.tan,
    ops.Asin: math.asin,
    ops.Acos: math.acos,
    ops.Atan: math.atan,
    ops.Sinh: math.sinh,
    ops.Cosh: math.cosh,
    ops.Asinh: math.asinh,
    ops.Acosh: math.acosh,
    ops.Atanh: math.atanh,
    ops.Tanh: math.tanh,
    ops.Erf: math.erf,
    ops.Identity: lambda x: x,
    ops.IsNan: math.isnan,
    ops.BitwiseNot: lambda x: ~int(x),
}


@pytest.mark.parametrize("case", [c for c in CASES if type(c.op) in PYTHON], ids=str)
def test_agrees_with_python(case: Case) -> None:
    function = PYTHON[type(case.op)]
    (x,) = operands(case)
    assert x is not None
    kind = np.int64 if x.dtype.kind in "iu" else np.float64
    assert_oracle(case, lambda x: np.vectorize(function, otypes=[kind])(x))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.IsInf)], ids=str)
def test_is_inf(case: Case) -> None:
    op = case.op
    assert isinstance(op, ops.IsInf)

    def oracle(x: float) -> bool:
        return math.isinf(x) and (op.detect_positive if x > 0 else op.detect_negative)

    assert_oracle(case, np.vectorize(oracle))


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.Cast)], ids=str)
def test_cast_converts_as_python_does(case: Case) -> None:
    op = case.op
    assert isinstance(op, ops.Cast)
    convert = bool if op.to == dtypes.BOOL else int if dtypes.is_integer(op.to) else float
    (x,) = operands(case)
    (y,) = evaluate(op, [x])
    assert x is not None
    np.testing.assert_array_equal(y, np.array([convert(v) for v in x.flat], dtype=op.to).reshape(x.shape))


def test_cast_of_what_does_not_fit_warns_of_nothing() -> None:
    evaluate(ops.Cast(to=dtypes.I32), [np.array([np.nan, np.inf, 1e20])])
    evaluate(ops.Cast(to=dtypes.F16), [np.array([1e20])])


@pytest.mark.parametrize("cls", [c for c in PYTHON if c not in (ops.IsNan, ops.BitwiseNot)])
def test_bfloat16(cls: type[Op]) -> None:
    x = np.array([1.25, 1.5, 2.0] if cls is ops.Acosh else [0.25, 0.5, 0.75]).astype(ml_dtypes.bfloat16)
    (y,) = evaluate(cls(), [x])
    truth = np.vectorize(PYTHON[cls], otypes=[np.float64])(x.astype(np.float64))
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype(np.float64), truth, rtol=2**-7)


@pytest.mark.parametrize(
    ("op", "x"),
    [
        (ops.Exp(), TensorType(dtypes.I32, (2,))),
        (ops.Round(), TensorType(dtypes.I64, (2,))),
        (ops.Abs(), TensorType(dtypes.BOOL, (2,))),
        (ops.IsNan(), TensorType(dtypes.I32, (2,))),
        (ops.IsInf(), TensorType(dtypes.BOOL, (2,))),
        (ops.BitwiseNot(), TensorType(dtypes.F32, (2,))),
        (ops.Erf(), TensorType(dtypes.I32, ())),
    ],
    ids=lambda v: getattr(v, "name", None) or str(v),
)
def test_refuses_other_element_types(op: Op, x: TensorType) -> None:
    with pytest.raises(InferenceError, match="is needed, not"):
        op.infer(x)


def test_symbolic_extents_pass_through() -> None:
    x = TensorType(dtypes.F32, (Dim.symbol("n"), 3))
    assert ops.Exp().infer(x) == x
    assert ops.IsNan().infer(x) == x.with_dtype(dtypes.BOOL)


def test_shapes_are_followed_through_cast_neg_and_identity() -> None:
    graph, n = Graph(), Dim.symbol("n")
    shape = graph.add(ops.Shape(), [graph.input("x", TensorType(dtypes.F32, (n, 3)))]).output
    cast = graph.add(ops.Cast(to=dtypes.I32), [shape]).output
    negative = graph.add(ops.Neg(), [graph.add(ops.Identity(), [cast]).output]).output
    assert negative.extents == (-n, -3)


def test_shapes_are_followed_through_booleans() -> None:
    graph, n = Graph(), Dim.symbol("n")
    shape = graph.add(ops.Shape(), [graph.input("x", TensorType(dtypes.F32, (n + 1, 3)))]).output
    truth = graph.add(ops.Cast(to=dtypes.BOOL), [shape]).output
    assert truth.extents == (True, True)
    assert list(map(type, graph.add(ops.Cast(to=dtypes.I64), [truth]).output.extents or ())) == [int, int]
    unknown = graph.add(ops.Shape(), [graph.input("y", TensorType(dtypes.F32, (n,)))]).output
    assert graph.add(ops.Cast(to=dtypes.BOOL), [unknown]).output.extents is None


def test_a_cast_that_cannot_hold_a_number_is_not_followed() -> None:
    graph = Graph()
    big = graph.constant(Tensor.of(np.array([1 << 40])))
    assert graph.add(ops.Cast(to=dtypes.I32), [big]).output.extents is None
    assert graph.add(ops.Cast(to=dtypes.F32), [big]).output.extents is None
