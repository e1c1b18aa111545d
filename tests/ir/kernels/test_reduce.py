"""Reductions over axes that are not the last ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmconvert.ir.kernels.reduce import reduce_axes

SHAPES = [(1, 7, 7, 40), (2, 13, 11, 3), (130, 4), (2, 65, 3), (3, 64, 1), (2, 3, 4), (5,), (1, 127, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("f", [np.add, np.maximum, np.minimum, np.multiply], ids=lambda f: f.__name__)
@pytest.mark.parametrize("keepdims", [True, False])
def test_agrees_with_numpy_over_every_choice_of_axes(
    shape: tuple[int, ...], f: np.ufunc, keepdims: bool
) -> None:
    x = np.random.default_rng(0).uniform(0.9, 1.1, shape)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            found = reduce_axes(f, x, axes, keepdims=keepdims)
            np.testing.assert_allclose(found, f.reduce(x, axis=axes, keepdims=keepdims), rtol=1e-12)
            assert isinstance(found, np.ndarray)
            assert found.dtype == x.dtype


@pytest.mark.parametrize("shape", [(1, 112, 112, 32), (1, 50_000, 3)], ids=str)
def test_sums_lose_no_digits_along_long_outer_axes(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(3, 1, shape).astype(np.float32)
    axes = tuple(range(1, len(shape) - 1))
    truth = x.sum(axis=axes, dtype=np.float64)
    found = reduce_axes(np.add, x, axes, keepdims=False)
    np.testing.assert_allclose(found, truth, rtol=3e-7)


def test_operands_stay_as_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(2, 101, 3))
    x.flags.writeable = False
    before = x.copy()
    reduce_axes(np.add, x, (1,), keepdims=False)
    np.testing.assert_array_equal(x, before)


def test_integers_keep_their_type() -> None:
    x = np.full((2, 200, 2), 100, dtype=np.int8)
    found = reduce_axes(np.add, x, (1,), keepdims=False)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, np.full((2, 2), 20_000).astype(np.int8))
