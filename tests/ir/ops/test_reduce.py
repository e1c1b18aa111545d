"""Reductions, positions, rankings and running sums, against NumPy, SciPy, PyTorch and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from tests.cases.case import Case
from tests.cases.reduce import CASES
from tests.ir.ops.onnx_oracle import run_node
from tests.ir.ops.rows import assert_oracle, assert_same, evaluate, infer, operands, quick
from tests.ir.ops.test_binary import vector

torch = pytest.importorskip("torch")
special = pytest.importorskip("scipy.special")


def mean(x: Array, **options: Any) -> Array:
    result = np.asarray(x.mean(**options))
    return np.trunc(result) if x.dtype.kind in "iu" else result


def length(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(
        torch.linalg.vector_norm(torch.from_numpy(x.copy()), dim=axis, keepdim=keepdims).numpy()
    )


NUMPY: dict[str, Callable[..., Array]] = {
    "ReduceSum": np.sum,
    "ReduceMean": mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL1": lambda x, **options: np.abs(x).sum(**options),
    "ReduceL2": length,
    "ReduceLogSum": lambda x, **options: np.log(x.sum(**options)),
    "ReduceLogSumExp": special.logsumexp,
    "ReduceSumSquare": lambda x, **options: (x * x).sum(**options),
    "ReduceAny": np.any,
    "ReduceAll": np.all,
}
OVER_AXES = [c for c in CASES if c.op.name in NUMPY]


@pytest.mark.parametrize("case", OVER_AXES, ids=str)
def test_agrees_with_numpy(case: Case) -> None:
    op: Any = case.op
    assert_oracle(case, lambda x: NUMPY[op.name](x, axis=op.axes, keepdims=op.keepdims))


@st.composite
def reductions(draw: st.DrawFn) -> tuple[Array, tuple[int, ...], bool]:
    x = draw(arrays(np.float64, array_shapes(max_dims=4, max_side=4), elements=st.floats(-10, 10)))
    axes = draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))
    return x, tuple(draw(st.permutations(sorted(axes)))), draw(st.booleans())


@quick
@given(reductions())
def test_any_axes_in_any_order(drawn: tuple[Array, tuple[int, ...], bool]) -> None:
    x, axes, keepdims = drawn
    for cls in (ops.ReduceSum, ops.ReduceMean, ops.ReduceMax, ops.ReduceL1, ops.ReduceLogSumExp):
        op = cls(axes=axes, keepdims=keepdims)
        (y,) = evaluate(op, [x])
        np.testing.assert_allclose(y, NUMPY[op.name](x, axis=axes, keepdims=keepdims), rtol=1e-12, atol=1e-12)
        assert infer(op, [x])[0].shape == y.shape


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("axis", [0, 1])
def test_sums_of_narrow_floats_do_not_stall(dtype: type, axis: int) -> None:
    x: Array = np.ones((3000, 3) if axis == 0 else (3, 3000), dtype)
    (y,) = evaluate(ops.ReduceMean(axes=(axis,), keepdims=False), [x])
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.astype(np.float64), 1)


def test_integers_wrap_around_and_means_do_not() -> None:
    x = np.full((2, 100), 100, np.int8)
    assert evaluate(ops.ReduceSum(axes=(1,), keepdims=False), [x])[0].tolist() == [16, 16]
    assert evaluate(ops.ReduceMean(axes=(1,), keepdims=False), [x])[0].tolist() == [100, 100]


def test_log_sum_exp_of_infinities() -> None:
    x = np.array([[-np.inf, -np.inf], [np.inf, 1.0], [0.0, -np.inf]])
    y = ops.ReduceLogSumExp(axes=(1,), keepdims=False).evaluate(x)
    np.testing.assert_array_equal(y, [-np.inf, np.inf, 0.0])


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name in ("ArgMax", "ArgMin")], ids=str)
def test_positions_agree_with_onnx_runtime(case: Case) -> None:
    op: Any = case.op
    arrays = operands(case)
    attributes = {"axis": op.axis, "keepdims": int(op.keepdims), "select_last_index": int(op.select_last)}
    (wanted,) = run_node(op.name, arrays, attributes=attributes)
    assert_same(evaluate(op, arrays)[0], wanted.astype(op.dtype))


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name == "TopK"], ids=str)
def test_rankings_agree_with_onnx_runtime(case: Case) -> None:
    op: Any = case.op
    arrays = operands(case)
    attributes = {"axis": op.axis, "largest": int(op.largest), "sorted": 1}
    wanted = run_node("TopK", [*arrays, np.array([op.k])], attributes=attributes, outputs=2)
    for found, one in zip(evaluate(op, arrays), wanted, strict=True):
        assert_same(found, one)


@quick
@given(arrays(np.int8, st.integers(1, 30), elements=st.integers(-3, 3)), st.booleans(), st.data())
def test_of_equal_elements_the_first_ranks_first(x: Array, largest: bool, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, x.size))
    values, indices = evaluate(ops.TopK(k=k, axis=0, largest=largest), [x])
    wanted = sorted(range(x.size), key=lambda i: (-x[i] if largest else x[i], i))[:k]
    assert indices.tolist() == wanted
    assert values.tolist() == x[wanted].tolist()


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name in ("CumSum", "CumProd")], ids=str)
def test_running_sums_element_by_element(case: Case) -> None:
    op: Any = case.op

    def oracle(x: Array) -> Array:
        lines = np.moveaxis(np.flip(x, op.axis) if op.reverse else x, op.axis, -1)
        neutral, step = (0, np.add) if op.name == "CumSum" else (1, np.multiply)
        results = np.empty_like(lines)
        for place in np.ndindex(lines.shape):
            before = lines[(*place[:-1], slice(place[-1] + (not op.exclusive)))]
            results[place] = step.reduce(before, initial=neutral)
        moved = np.moveaxis(results, -1, op.axis)
        return np.flip(moved, op.axis) if op.reverse else moved

    assert_oracle(case, oracle)


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name == "CumSum"], ids=str)
def test_running_sums_agree_with_onnx_runtime(case: Case) -> None:
    op: Any = case.op
    arrays = operands(case)
    attributes = {"exclusive": int(op.exclusive), "reverse": int(op.reverse)}
    (wanted,) = run_node("CumSum", [*arrays, np.array(op.axis)], attributes=attributes)
    assert_same(evaluate(op, arrays)[0], wanted)


X, INTEGERS, BOOLEANS = (TensorType(d, (2, 3)) for d in (dtypes.F32, dtypes.I32, dtypes.BOOL))


@pytest.mark.parametrize(
    ("op", "x", "message"),
    [
        (ops.ReduceSum(axes=(2,), keepdims=True), X, "no axis 2"),
        (ops.ReduceSum(axes=(1, 1), keepdims=True), X, "named twice"),
        (ops.ReduceSum(axes=(1,), keepdims=True), BOOLEANS, "numeric"),
        (ops.ReduceL2(axes=(1,), keepdims=True), INTEGERS, "floating-point"),
        (ops.ReduceAny(axes=(1,), keepdims=True), INTEGERS, "boolean"),
        (ops.ArgMax(axis=2, keepdims=True), X, "no axis 2"),
        (ops.ArgMax(axis=1, keepdims=True), BOOLEANS, "numeric"),
        (ops.TopK(k=4, axis=1), X, "at least 4 elements"),
        (ops.CumSum(axis=2), X, "no axis 2"),
        (ops.CumProd(axis=0), BOOLEANS, "numeric"),
    ],
    ids=str,
)
def test_refuses_operands_that_do_not_fit(op: Op, x: TensorType, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(x)


N = Dim.symbol("n")


def test_symbolic_extents() -> None:
    x = TensorType(dtypes.F32, (N, 3, N + 1))
    assert ops.ReduceSum(axes=(1,), keepdims=False).infer(x).shape == (N, N + 1)
    assert ops.ReduceMean(axes=(0, 2), keepdims=True).infer(x).shape == (1, 3, 1)
    assert ops.ArgMax(axis=0, keepdims=True).infer(x) == TensorType(dtypes.I64, (1, 3, N + 1))
    assert [t.shape for t in ops.TopK(k=N, axis=2).infer(x)] == [(N, 3, N)] * 2


def test_symbolic_extents_stand_in_the_way_of_some_decompositions() -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, (N, 3)))
    for op in (
        ops.ReduceMean(axes=(0,), keepdims=True),
        ops.ArgMax(axis=0, keepdims=True, select_last=True),
        ops.CumSum(axis=0),
    ):
        assert op.decompose(Builder(graph), x) is None


def test_sizes_of_shapes_are_followed() -> None:
    graph = Graph()
    shape = vector(graph, (N, 3, 4))
    assert graph.add(ops.ReduceProd(axes=(0,), keepdims=False), [shape]).output.extents == (12 * N,)
    assert graph.add(ops.ReduceSum(axes=(0,), keepdims=True), [shape]).output.extents == (N + 7,)
