from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert.ir.kernels import affine, relu
from mmconvert.ir.kernels.elementwise import add_to_rows
from tests.ir.kernels.cases import normal


@settings(max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    axis=st.integers(-4, 3),
    view=st.booleans(),
    place=st.sampled_from(["new", "other", "same"]),
)
def test_affine(shape: list[int], axis: int, view: bool, place: str) -> None:
    axis = axis % len(shape) - (len(shape) if axis < 0 else 0)
    x = normal(1, *shape)
    x = x.T.copy().T if view else x
    scale, shift = normal(2, shape[axis]), normal(3, shape[axis])
    expected = np.moveaxis(np.moveaxis(x, axis, -1) * scale + shift, -1, axis)
    out = {"new": None, "other": np.empty(shape), "same": x}[place]
    y = affine(x, scale, shift, axis, out)
    np.testing.assert_array_equal(y, expected)
    assert out is None or y is out


@pytest.mark.parametrize("axis", [1, 3])
def test_affine_of_more_than_one_chunk(axis: int) -> None:
    x = normal(1, 2, 48, 70, 48, dtype=np.float32)
    scale, shift = normal(2, 48, dtype=np.float32), normal(3, 48, dtype=np.float32)
    along = [1, -1, 1, 1] if axis == 1 else [1, 1, 1, -1]
    np.testing.assert_array_equal(
        affine(x, scale, shift, axis), x * scale.reshape(along) + shift.reshape(along)
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8])
def test_relu(dtype: npt.DTypeLike) -> None:
    x = np.array([-3, -1, 0, 2, 100]).astype(dtype)
    expected = np.maximum(x, np.zeros_like(x))
    y = relu(x)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == x.dtype
    assert relu(x, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_relu_keeps_nan_and_infinity() -> None:
    np.testing.assert_array_equal(relu(np.array([np.nan, np.inf, -np.inf])), [np.nan, np.inf, 0])


@pytest.mark.parametrize(("count", "width"), [(0, 3), (1, 5), (7, 5), (64, 32), (60, 2048), (6, 5000)])
def test_add_to_rows(count: int, width: int) -> None:
    rows, row = normal(1, count, width), normal(2, width)
    expected = rows + row
    add_to_rows(rows, row)
    np.testing.assert_array_equal(rows, expected)
