"""Attention against PyTorch's, and rotations as products of complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.interpreter.session import run
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import Concat, RotaryEmbedding, ScaledDotProductAttention
from mmconvert.ir.types import Array, TensorType
from mmconvert.passes.legalize import legalize

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=s) for s in ((2, 4, 5, 3), (2, 2, 7, 3), (2, 2, 7, 6)))


@pytest.mark.parametrize("mask", [None, RNG.normal(size=(5, 7)), RNG.random((2, 1, 5, 7)) < 0.7])
def test_against_pytorch(mask: Array | None) -> None:
    torch = pytest.importorskip("torch")
    q, k, v = map(torch.from_numpy, (Q, K, V))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=None if mask is None else torch.from_numpy(mask), scale=0.3, enable_gqa=True
    )
    found = ScaledDotProductAttention(scale=0.3).evaluate(Q, K, V, mask)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-12)


def test_a_causal_limit_is_a_mask() -> None:
    seen = np.tril(np.ones((5, 7), bool), 2)
    causal = ScaledDotProductAttention(scale=0.3, causal=True, offset=2).evaluate(Q, K, V)
    masked = ScaledDotProductAttention(scale=0.3).evaluate(Q, K, V, seen)
    np.testing.assert_array_equal(causal, masked)


def test_a_query_that_sees_nothing_gives_zero() -> None:
    seen = np.ones((5, 7), bool)
    seen[3] = False
    y = ScaledDotProductAttention(scale=0.3).evaluate(Q, K, V, seen)
    assert not y[:, :, 3].any()
    assert y[:, :, 2].all()


@pytest.mark.parametrize("queries", [1, 3])
def test_the_past_of_a_dynamic_model_is_decomposed(queries: int) -> None:
    fresh, past = Dim.symbol("fresh"), Dim.symbol("past")
    graph = Graph()
    q = graph.input("q", TensorType(dtypes.F64, (1, 2, fresh, 3)))
    old = graph.input("old", TensorType(dtypes.F64, (1, 2, past, 3)))
    op = ScaledDotProductAttention(scale=0.3, causal=True, offset=past)
    b = Builder(graph)
    k = b(Concat(axis=2), old, q)
    graph.set_outputs([b(op, q, k, k)], ["y"])
    legalize(graph, lambda node: "no" if isinstance(node.op, ScaledDotProductAttention) else None, "test")
    feeds = {"q": RNG.normal(size=(1, 2, queries, 3)), "old": RNG.normal(size=(1, 2, 4, 3))}
    found = run(graph, feeds, precision="float64")["y"]
    keys = np.concatenate([feeds["old"], feeds["q"]], axis=2)
    wanted = ScaledDotProductAttention(scale=0.3, causal=True, offset=4).evaluate(feeds["q"], keys, keys)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_pairs_turn_as_complex_numbers_do(interleaved: bool) -> None:
    x, angle = RNG.normal(size=(2, 3, 4, 6)), RNG.normal(size=(2, 4, 3))
    found = RotaryEmbedding(interleaved=interleaved).evaluate(x, np.cos(angle), np.sin(angle))
    first, second = (slice(0, 6, 2), slice(1, 6, 2)) if interleaved else (slice(3), slice(3, 6))
    turned = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angle)[:, None]
    np.testing.assert_allclose(found[..., first], turned.real, atol=1e-12)
    np.testing.assert_allclose(found[..., second], turned.imag, atol=1e-12)


def f32(*shape: int) -> TensorType:
    return TensorType(dtypes.F32, shape)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (ScaledDotProductAttention(scale=1.0), ((1, 3, 4, 2), (1, 2, 4, 2), (1, 2, 4, 2)), "a divisor of 3"),
        (ScaledDotProductAttention(scale=1.0), ((1, 2, 4, 2), (1, 2, 4, 3), (1, 2, 4, 2)), "the size of the"),
        (
            ScaledDotProductAttention(scale=1.0),
            ((1, 2, 4, 2), (1, 2, 4, 2), (1, 2, 5, 2)),
            "a value for each",
        ),
        (ScaledDotProductAttention(scale=1.0), ((1, 2, 4, 2), (1, 2, 4, 2), (1, 1, 4, 2)), "as many heads"),
        (RotaryEmbedding(), ((1, 2, 4, 5), (1, 4, 3), (1, 4, 3)), "at least 6 features"),
        (RotaryEmbedding(), ((1, 2, 4, 6), (1, 4, 3), (1, 4, 2)), "the shape of f32"),
    ],
)
def test_refused(op: Any, operands: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*(f32(*shape) for shape in operands))
