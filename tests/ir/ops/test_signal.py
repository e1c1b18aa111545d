"""Fourier transforms by their definition; sequences, matrices and bits by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.ops import DFT, BitCast, Det, Inverse, ReverseSequence, Unique
from mmconvert.ir.types import TensorType

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("inverse", [False, True])
def test_the_definition_of_the_transform(inverse: bool) -> None:
    x = RNG.normal(size=(3, 7, 2))
    sign = 1 if inverse else -1
    kernel = np.exp(sign * 2j * np.pi * np.outer(np.arange(7), np.arange(7)) / 7)
    wanted = (x[..., 0] + 1j * x[..., 1]) @ kernel / (7 if inverse else 1)
    found = DFT(axis=1, length=7, inverse=inverse).evaluate(x)
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], wanted, atol=1e-12)


@pytest.mark.parametrize("length", [6, 7])
def test_one_side_and_back(length: int) -> None:
    x = RNG.normal(size=(2, length, 1))
    half = DFT(axis=1, length=length, onesided=True).evaluate(x)
    assert half.shape == (2, length // 2 + 1, 2)
    np.testing.assert_allclose(half, DFT(axis=1, length=length).evaluate(x)[:, : length // 2 + 1], atol=1e-12)
    back = DFT(axis=1, length=length, onesided=True, inverse=True).evaluate(half)
    np.testing.assert_allclose(back, x, atol=1e-12)


def test_unique_by_hand() -> None:
    x = np.array([2, 1, 1, 3, 4, 3])
    found = Unique(count=4, sorted=False).evaluate(x)
    assert [v.tolist() for v in found] == [[2, 1, 3, 4], [0, 1, 3, 4], [0, 1, 1, 2, 3, 2], [1, 2, 2, 1]]
    found = Unique(count=4).evaluate(x)
    assert [v.tolist() for v in found] == [[1, 2, 3, 4], [1, 0, 3, 4], [1, 0, 0, 2, 3, 2], [2, 1, 2, 1]]


def test_sequences_turn_up_to_their_length() -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]])
    found = ReverseSequence(time_axis=1, batch_axis=0).evaluate(x, np.array([3, 2]))
    assert found.tolist() == [[3, 2, 1], [5, 4, 6]]


def test_bits_are_those_of_the_source_type() -> None:
    op = BitCast(source="f32", to="i32")
    for dtype in (np.float32, np.float64):
        assert op.evaluate(np.array([1.0, -2.0], dtype)).tolist() == [0x3F800000, -0x40000000]


def test_matrices_by_hand() -> None:
    x = np.array([[2.0, 1.0], [3.0, 4.0]])
    assert float(Det().evaluate(x)) == pytest.approx(5)
    np.testing.assert_allclose(Inverse().evaluate(x), [[0.8, -0.2], [-0.6, 0.4]], atol=1e-14)


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (DFT(axis=1, length=4), ((2, 4),), "an axis before the last one"),
        (DFT(axis=0, length=4, onesided=True), ((4, 2),), "a last axis of 1"),
        (Det(), ((2, 3),), "a square matrix"),
        (Inverse(), ((3,),), "a matrix"),
        (BitCast(source="f32", to="i64"), ((2,),), "a type as wide as i64"),
        (ReverseSequence(time_axis=0, batch_axis=0), ((2, 3), (2,)), "an axis for time"),
    ],
)
def test_refused(op: Any, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*(TensorType(dtypes.F32, s) for s in shapes))
