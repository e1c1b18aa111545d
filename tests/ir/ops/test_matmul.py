"""Matrix products, against NumPy, PyTorch and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from tests.cases.case import Case
from tests.cases.matmul import CASES
from tests.ir.ops.onnx_oracle import run_node
from tests.ir.ops.rows import assert_oracle, assert_same, evaluate, infer, operands, quick

torch = pytest.importorskip("torch")
N, M = Dim.symbol("n"), Dim.symbol("m")


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name == "MatMul"], ids=str)
def test_matmul_agrees_with_torch(case: Case) -> None:
    assert_oracle(
        case, lambda a, b: torch.matmul(torch.from_numpy(a.copy()), torch.from_numpy(b.copy())).numpy()
    )


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name == "Gemm"], ids=str)
def test_gemm_agrees_with_onnx_runtime(case: Case) -> None:
    op: Any = case.op
    arrays = operands(case)
    attributes = {
        "alpha": op.alpha,
        "beta": op.beta,
        "transA": int(op.transpose_a),
        "transB": int(op.transpose_b),
    }
    (wanted,) = run_node("Gemm", arrays, attributes=attributes)
    assert_same(evaluate(op, arrays)[0], wanted)


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name == "Einsum"], ids=str)
def test_einsum_agrees_with_torch(case: Case) -> None:
    op: Any = case.op
    assert_oracle(
        case, lambda *xs: torch.einsum(op.equation, *(torch.from_numpy(x.copy()) for x in xs)).numpy()
    )


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[Array]]:
    """Two operands over the labels a to e, an output of some of their labels, extents of 1 to 3."""
    terms = draw(st.lists(st.text("abcde", max_size=4), min_size=2, max_size=2))
    used = sorted(set("".join(terms)))
    output = "".join(draw(st.permutations(used)))[: draw(st.integers(0, len(used)))]
    extents = {label: draw(st.integers(1, 3)) for label in used}
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return f"{','.join(terms)}->{output}", [rng.normal(size=[extents[c] for c in term]) for term in terms]


@quick
@given(equations())
def test_any_equation_of_two_operands(drawn: tuple[str, list[Array]]) -> None:
    equation, xs = drawn
    op = ops.Einsum(equation=equation)
    (y,) = evaluate(op, xs)
    np.testing.assert_allclose(y, np.einsum(equation, *xs), rtol=1e-12, atol=1e-12)
    assert infer(op, xs)[0].shape == y.shape


@quick
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=3), *[st.integers(1, 3)] * 3)
def test_any_stack_of_matrices(shapes: Any, rows: int, depth: int, columns: int) -> None:
    first, second = shapes.input_shapes
    a, b = np.ones((*first, rows, depth)), np.full((*second, depth, columns), 2.0)
    (y,) = evaluate(ops.MatMul(), [a, b])
    assert infer(ops.MatMul(), [a, b])[0].shape == y.shape == (*shapes.result_shape, rows, columns)
    np.testing.assert_array_equal(y, 2 * depth)


def test_integers_wrap_around() -> None:
    a, b = np.full((1, 3), 100, np.int8), np.full((3, 1), 100, np.int8)
    (y,) = evaluate(ops.MatMul(), [a, b])
    assert y.dtype == np.int8
    np.testing.assert_array_equal(y, np.array([[30_000]]).astype(np.int8))


def test_an_empty_sum_is_zero() -> None:
    for left, right in (((2, 0), (0, 3)), ((4, 2, 0), (0, 3)), ((0, 2, 5), (5, 3))):
        (y,) = evaluate(ops.MatMul(), [np.ones(left), np.ones(right)])
        np.testing.assert_array_equal(y, np.zeros((*left[:-1], 3)))


def test_symbolic_extents() -> None:
    a, b = TensorType(dtypes.F32, (N, 3, M, 4)), TensorType(dtypes.F32, (4, 5))
    assert ops.MatMul().infer(a, b).shape == (N, 3, M, 5)
    assert ops.Gemm(transpose_a=True).infer(TensorType(dtypes.F32, (4, N)), b).shape == (N, 5)
    scores = ops.Einsum(equation="bhqd,bhkd->bhqk")
    q, k = TensorType(dtypes.F32, (N, 8, M, 64)), TensorType(dtypes.F32, (N, 8, M + 1, 64))
    assert scores.infer(q, k).shape == (N, 8, M, M + 1)
    graph = Graph()
    result = scores.decompose(Builder(graph), graph.input("q", q), graph.input("k", k))
    assert result is not None
    assert result.type.shape == (N, 8, M, M + 1)


def f32(*shape: int) -> TensorType:
    return TensorType(dtypes.F32, shape)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (ops.MatMul(), (f32(2, 3), f32(2, 3)), "an extent of 3 to sum over"),
        (ops.MatMul(), (f32(), f32(2, 3)), "a vector or a matrix"),
        (ops.MatMul(), (f32(2, 2, 3), f32(3, 3, 4)), "do not broadcast"),
        (ops.MatMul(), (f32(2, 3), TensorType(dtypes.F64, (3, 2))), "the element type"),
        (ops.Gemm(), (f32(2, 3), f32(2, 3)), "an extent of 3 to sum over"),
        (ops.Gemm(), (f32(2, 3, 4), f32(4, 3)), "rank 2"),
        (ops.Gemm(), (f32(2, 3), f32(3, 4), f32(3)), "do not broadcast"),
        (ops.Gemm(), (f32(1, 3), f32(3, 4), f32(2, 4)), "a tensor that broadcasts"),
        (ops.Gemm(), (f32(2, 3), f32(3, 4), f32(1, 1, 4)), "a tensor that broadcasts"),
        (ops.Einsum(equation="ij,jk->ik"), (f32(2, 3),), "about 2 operands, not 1"),
        (ops.Einsum(equation="ij->i"), (f32(2, 3, 4),), "rank 3"),
        (ops.Einsum(equation="ij->k"), (f32(2, 3),), "one too many"),
        (ops.Einsum(equation="ij->ii"), (f32(2, 3),), "twice"),
        (ops.Einsum(equation="...j->j"), (f32(2, 3),), "no '...'"),
        (ops.Einsum(equation="i1->i"), (f32(2, 3),), "more than letters"),
        (ops.Einsum(equation="i......->i"), (f32(2, 3),), "more than letters"),
        (ops.Einsum(equation="ij,jk->ik"), (f32(2, 3), f32(4, 5)), "do not broadcast"),
        (ops.Einsum(equation=""), (), "nothing to sum"),
    ],
    ids=str,
)
def test_refuses_operands_that_do_not_fit(op: Op, operands: tuple[TensorType, ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*operands)
