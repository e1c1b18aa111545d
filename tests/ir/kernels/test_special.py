"""Blockwise formulas and the error function."""

from __future__ import annotations

import math
import warnings

import ml_dtypes
import numpy as np
import pytest

from mmconvert.ir.kernels.special import blockwise, erf_to, polynomial, rowwise
from mmconvert.ir.types import Array

ERF = np.vectorize(math.erf, otypes=[np.float64])


def double(x: Array, out: Array) -> None:
    np.multiply(x, 2, out=out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("low", "high"), [(1e-8, 1e-3), (1e-3, 0.9), (0.9, 1.1), (1.1, 2), (2, 7), (-7, 7), (-1e9, 1e9)]
)
def test_erf_is_accurate_to_the_last_places(dtype: type[np.floating], low: float, high: float) -> None:
    x = np.random.default_rng(0).uniform(low, high, 20_000).astype(dtype)
    truth = ERF(x)
    error = np.abs(blockwise(erf_to, x) - truth) / np.spacing(np.abs(truth).astype(dtype))
    assert error.max() <= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_of_special_values(dtype: type[np.floating]) -> None:
    x = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, np.finfo(dtype).max], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = blockwise(erf_to, x)
    one = dtype(math.erf(1))
    np.testing.assert_allclose(y, np.array([0, 0, one, -one, 1, -1, np.nan, 1]), rtol=1e-7)
    assert np.signbit(y[1])


def test_polynomial_has_the_constant_term_first() -> None:
    np.testing.assert_array_equal(polynomial((1.0, 2.0, 3.0), np.array([0.0, 1.0, 2.0])), [1, 6, 17])


@pytest.mark.parametrize(
    "x",
    [
        np.arange(200_000, dtype=np.float32),
        np.arange(24, dtype=np.float64).reshape(2, 3, 4).transpose(2, 0, 1),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(24.0).reshape(4, 6)[::2, ::3],
        np.arange(6.0)[::-1],
        np.broadcast_to(np.arange(3.0), (4, 3)),
        np.array(3.0, np.float32),
        np.zeros((0, 3), np.float32),
    ],
    ids=["blocks", "transposed", "fortran", "strided", "reversed", "broadcast", "scalar", "empty"],
)
def test_blockwise_covers_every_element_once(x: Array) -> None:
    y = blockwise(double, x)
    assert isinstance(y, np.ndarray)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x * 2)


def test_blockwise_keeps_the_order_in_memory() -> None:
    x = np.zeros((2, 3, 4, 5), np.float32).transpose(0, 3, 1, 2)
    assert blockwise(double, x).strides == x.strides


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_rounded_once(dtype: type) -> None:
    def third(x: Array, out: Array) -> None:
        assert x.dtype == out.dtype == np.float32
        np.divide(x, 3, out=out)
        out *= 3

    x: Array = np.linspace(1, 2, 50).astype(dtype)
    np.testing.assert_array_equal(blockwise(third, x), x)


@pytest.mark.parametrize("shape", [(3, 5), (70_000, 4), (2, 3, 200_000), (0, 7)])
def test_rowwise_sees_whole_rows(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 9, shape).astype(np.float32)

    def less_first(rows: Array, out: Array) -> None:
        np.subtract(rows, rows[:, :1], out=out)

    np.testing.assert_array_equal(rowwise(less_first, x, shape[-1]), x - x[..., :1])
